"""What a channel does between the caller and the server: retry what is safe, explain what failed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from tests.project.repository import ROOT
from tests.wire.fake_engine import FakeDatabase
from vecdb import Boost, Near, RelativeScore, SparseField, TextField, connect, errors
from vecdb.client.channel import with_port
from vecdb.client.client import Client
from vecdb.client.transport_grpc import GrpcTransport
from vecdb.model.filter.expression import F
from vecdb.model.info import Limits, ServerInfo
from vecdb.v1 import points_pb2, points_pb2_grpc, search_pb2, search_pb2_grpc
from vecdb.wire.server import Server, ServerOptions


@pytest.fixture
def engine() -> FakeDatabase:
    return FakeDatabase()


@pytest.fixture
def start(engine: FakeDatabase) -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def begin(address: str = "127.0.0.1:0", **options: Any) -> Server:
        started.append(Server(engine, ServerOptions(address=address, **options)))  # type: ignore[arg-type]
        started[-1].start()
        return started[-1]

    yield begin
    for server in started:
        server.stop(grace_s=0)


def calls(engine: FakeDatabase, name: str) -> list[Any]:
    return [context for called, context, _ in engine.calls if called == name]


# -- retries --


class Flaky(FakeDatabase):
    """Fails the first ``failures`` calls of each kind with UNAVAILABLE."""

    failures = 2

    def _met(self, name: str, context: Any, *arguments: Any) -> None:
        super()._met(name, context, *arguments)
        if len(calls(self, name)) <= self.failures:
            raise errors.CollectionLoading("soon", retry_after_s=0.001)

    def rename_collection(self, context: Any, *given: str) -> None:
        self._met("rename_collection", context, *given)

    def set_alias(self, context: Any, *given: str) -> None:
        self._met("set_alias", context, *given)

    def drop_alias(self, context: Any, *given: str) -> None:
        self._met("drop_alias", context, *given)


def test_what_is_safe_is_sent_again_with_the_same_request_id() -> None:
    engine = Flaky()
    server = Server(engine, ServerOptions(address="127.0.0.1:0"))  # type: ignore[arg-type]
    server.start()
    with connect(server.address) as client:
        engine.failures = 0
        docs = client.create_collection("docs", dim=2)
        engine.failures = 2
        assert docs.upsert(["a"], [[1, 2]]).count == 1
        assert docs.count() == 1
        assert docs.search([1, 2]).ids == ["a"]
        writes = calls(engine, "write")
        assert len(writes) == 3
        assert len({context.request_id for context in writes}) == 1
        assert len(calls(engine, "count")) == len(calls(engine, "search")) == 3
    server.stop(grace_s=0)


def test_a_large_message_is_sent_again_too() -> None:
    engine = Flaky()
    server = Server(engine, ServerOptions(address="127.0.0.1:0"))  # type: ignore[arg-type]
    server.start()
    with connect(server.address) as client:
        engine.failures = 0
        docs = client.create_collection("docs", dim=2)
        engine.failures = 1
        assert docs.upsert(range(20), texts=["x" * (1 << 20)] * 20).count == 20
    server.stop(grace_s=0)


def test_creating_dropping_and_naming_are_not_repeated() -> None:
    engine = Flaky()
    server = Server(engine, ServerOptions(address="127.0.0.1:0"))  # type: ignore[arg-type]
    server.start()
    with connect(server.address) as client:
        for call in (
            lambda: client.create_collection("docs", dim=2),
            lambda: client.drop_collection("docs"),
            lambda: client.rename_collection("docs", "new"),
            lambda: client.alias("also", "docs"),
            lambda: client.drop_alias("also"),
        ):
            with pytest.raises(errors.CollectionLoading):
                call()
    assert len(engine.calls) == 5
    server.stop(grace_s=0)


@pytest.mark.parametrize("kind", [errors.InvalidArgument, errors.ResourceExhausted, errors.Internal, errors.DataLoss])
def test_other_errors_are_not_repeated(start: Callable[..., Server], engine: FakeDatabase, kind: Any) -> None:
    engine.fail = kind("no")
    with connect(start().address) as client, pytest.raises(kind):
        client.collection("docs").count()
    assert len(engine.calls) == 1


class Stopping(points_pb2_grpc.PointsServiceServicer):
    """Cancels the first ``times`` calls, as gRPC does with those that a server which stops can no longer answer."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.met = 0

    def Count(self, request: Any, context: grpc.ServicerContext) -> points_pb2.CountResponse:
        self.met += 1
        if self.met <= self.times:
            context.abort(grpc.StatusCode.CANCELLED, "Cancelled")
        return points_pb2.CountResponse(count=7)


@pytest.mark.parametrize("times", [1, 100], ids=["then answered", "for ever"])
def test_what_a_stopping_server_cancels_is_sent_again_and_is_nobodys_wish(times: int) -> None:
    stopping = Stopping(times)
    server = grpc.server(ThreadPoolExecutor(1))
    points_pb2_grpc.add_PointsServiceServicer_to_server(stopping, server)
    transport = GrpcTransport(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    transport._info = ServerInfo()
    server.start()
    with Client(transport, 30) as client:
        if times == 1:
            assert client.collection("docs").count() == 7
        else:
            with pytest.raises(errors.Unavailable, match="ended the call"):
                client.collection("docs").count()
    assert stopping.met == min(times + 1, 5)
    server.stop(None).wait()


# -- what gRPC itself has to say --


def test_a_server_that_is_not_there_is_named() -> None:
    transport = GrpcTransport("127.0.0.1:1")
    transport._info = ServerInfo()
    with Client(transport, 5) as client, pytest.raises(errors.Unavailable) as failed:
        client.drop_collection("docs")  # the one kind of call that is not repeated
    assert "127.0.0.1:1" in str(failed.value)


def test_without_time_nothing_is_sent(start: Callable[..., Server], engine: FakeDatabase) -> None:
    with connect(start().address) as client:
        client.info()
        for timeout in (0, -1):
            with pytest.raises(errors.DeadlineExceeded):
                client.collection("docs").count(timeout=timeout)
    assert engine.calls == []


def test_a_deadline_is_told_in_seconds(start: Callable[..., Server], engine: FakeDatabase) -> None:
    over = threading.Event()
    engine.count = lambda context, name, filter=None: over.wait(30)  # type: ignore[method-assign, assignment, return-value]
    address = start().address
    with connect(address) as client, pytest.raises(errors.DeadlineExceeded) as failed:
        client.info()
        client.collection("docs").count(timeout=0.05)
    assert failed.value.message == f"no answer from {address} within 0.05 s"
    over.set()


def test_nothing_goes_out_before_it_is_needed() -> None:
    with connect("127.0.0.1:1") as client:
        client.collection("docs")


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("localhost", "localhost:50051"),
        ("localhost:1", "localhost:1"),
        ("[::1]", "[::1]:50051"),
        ("[::1]:7", "[::1]:7"),
        ("unix:/tmp/x", "unix:/tmp/x"),
        ("dns:///host:3", "dns:///host:3"),
    ],
)
def test_the_port_of_vecdb_is_the_default(given: str, used: str) -> None:
    assert with_port(given) == used


@pytest.mark.parametrize("address", ["", "a\0b"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(errors.InvalidArgument):
        connect(address)


def test_a_name_that_protobuf_cannot_hold_is_the_callers_mistake(start: Callable[..., Server]) -> None:
    with connect(start().address) as client, pytest.raises(errors.InvalidArgument):
        client.collection("docs").search([1], using="\ud800")


# -- headers --


def test_the_api_key_travels_as_a_bearer_token() -> None:
    seen: list[Any] = []
    engine = FakeDatabase()
    server = Server(engine, ServerOptions(address="127.0.0.1:0"), seen.append)  # type: ignore[arg-type, func-returns-value]
    server.start()
    keys = iter(["first", "second", "third"])
    with connect(server.address, api_key="fixed") as client:
        client.list_collections()
    with connect(server.address, api_key=lambda: next(keys)) as client:
        client.list_collections()
        client.list_collections()
    with connect(server.address) as client:
        client.list_collections()
    assert [metadata.get("authorization") for metadata in seen] == [
        "Bearer fixed",
        "Bearer second",
        "Bearer third",
        None,
    ]
    server.stop(grace_s=0)


def test_a_certificate_file_must_be_there(tmp_path: Any) -> None:
    with connect("localhost", tls=tmp_path / "none.pem") as client, pytest.raises(errors.InvalidArgument) as refused:
        client.list_collections()
    assert refused.value.field == "tls"


# -- features and limits --


def test_the_server_is_asked_once_what_it_can_do(start: Callable[..., Server], engine: FakeDatabase) -> None:
    server = start(info=ServerInfo(version="0.0.9", features=("search.near",)))
    with connect(server.address) as client:
        client.create_collection("docs", dim=2)
        docs = client.collection("docs")
        docs.search([1, 2])
        for call, feature in (
            (lambda: docs.upsert(["a"]), "write.request_id"),
            (lambda: docs.search([1, 2], explain=True), "search.explain"),
            (client.reopen, "reopen"),
        ):
            with pytest.raises(errors.Unimplemented) as refused:
                call()
            assert refused.value.expected == feature
            assert "0.0.9" in str(refused.value)
        assert calls(engine, "write") == []
        assert client.info() is client.info()


def test_what_an_older_server_does_not_know_of_writes_is_refused_by_name(
    start: Callable[..., Server], engine: FakeDatabase
) -> None:
    """It would upsert without the condition, or for ever; what it knows goes through."""
    server = start(info=ServerInfo(features=("write.request_id",)))
    with connect(server.address) as client:
        client.create_collection("docs", dim=2)
        docs = client.collection("docs")
        for call, feature in (
            (lambda: docs.delete(filter=F("n") == 1), "write.filter"),
            (lambda: docs.update(filter=F("n") == 1, unset=["n"]), "write.filter"),
            (lambda: docs.update(["a"], payloads=[{}]), "write.merge"),
            (lambda: docs.update(["a"], unset=["n"], payload_mode="replace"), "write.merge"),
            (lambda: docs.delete(["a"], if_version=1), "write.condition"),
            (lambda: docs.insert(["a"], ttl=1), "write.ttl"),
            (lambda: docs.insert(["a"], sparse=[{1: 1.0}]), "write.sparse"),
        ):
            with pytest.raises(errors.Unimplemented) as refused:
                call()
            assert refused.value.expected == feature
        assert calls(engine, "write") == []
        docs.upsert(["a"], payloads=[{"n": 1}])
        docs.update(["a"], texts=["x"])
        docs.update(["a"], payloads=[{"n": 2}], payload_mode="replace")
        docs.delete(["a"])
        assert len(calls(engine, "write")) == 4


def test_what_an_older_server_would_leave_out_of_a_search_is_refused_by_name(
    start: Callable[..., Server], engine: FakeDatabase
) -> None:
    known = ("search.near", "search.rrf", "collections.change_schema")
    with connect(start(info=ServerInfo(features=known)).address) as client:
        docs = client.create_collection("docs", dim=2)
        for call, feature in (
            (lambda: docs.search(text="a"), "search.keyword"),
            (lambda: docs.search([1, 2], text="a"), "search.keyword"),
            (lambda: docs.search_batch(texts=["a"]), "search.keyword"),
            (lambda: docs.search(sparse={1: 1.0}), "search.sparse"),
            (lambda: docs.add_sparse_field("s"), "schema.sparse"),
            (lambda: client.create_collection("more", sparse={"s": SparseField()}), "schema.sparse"),
            (lambda: docs.search(legs=[Near([1, 2])] * 2, fusion=RelativeScore()), "search.fusion"),
            (lambda: docs.search([1, 2], highlight=True), "search.highlight"),
            (lambda: docs.search([1, 2], modifiers=Boost("n", 1)), "search.modifiers"),
            (lambda: docs.search([1, 2], mmr=0.5), "search.mmr"),
            (lambda: docs.search([1, 2], target_recall=0.9), "search.target_recall"),
            (docs.measure_recall, "recall.measure"),
            (lambda: docs.analyze("a"), "analyze"),
            (lambda: docs.set_text_field("", TextField("english")), "schema.texts"),
            (lambda: docs.add_text_field("t", TextField(k1=1)), "schema.texts"),
            (lambda: client.create_collection("more", dim=2, texts={"t": TextField(keywords=False)}), "schema.texts"),
        ):
            with pytest.raises(errors.Unimplemented) as refused:
                call()
            assert refused.value.expected == feature
        assert calls(engine, "search") == []
        docs.search(legs=[Near([1, 2])] * 2)
        docs.search([1, 2], rerank=lambda query, hits: [1.0] * len(hits))  # which is no business of the server
        assert len(calls(engine, "search")) == 2


def test_uploads_are_cut_to_what_the_server_takes(start: Callable[..., Server], engine: FakeDatabase) -> None:
    with connect(start(info=ServerInfo(limits=Limits(message_bytes=100_000))).address) as client:
        docs = client.create_collection("docs", dim=2)
        assert docs.upsert(range(100), texts=["x" * 1000] * 100).count == 100
        assert docs.count() == 100
    assert len(calls(engine, "write")) > 1


# -- servers that are not as they should be --


@pytest.fixture
def broken() -> Iterator[str]:
    """The address of a server whose answers do not fit together."""

    class Points(points_pb2_grpc.PointsServiceServicer):
        def Write(self, request: Any, context: Any) -> Any:
            return points_pb2.WriteResponse(seq="soon")

        def Get(self, request: Any, context: Any) -> Any:
            return points_pb2.GetResponse(answered=0)

        def Exists(self, request: Any, context: Any) -> Any:
            return points_pb2.ExistsResponse(exists=b"\1\1\1")

    class Search(search_pb2_grpc.SearchServiceServicer):
        def Search(self, request: Any, context: Any) -> Any:
            return search_pb2.SearchResponse(counts=[3], seq="1")

    server = grpc.server(ThreadPoolExecutor(1))
    points_pb2_grpc.add_PointsServiceServicer_to_server(Points(), server)
    search_pb2_grpc.add_SearchServiceServicer_to_server(Search(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0)


def test_an_answer_that_does_not_fit_together_is_the_servers_mistake(broken: str) -> None:
    transport = GrpcTransport(broken)
    transport._info = ServerInfo()
    docs = Client(transport, 10).collection("docs")
    for call in (
        lambda: docs.upsert(["a"]),
        lambda: docs.get(["a"]),
        lambda: docs.exists(["a"]),
        lambda: docs.search([1]),
        docs.count,
    ):
        with pytest.raises((errors.Internal, errors.Unimplemented)):
            call()
    transport.close()


# -- processes --


def test_a_child_process_makes_a_channel_of_its_own(start: Callable[..., Server]) -> None:
    """In a process of its own, as gRPC's threads and fork do not mix with those of the server here."""
    program = """
import os, sys, vecdb
db = vecdb.connect(sys.argv[1], timeout=10)
transport = db._transport
before = transport._connection()
pid = os.fork()
if pid == 0:
    os._exit(0 if transport._connection() is not before and transport._connection() is transport._connection() else 1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
assert transport._connection() is before
"""
    done = subprocess.run(
        [sys.executable, "-c", program, start().address],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
