"""Servers inside the test's process, on free ports, in front of an engine of one dict."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import grpc
import pytest

from tests.wire.fake_engine import FakeDatabase, scope_of_header
from vecdb.client.client import Client
from vecdb.client.transport_grpc import GrpcTransport
from vecdb.wire.server import Server, ServerOptions


@pytest.fixture
def engine() -> FakeDatabase:
    return FakeDatabase()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """``serve(engine, **options of the server)`` starts a server that ends with the test."""
    started: list[Server] = []

    def start(engine: FakeDatabase, **options: object) -> Server:
        chosen = ServerOptions(**{"address": "127.0.0.1:0", **options})
        started.append(Server(engine, chosen, scope_of_header))  # type: ignore[arg-type]
        started[-1].start()
        return started[-1]

    yield start
    for server in started:
        server.stop(grace_s=0)


@pytest.fixture
def server(serve: Callable[..., Server], engine: FakeDatabase) -> Server:
    return serve(engine)


@pytest.fixture
def channel(server: Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.address) as channel:
        yield channel


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(GrpcTransport(server.address), 10) as client:
        yield client
