"""What a server does around every call: translate, refuse, tell its health, describe itself."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.wire.fake_engine import FakeDatabase, Row
from vecdb import errors
from vecdb.client.client import Client
from vecdb.client.health import health
from vecdb.client.transport_grpc import GrpcTransport
from vecdb.model.filter.expression import F
from vecdb.model.info import Limits, ServerInfo
from vecdb.model.state import DatabaseState
from vecdb.model.token import Token
from vecdb.v1 import points_pb2, points_pb2_grpc, search_pb2, search_pb2_grpc
from vecdb.wire.gates import WRITING
from vecdb.wire.health import Health
from vecdb.wire.server import SERVICES, Server
from vecdb.wire.status import from_rpc

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def raw(channel: grpc.Channel, method: str, request: bytes) -> bytes:
    return channel.unary_unary(method)(request, timeout=10)


def status(channel: grpc.Channel, service: str = "") -> int:
    request = health_pb2.HealthCheckRequest(service=service)
    return health_pb2_grpc.HealthStub(channel).Check(request, timeout=10).status


# -- errors --


@pytest.mark.parametrize("service", SERVICES)
def test_bytes_that_do_not_parse_are_the_callers_mistake(channel: grpc.Channel, service: str) -> None:
    method = {"CollectionsService": "CreateCollection", "PointsService": "Write", "SearchService": "Search"}.get(
        service.rpartition(".")[2], "Stats"
    )
    with pytest.raises(grpc.RpcError) as failed:
        raw(channel, f"/{service}/{method}", b"\xff\xff\xff")
    assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert from_rpc(failed.value).reason == "INVALID_ARGUMENT"


def test_an_error_of_the_engine_arrives_as_it_was_raised(client: Client, engine: FakeDatabase) -> None:
    engine.fail = errors.IndexingBehind("behind", field="f", expected="e", received="r", retry_after_s=2.0)
    with pytest.raises(errors.IndexingBehind) as failed:
        client.collection("docs").count()
    error = failed.value
    assert (error.message, error.field, error.expected, error.received) == ("behind", "f", "e", "r")
    assert error.retry_after_s == 2.0


def test_a_defect_is_internal_and_logged_with_its_traceback(
    client: Client, engine: FakeDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    engine.fail = ZeroDivisionError("secret")
    with caplog.at_level(logging.ERROR), pytest.raises(errors.Internal) as failed:
        client.collection("docs").count()
    assert "secret" not in str(failed.value)
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError
    number = record.getMessage().split()[1]
    assert number in str(failed.value)


def test_an_unknown_method_is_unimplemented(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        raw(channel, "/vecdb.v1.SearchService/Divine", b"")
    assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_message_over_the_limit_is_refused(serve: Callable[..., Server], engine: FakeDatabase) -> None:
    server = serve(engine, info=ServerInfo(limits=Limits(message_bytes=1000)))
    stub = points_pb2_grpc.PointsServiceStub(grpc.insecure_channel(server.address))
    with pytest.raises(grpc.RpcError) as failed:
        stub.Exists(points_pb2.ExistsRequest(ids=["x" * 100_000] * 20), timeout=10)
    assert type(from_rpc(failed.value)) is errors.ResourceExhausted
    assert engine.calls == []


# -- the context of a call --


def test_deadline_request_id_and_scope_reach_the_engine(server: Server, engine: FakeDatabase) -> None:
    with Client(GrpcTransport(server.address, metadata=[("x-scope", "tenant=a")]), 60) as client:
        docs = client.create_collection("docs", dim=2)
        docs.upsert(["a"], [[1, 2]], request_id=b"once")
    name, context, _ = engine.calls[-1]
    assert name == "write"
    assert context.request_id == b"once"
    assert context.scope == (F("tenant") == "a")
    assert context.principal is None
    remaining = context.remaining()
    assert remaining is not None
    assert 0 < remaining < 61  # gRPC rounds a timeout up


def test_a_call_without_a_deadline_has_none(server: Server, engine: FakeDatabase) -> None:
    with Client(GrpcTransport(server.address), None) as client:
        client.list_collections()
    assert engine.calls[-1][1].deadline is None
    assert engine.calls[-1][1].scope is None


# -- health and reflection --


def test_every_service_is_healthy(channel: grpc.Channel) -> None:
    assert {status(channel, service) for service in ("", *SERVICES)} == {SERVING}
    with pytest.raises(grpc.RpcError) as failed:
        status(channel, "vecdb.v1.NoService")
    assert failed.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_read_only_engine_still_searches(channel: grpc.Channel, engine: FakeDatabase) -> None:
    engine.read_only = "a sync failed"
    assert status(channel) == NOT_SERVING
    assert status(channel, "vecdb.v1.PointsService") == NOT_SERVING
    assert status(channel, "vecdb.v1.CollectionsService") == NOT_SERVING
    assert status(channel, "vecdb.v1.SearchService") == SERVING
    assert status(channel, "vecdb.v1.AdminService") == SERVING


def test_who_watches_hears_of_a_write_that_met_it(channel: grpc.Channel, client: Client, engine: FakeDatabase) -> None:
    docs = client.create_collection("docs", dim=2)
    watched = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=10)
    assert next(watched).status == SERVING
    engine.read_only = "a sync failed"
    engine.fail = errors.ReadOnly("a sync failed")
    with pytest.raises(errors.ReadOnly):
        docs.upsert(["a"], [[1, 2]])
    assert next(watched).status == NOT_SERVING
    watched.cancel()


def test_who_watches_hears_that_it_is_over(channel: grpc.Channel, client: Client, engine: FakeDatabase) -> None:
    """And so does who asks: health turned one way only."""
    engine.read_only = "a sync failed"
    watched = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=10)
    assert next(watched).status == SERVING  # nobody had told yet
    for changed in engine.watchers:
        changed()
    assert next(watched).status == NOT_SERVING
    client.reopen()
    for changed in engine.watchers:
        changed()
    assert next(watched).status == SERVING
    assert status(channel) == status(channel, "vecdb.v1.PointsService") == SERVING
    watched.cancel()


@pytest.mark.timeout(20)
def test_health_may_be_the_first_to_see_a_change() -> None:
    """It asks the engine, which tells those who watch of what it just saw: health itself among them. It hung."""
    changes = [DatabaseState("read_only", "a sync failed")]
    now = DatabaseState()

    def state() -> DatabaseState:
        nonlocal now
        if asked and changes:
            now = changes.pop()
            asked_health.refresh()
        return now

    asked = False
    asked_health = Health(state, SERVICES, WRITING)
    asked = True
    asked_health.refresh()
    assert asked_health._told[""] == NOT_SERVING
    assert asked_health._told["vecdb.v1.SearchService"] == SERVING


def test_what_cannot_even_be_read_does_not_serve_searches(channel: grpc.Channel, engine: FakeDatabase) -> None:
    engine.standing = "unavailable"
    engine.read_only = "the disk is gone"
    assert status(channel, "vecdb.v1.SearchService") == NOT_SERVING
    engine.read_only = None
    assert status(channel, "vecdb.v1.SearchService") == SERVING


def test_a_write_to_a_read_only_engine_is_sent_once(client: Client, engine: FakeDatabase) -> None:
    docs = client.create_collection("docs", dim=2)
    engine.fail = errors.ReadOnly("a sync failed")
    with pytest.raises(errors.ReadOnly):
        docs.upsert(["a"], [[1, 2]])
    assert [name for name, _, _ in engine.calls].count("write") == 1


def test_health_asked_by_hand(server: Server, engine: FakeDatabase) -> None:
    assert health(server.address, "", 10) == "SERVING"
    assert health(server.address, "vecdb.v1.SearchService", 10) == "SERVING"
    assert health(server.address, "nothing", 10).startswith("NOT_FOUND")
    engine.read_only = "a sync failed"
    assert health(server.address, "", 10) == "NOT_SERVING"


def test_the_services_are_described(channel: grpc.Channel) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    (answer,) = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=10)
    named = {service.name for service in answer.list_services_response.service}
    assert named >= {*SERVICES, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


# -- addresses --


def test_a_unix_socket(serve: Callable[..., Server], engine: FakeDatabase, tmp_path: Path) -> None:
    server = serve(engine, address=f"unix:{tmp_path}/vecdb.sock")
    assert server.address == f"unix:{tmp_path}/vecdb.sock"
    with Client(GrpcTransport(server.address), 10) as client:
        assert client.list_collections() == []


@pytest.mark.parametrize("address", ["127.0.0.1:99999999", "127.0.0.1", "127.0.0.1:", "256.256.256.256:0"])
def test_an_address_that_cannot_be_listened_on(
    serve: Callable[..., Server], engine: FakeDatabase, address: str
) -> None:
    with pytest.raises(errors.FailedPrecondition) as failed:
        serve(engine, address=address)
    assert failed.value.field == "address"


def test_two_servers_do_not_share_a_port(serve: Callable[..., Server], engine: FakeDatabase) -> None:
    first = serve(engine)
    with pytest.raises(errors.FailedPrecondition):
        serve(engine, address=first.address)


# -- load --


class Held(FakeDatabase):
    """An engine whose counts wait until let go of."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Semaphore(0)
        self.go = threading.Event()

    def count(self, context: object, name: str, filter: object = None) -> int:
        self.entered.release()
        self.go.wait(10)
        return 1


def test_above_the_bound_calls_are_refused_at_once_and_health_answers(serve: Callable[..., Server]) -> None:
    engine = Held()
    server = serve(engine, max_calls=2)
    with (
        Client(GrpcTransport(server.address), 10) as client,
        ThreadPoolExecutor() as pool,
        grpc.insecure_channel(server.address) as channel,
    ):
        docs = client.create_collection("docs", dim=2)
        held = [pool.submit(docs.count) for _ in range(2)]
        for _ in held:
            assert engine.entered.acquire(timeout=10)
        for call in (docs.count, lambda: docs.search([1, 2]), lambda: docs.get(["a"])):
            with pytest.raises(errors.ResourceExhausted) as refused:
                call()
            assert refused.value.retry_after_s
        assert docs.upsert(["a"], [[1, 2]]).count == 1  # writes have a bound of their own
        assert status(channel) == SERVING
        assert client.info().version
        assert docs.stats().live == 1
        engine.go.set()
        assert [call.result(10) for call in held] == [1, 1]
        assert docs.count() == 1


def test_a_large_request_waits_for_no_one_but_crowds_nobody_out(serve: Callable[..., Server]) -> None:
    engine = Held()
    server = serve(engine, max_calls=9, max_request_bytes=1000)
    with Client(GrpcTransport(server.address), 10) as client, ThreadPoolExecutor() as pool:
        docs = client.create_collection("docs", dim=2)
        assert docs.exists(["a" * 500] * 4).tolist() == [False] * 4  # alone it passes
        held = pool.submit(docs.count)
        assert engine.entered.acquire(timeout=10)
        with pytest.raises(errors.ResourceExhausted, match="bytes"):
            docs.exists(["a" * 500] * 4)
        engine.go.set()
        held.result(10)
        assert docs.exists(["a" * 500] * 4).tolist() == [False] * 4


# -- answers that do not fit one message --


@pytest.fixture
def small(serve: Callable[..., Server], engine: FakeDatabase) -> Server:
    """A server whose messages hold 2,000 bytes."""
    return serve(engine, info=ServerInfo(limits=Limits(message_bytes=2000)))


def fill(engine: FakeDatabase, server: Server, n: int) -> Client:
    """Points whose content is larger than an answer may be, written past the small server."""
    client = Client(GrpcTransport(server.address), 10)
    client.create_collection("docs", dim=4)
    kept = engine.collections["docs"]
    kept.seq = 1
    for i in range(n):
        kept.rows[f"{i:03d}"] = Row(
            1,
            json.dumps({"i": i, "filling": "x" * 200}).encode(),
            {"": f"text {i}"} if i % 3 else {},
            {"": np.full(4, i, np.float32)} if i % 2 else {},
        )
    return client


def test_get_goes_on_where_the_message_ended(engine: FakeDatabase, small: Server) -> None:
    with fill(engine, small, 30) as client:
        asked = ["nobody", *(f"{i:03d}" for i in range(30)), "007", "no one"]
        got = client.collection("docs").get(asked, with_vectors=True)
        assert [point.id for point in got] == asked[1:-1]
        assert [point.payload["i"] for point in got] == [*range(30), 7]
        assert [point.text for point in got[:4]] == [None, "text 1", "text 2", None]
        assert got[0].vector is None
        assert got[3].vector.tolist() == [3, 3, 3, 3]
        assert [name for name, _, _ in engine.calls].count("get") > 1


def test_a_point_larger_than_a_message_comes_alone(engine: FakeDatabase, small: Server) -> None:
    with fill(engine, small, 3) as client:
        engine.collections["docs"].rows["001"].payload = json.dumps({"x": "y" * 100_000}).encode()
        assert len(client.collection("docs").get(["000", "001", "002"])) == 3
        assert [point.id for point in client.collection("docs").scroll()] == ["000", "001", "002"]


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_scroll_goes_on_where_the_message_ended(engine: FakeDatabase, small: Server, batch: int) -> None:
    with fill(engine, small, 30) as client:
        got = list(client.collection("docs").scroll(batch=batch, with_vectors=True))
        assert [point.payload["i"] for point in got] == list(range(30))
        assert got[5].vector.tolist() == [5, 5, 5, 5]


def test_a_search_fetches_the_content_that_did_not_fit(engine: FakeDatabase, small: Server) -> None:
    with fill(engine, small, 20) as client:
        docs = client.collection("docs")
        plain = docs.search([1, 2, 3, 4], limit=20, with_payload=False, with_text=False)
        assert [name for name, _, _ in engine.calls].count("get") == 0
        got = docs.search([1, 2, 3, 4], limit=20, with_vectors=True)
        assert [name for name, _, _ in engine.calls].count("get") > 0
        assert got.ids == plain.ids
        assert got.scores.tolist() == plain.scores.tolist()
        assert [hit.payload["i"] for hit in got] == list(range(20))
        assert [hit.text for hit in got] == [f"text {i}" if i % 3 else None for i in range(20)]
        assert [None if hit.vector is None else hit.vector[0] for hit in got] == [
            i if i % 2 else None for i in range(20)
        ]


def test_a_batch_of_searches_fetches_it_too(engine: FakeDatabase, small: Server) -> None:
    with fill(engine, small, 9) as client:
        for result in client.collection("docs").search_batch(np.ones((3, 4)), with_vectors=True):
            assert [hit.payload["i"] for hit in result] == list(range(9))
            assert result[1].vector.tolist() == [1, 1, 1, 1]


def test_snippets_and_legs_come_with_what_did_not_fit(engine: FakeDatabase, small: Server) -> None:
    with fill(engine, small, 12) as client:
        docs = client.collection("docs")
        got = docs.search([1, 2, 3, 4], text="text", limit=12, highlight=True)
        searches = [given[1] for name, _, given in engine.calls if name == "search"]
        assert [request.select.payload for request in searches] == [True, False]
        assert [name for name, _, _ in engine.calls].count("get") > 0
        for i, hit in enumerate(got):
            assert hit.payload["i"] == i
            assert [snippet.marked("<", ">") for snippet in hit.snippets] == ([f"<t>ext {i}"] if i % 3 else [])
            assert hit.legs == [(i + 1, hit.score), (None, None)]
        engine.calls.clear()
        few = docs.search([1, 2, 3, 4], text="text", limit=2, highlight=True)
        assert [len(hit.snippets) for hit in few] == [0, 1]
        assert [name for name, _, _ in engine.calls] == ["search"]
        (whole,) = docs.search_batch(texts=["text"], limit=2, highlight=True)
        assert (whole[1].snippets, whole[1].legs) == (few[1].snippets, None)


def test_snippets_that_no_message_holds_are_told(engine: FakeDatabase, small: Server) -> None:
    with fill(engine, small, 20) as client:
        for row in engine.collections["docs"].rows.values():
            row.texts[""] = "x" * 300
        with pytest.raises(errors.TooLarge) as refused:
            client.collection("docs").search(text="x", limit=20, highlight=True)
        assert refused.value.field == "highlight"


def test_terms_of_texts_cross(engine: FakeDatabase, client: Client, channel: grpc.Channel) -> None:
    docs = client.create_collection("docs", dim=4)
    assert docs.analyze("一 word") == [Token("一 word", 0, 0, 6, "whole")]
    assert docs.analyze(["a"] * 1_001, field="title") == [[Token("a", 0, 0, 1, "whole")]] * 1_001
    assert [len(given[2]) for name, _, given in engine.calls if name == "analyze"] == [1, 1_000, 1]
    stub = search_pb2_grpc.SearchServiceStub(channel)
    with pytest.raises(grpc.RpcError) as refused:
        stub.Analyze(search_pb2.AnalyzeRequest(collection="docs", texts=["a"] * 1_001))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_search_starts_again_when_a_point_changed_under_it(engine: FakeDatabase, small: Server) -> None:
    class Changing(FakeDatabase):
        changes = 2

        def get(self, context: object, name: str, ids: object, select: object) -> object:
            if self.changes:
                self.changes -= 1
                kept = self.collections[name]
                kept.seq += 1
                kept.rows["005"].version = kept.seq
            return super().get(context, name, ids, select)

    changing = Changing()
    changing.__dict__.update(engine.__dict__)
    engine.get = changing.get  # type: ignore[method-assign]
    with fill(engine, small, 20) as client:
        changing.collections = engine.collections
        docs = client.collection("docs")
        assert docs.search([1, 2, 3, 4], limit=20)[5].version == 3
        changing.changes = 1000
        with pytest.raises(errors.Aborted):
            docs.search([1, 2, 3, 4], limit=20)


def test_a_page_has_a_limit(channel: grpc.Channel, client: Client) -> None:
    client.create_collection("docs", dim=2)
    stub = points_pb2_grpc.PointsServiceStub(channel)
    with pytest.raises(grpc.RpcError) as failed:
        stub.Scroll(points_pb2.ScrollRequest(collection="docs", limit=10_001), timeout=10)
    assert from_rpc(failed.value).field == "limit"
    assert stub.Scroll(points_pb2.ScrollRequest(collection="docs"), timeout=10).end


# -- waiting --


def test_waiting_is_done_in_turns(client: Client, engine: FakeDatabase) -> None:
    turns = iter([errors.DeadlineExceeded("not yet"), errors.DeadlineExceeded("not yet"), None])

    def wait_indexed(context: object, name: str) -> None:
        engine.calls.append(("wait_indexed", context, (name,)))  # type: ignore[arg-type]
        if (turn := next(turns)) is not None:
            raise turn

    engine.wait_indexed = wait_indexed  # type: ignore[method-assign]
    client.collection("docs").wait_indexed()
    assert [name for name, _, _ in engine.calls] == ["wait_indexed"] * 3
    remaining = engine.calls[0][1].remaining()
    assert remaining is not None
    assert remaining <= 10


def test_waiting_ends_with_the_callers_deadline(client: Client, engine: FakeDatabase) -> None:
    engine.fail = errors.DeadlineExceeded("not yet")
    with pytest.raises(errors.DeadlineExceeded):
        client.collection("docs").wait_indexed(timeout=5)
    assert len(engine.calls) == 1
