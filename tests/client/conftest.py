"""A database of each kind: an engine in this process, and the same engine behind a server; blocking and async."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.client.from_loop import LoopThread, from_loop
from vecdb.client.async_client import AsyncClient
from vecdb.client.client import Client
from vecdb.client.collection import Collection
from vecdb.client.transport_embedded import EmbeddedTransport, open_database
from vecdb.client.transport_grpc import GrpcTransport
from vecdb.client.transport_grpc_async import AsyncGrpcTransport
from vecdb.client.transport_pooled import PooledTransport
from vecdb.errors import Closed
from vecdb.wire.server import Server, ServerOptions


@pytest.fixture(scope="session")
def loop() -> Iterator[LoopThread]:
    """An event loop in a thread."""
    running = LoopThread()
    yield running
    running.close()


@pytest.fixture(params=["embedded", "grpc", "embedded-async", "grpc-async"])
def db(request: pytest.FixtureRequest, tmp_path: Path, loop: LoopThread) -> Iterator[Client]:
    """An empty database; it is checked when the test ends."""
    database = open_database(tmp_path / "data", {})
    if request.param.startswith("embedded"):
        client = Client(EmbeddedTransport(database), 30)
        if request.param == "embedded-async":
            client = from_loop(AsyncClient(PooledTransport(lambda: EmbeddedTransport(database)), 30), loop)
        with client:
            yield client
            _check(client)
        database.close()
        return
    server = Server(database, ServerOptions(address="127.0.0.1:0"))
    server.start()
    client = Client(GrpcTransport(server.address), 30)
    if request.param == "grpc-async":
        client = from_loop(AsyncClient(AsyncGrpcTransport(server.address), 30), loop)
    with client:
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
