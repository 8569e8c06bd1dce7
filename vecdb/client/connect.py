"""The two ways to a Client: over gRPC, and with the engine in this process."""

from __future__ import annotations

import os
from typing import Any

from vecdb.client.client import Client

DEFAULT_TIMEOUT_S = 30.0


def connect(
    address: str,
    api_key: Any = None,
    tls: bool | str | os.PathLike[str] | None = None,
    timeout: float | None = DEFAULT_TIMEOUT_S,
) -> Client:
    """A client of the server at ``address``: ``host:port`` or ``unix:/path``. Makes no call yet.

    ``api_key``: a str, or a callable that gives one. ``tls``: True for the system's roots, or the path of a
    PEM file. ``timeout``: seconds a call may take unless it says otherwise, None for no limit.
    """
    from vecdb.client.transport_grpc import GrpcTransport

    return Client(GrpcTransport(address, api_key, tls), timeout)


def open(path: str | os.PathLike[str], *, timeout: float | None = DEFAULT_TIMEOUT_S, **options: Any) -> Client:
    """A client of an engine in this process, on the data directory ``path``, made if it is not there.

    ``options`` are those of ``vecdb.engine.options.EngineOptions``. Raises EngineNotInstalled when this is
    the thin client alone, DataDirInUse when another process has the directory open, DataDirUnusable,
    FormatTooNew and InvalidArgument.
    """
    from vecdb.client.transport_embedded import EmbeddedTransport, open_database

    return Client(EmbeddedTransport(open_database(os.fspath(path), options)), timeout)
