"""The ways to a client: over gRPC, and with the engine in this process; blocking, and for event loops."""

from __future__ import annotations

import os
from typing import Any

from vecdb.client.async_client import AsyncClient
from vecdb.client.client import Client
from vecdb.client.transport import Transport

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


def connect_async(
    address: str,
    api_key: Any = None,
    tls: bool | str | os.PathLike[str] | None = None,
    timeout: float | None = DEFAULT_TIMEOUT_S,
) -> AsyncClient:
    """``db = await connect_async(...)``: as ``connect``, for event loops.

    May be called where no loop runs; the client is then awaited later, or simply used.
    """
    from vecdb.client.transport_grpc_async import AsyncGrpcTransport

    return AsyncClient(AsyncGrpcTransport(address, api_key, tls), timeout)


def open(
    path: str | os.PathLike[str],
    *,
    shared: bool = False,
    timeout: float | None = DEFAULT_TIMEOUT_S,
    **options: Any,
) -> Client:
    """A client of an engine in this process, on the data directory ``path``, made if it is not there.

    ``shared``: for several processes. The engine runs in a server process of its own, started by the first
    that opens the directory so (within ``timeout``) and ended by the last that closes it. ``options`` are
    those of ``vecdb.engine.options.EngineOptions``. Raises EngineNotInstalled when this is the thin client
    alone, DataDirInUse when another process has the directory open (for itself, if ``shared``),
    DataDirUnusable, FormatTooNew, InvalidArgument, and FailedPrecondition when it is shared with other options.
    """
    return Client(_transport(path, shared, timeout, options), timeout)


def open_async(
    path: str | os.PathLike[str],
    *,
    shared: bool = False,
    timeout: float | None = DEFAULT_TIMEOUT_S,
    **options: Any,
) -> AsyncClient:
    """``db = await open_async(path)``: as ``open``, for event loops; the engine works in threads of its own.

    May be called where no loop runs. The directory is opened when the client is awaited or first used, and
    what ``open`` raises is raised there.
    """
    from vecdb.client.transport_pooled import PooledTransport

    return AsyncClient(PooledTransport(lambda: _transport(path, shared, timeout, options)), timeout)


def _transport(path: str | os.PathLike[str], shared: bool, timeout: float | None, options: dict[str, Any]) -> Transport:
    if shared:
        from vecdb.client.shared_transport import SharedTransport

        return SharedTransport(path, options, timeout)
    from vecdb.client.transport_embedded import EmbeddedTransport, open_database

    return EmbeddedTransport(open_database(os.fspath(path), options))
