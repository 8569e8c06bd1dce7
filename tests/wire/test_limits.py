"""What a server is told to take at most, it takes; what is one more, it refuses with its reason."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from vecdb import errors, failpoint
from vecdb.client.client import Client
from vecdb.client.near import Near
from vecdb.client.operations import Upsert
from vecdb.client.transport_grpc import GrpcTransport
from vecdb.engine.database import Database
from vecdb.engine.options import EngineOptions
from vecdb.errors import VecdbError
from vecdb.model import query
from vecdb.model.context import CallContext
from vecdb.model.info import Limits, ServerInfo
from vecdb.model.keyword import Keyword
from vecdb.model.query import SearchRequest
from vecdb.model.schema import VectorField
from vecdb.storage.memory import MemoryKV
from vecdb.v1 import admin_pb2, collections_pb2, points_pb2, search_pb2, search_pb2_grpc
from vecdb.wire import convert
from vecdb.wire.address import is_loopback
from vecdb.wire.calls import Calls
from vecdb.wire.gates import Gates
from vecdb.wire.limits import check_search
from vecdb.wire.server import SERVICES, Server
from vecdb.wire.status import from_rpc

LOW = Limits(search_hits=50, search_window=20, search_legs=2, ef=30, dim=4, fields=2)
ENGINE = EngineOptions(background=False, max_batch_rows=10, max_payload_bytes=40, max_text_bytes=30, max_collections=2)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(MemoryKV(), tmp_path, ENGINE)
    yield database
    failpoint.disarm()
    database.close()


@pytest.fixture
def server(serve: Callable[..., Server], database: Database) -> Server:
    """One that takes little."""
    return serve(database, info=ServerInfo(limits=LOW))


@pytest.fixture
def db(server: Server) -> Iterator[Client]:
    with Client(GrpcTransport(server.address), 30) as client:
        yield client


def ones(n: int = 1, dim: int = 4) -> Any:
    return np.ones((n, dim), np.float32)


def test_it_tells_them(db: Client) -> None:
    told = db.info().limits
    assert (told.dim, told.search_window, told.ef, told.search_hits) == (4, 20, 30, 50)
    assert (told.batch_rows, told.payload_bytes, told.text_bytes, told.collections) == (10, 40, 30, 2)


def test_it_tells_no_more_than_there_is(serve: Callable[..., Server], database: Database) -> None:
    high = Limits(search_window=10**6, ef=10**6, dim=10**6, batch_rows=10**6)
    with Client(GrpcTransport(serve(database, info=ServerInfo(limits=high)).address), 30) as client:
        told = client.info().limits
    assert (told.search_window, told.ef, told.dim, told.batch_rows) == (10_000, 10_000, 65_536, 10)


@pytest.mark.parametrize(
    ("what", "kind", "field", "expected", "received"),
    [
        ("dim", errors.InvalidArgument, 'schema.vectors[""].dim', "<= 4", "5"),
        ("fields", errors.InvalidArgument, "schema.vectors", "<= 2", "3"),
        ("collections", errors.ResourceExhausted, None, "<= 2", "3"),
        ("k", errors.InvalidArgument, "limit", "<= 20", "21"),
        ("window", errors.InvalidArgument, "limit", "<= 20", "25"),
        ("ef", errors.InvalidArgument, "ef", "<= 30", "31"),
        ("legs", errors.InvalidArgument, "legs", "<= 2", "3"),
        ("payload", errors.InvalidArgument, "operations[0].payloads[1]", "<= 40 bytes", "41 bytes"),
        ("text", errors.InvalidArgument, 'operations[0].texts[""][0]', "<= 30 bytes", "31 bytes"),
        ("rows", errors.TooLarge, "operations", "<= 10 rows", "12"),
    ],
)
def test_one_more_is_refused(
    db: Client, what: str, kind: type[VecdbError], field: str | None, expected: str, received: str
) -> None:
    docs = db.create_collection("docs", dim=4)
    db.create_collection("more", vectors={"a": VectorField(4), "b": VectorField(1)})
    calls: dict[str, Callable[[], object]] = {
        "dim": lambda: db.create_collection("wide", dim=5),
        "fields": lambda: db.create_collection("many", vectors={name: VectorField(1) for name in "abc"}),
        "collections": lambda: db.create_collection("third", dim=2),
        "k": lambda: docs.search(ones()[0], limit=21),
        "window": lambda: docs.search(ones()[0], limit=20, offset=5),
        "ef": lambda: docs.search(ones()[0], ef=31),
        "legs": lambda: docs.search(legs=[_near() for _ in range(3)]),
        "payload": lambda: docs.upsert(["a", "b"], ones(2), payloads=[{}, {"text": "x" * 30}]),
        "text": lambda: docs.upsert(["a"], ones(), texts=["x" * 31]),
        "rows": lambda: docs.write([Upsert(ids=[f"{i}" for i in range(6)], vectors=ones(6))] * 2),
    }
    with pytest.raises(kind) as refused:
        calls[what]()
    error = refused.value
    assert type(error) is kind
    assert (error.field, error.expected, error.received) == (field, expected, received)
    assert docs.count() == 0


def _near() -> Near:
    return Near(ones()[0])


def test_what_is_just_allowed_is_taken(db: Client) -> None:
    docs = db.create_collection("docs", dim=4)
    docs.upsert([f"{i}" for i in range(10)], ones(10), payloads=[{"t": "x" * 32}] * 10, texts=["x" * 30] * 10)
    assert len(docs.search(ones()[0], limit=15, offset=5, ef=30)) == 5
    assert len(docs.search(legs=[_near(), _near()], limit=20)) == 10


def test_an_upload_of_more_rows_goes_in_several_batches(db: Client) -> None:
    docs = db.create_collection("docs", dim=4)
    ids = [f"{i}" for i in range(25)]
    assert docs.upsert(ids, ones(25)).count == 25
    assert docs.describe().points == 25
    assert docs.delete(ids).count == 25
    assert docs.stats().seq == 6


def test_more_queries_than_one_answer_holds_are_asked_in_several_calls(db: Client, channel: grpc.Channel) -> None:
    docs = db.create_collection("docs", dim=4)
    docs.upsert(["a", "b"], ones(2))
    assert [len(found) for found in docs.search_batch(ones(30), limit=20)] == [2] * 30
    message = convert.search_to_proto("docs", SearchRequest([query.Near(ones(3))], limit=17))
    with pytest.raises(grpc.RpcError) as refused:  # which the client would not have sent so
        search_pb2_grpc.SearchServiceStub(channel).Search(message, timeout=30)
    error = from_rpc(refused.value)
    assert (type(error), error.field, error.received) == (errors.TooLarge, "limit", "51")


def test_more_text_than_one_call_searches_for_is_refused() -> None:
    long = Keyword(["x" * 10_000] * 101)
    with pytest.raises(errors.TooLarge) as too_much:
        check_search(SearchRequest([long], limit=1), Limits())
    assert (too_much.value.field, too_much.value.received) == ("legs", "1010000")
    check_search(SearchRequest([Keyword(["x" * 10_000] * 100)], limit=1), Limits())


# -- work past its deadline --


def test_a_write_that_waited_past_its_deadline_is_not_carried_out(
    db: Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk was slow, its caller was told so and has gone; what follows is not held up by it either."""
    docs = db.create_collection("docs", dim=4)
    reached, go_on = threading.Event(), threading.Event()

    def hold(name: str) -> None:
        reached.set()
        assert go_on.wait(60)

    context_of = Calls.context
    contexts: list[CallContext] = []

    def noted(calls: Calls, *given: Any) -> CallContext:
        contexts.append(context_of(calls, *given))
        return contexts[-1]

    monkeypatch.setattr(Calls, "context", noted)
    failpoint.arm("commit.before_final", hold)
    first = threading.Thread(target=lambda: docs.upsert(["first"], ones()))
    first.start()
    assert reached.wait(60)
    with Client(GrpcTransport(server.address), 0.1) as hasty:
        hasty._transport._known(30)  # type: ignore[attr-defined]
        for call in (
            lambda: hasty.collection("docs").upsert(["late"], ones()),
            lambda: hasty.create_collection("late", dim=2),
        ):
            with pytest.raises(errors.DeadlineExceeded):
                call()
    for context in contexts[1:]:  # that of the server may end after that of the caller, by as long as a call travels
        while left := context.remaining():
            threading.Event().wait(left)
    go_on.set()
    first.join(60)
    assert docs.upsert(["last"], ones()).seq == 2
    assert docs.exists(["first", "late", "last"]).tolist() == [True, False, True]
    assert [info.name for info in db.list_collections()] == ["docs"]


# -- who may reach it --


@pytest.mark.parametrize(
    ("address", "alone"),
    [
        ("127.0.0.1:1", True),
        ("127.8.9.10:1", True),
        ("localhost:1", True),
        ("[::1]:1", True),
        ("[::ffff:127.0.0.1]:1", True),
        ("unix:/tmp/a", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("10.0.0.1:1", False),
        ("[::ffff:10.0.0.1]:1", False),
        ("localhost.example.org:1", False),
        ("db:1", False),
        ("127.0.0.1.example.org:1", False),
    ],
)
def test_which_addresses_only_this_machine_reaches(address: str, alone: bool) -> None:
    assert is_loopback(address) is alone


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0"])
def test_an_address_that_others_reach_is_meant(serve: Callable[..., Server], database: Database, address: str) -> None:
    with pytest.raises(errors.FailedPrecondition, match="--insecure") as refused:
        serve(database, address=address)
    assert (refused.value.field, refused.value.received) == ("address", address)
    server = serve(database, address="0.0.0.0:0", insecure=True)
    with Client(GrpcTransport(server.address.replace("0.0.0.0", "127.0.0.1")), 10) as client:
        assert client.list_collections() == []


# -- gates --


def test_every_call_that_may_wait_has_a_gate() -> None:
    every = {
        f"/{service.full_name}/{name}"
        for file in (admin_pb2, collections_pb2, points_pb2, search_pb2)
        for service in file.DESCRIPTOR.services_by_name.values()
        for name in service.methods_by_name
    }
    assert {path.split("/")[1] for path in every} == set(SERVICES)
    gated = set(Gates(1, 1, 1, 1).by_method)
    assert gated < every
    assert every - gated == {"/vecdb.v1.AdminService/Info", "/vecdb.v1.AdminService/DatabaseStats"}
