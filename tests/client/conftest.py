"""A database of each kind: an engine in this process, and the same engine behind a server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from vecdb.client.client import Client
from vecdb.client.collection import Collection
from vecdb.client.transport_embedded import EmbeddedTransport, open_database
from vecdb.client.transport_grpc import GrpcTransport
from vecdb.errors import Closed
from vecdb.wire.server import Server, ServerOptions


@pytest.fixture(params=["embedded", "grpc"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Client]:
    """An empty database; it is checked when the test ends."""
    database = open_database(tmp_path / "data", {})
    if request.param == "embedded":
        with Client(EmbeddedTransport(database), 30) as client:
            yield client
            _check(client)
        return
    server = Server(database, ServerOptions(address="127.0.0.1:0"))
    server.start()
    with Client(GrpcTransport(server.address), 30) as client:
        yield client
        _check(client)
    server.stop(grace_s=0)
    database.close()


def _check(client: Client) -> None:
    """Verify the database, unless the test closed it."""
    with contextlib.suppress(Closed):
        assert client.check() == []


@pytest.fixture
def docs(db: Client) -> Collection:
    """An empty collection with one vector field of four dimensions."""
    return db.create_collection("docs", dim=4)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)
