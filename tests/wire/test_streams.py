"""Searches over a stream: each message stands for itself, and the stream goes on."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.wire.fake_engine import FakeDatabase, Row
from vecdb import errors
from vecdb.model.context import CallContext
from vecdb.model.filter.expression import F
from vecdb.model.query import SearchAnswer, SearchRequest
from vecdb.model.schema import Schema, VectorField
from vecdb.v1 import columns_pb2, leg_pb2, search_pb2, search_pb2_grpc
from vecdb.wire.server import Server
from vecdb.wire.status import from_message, from_rpc

Serve = Callable[..., Server]


class Waiting(FakeDatabase):
    """An engine whose searches wait to be let through; ``reached`` counts those that came in."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)

    def search(self, context: CallContext, name: str, request: SearchRequest) -> SearchAnswer:
        self.reached.release()
        assert self.go_on.acquire(timeout=10)
        return super().search(context, name, request)


class Stream:
    """A stream as a client in any language would use it."""

    def __init__(self, channel: grpc.Channel, metadata: Any = ()) -> None:
        self.requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.call = search_pb2_grpc.SearchServiceStub(channel).SearchStream(
            iter(self.requests.get, None), metadata=metadata, timeout=60
        )

    def send(self, number: int, search: bytes, timeout_ms: float | None = None) -> None:
        self.requests.put(search_pb2.SearchStreamRequest(number=number, search=search, timeout_ms=timeout_ms))

    def ask(self, number: int, search: bytes, timeout_ms: float | None = None) -> search_pb2.SearchStreamResponse:
        self.send(number, search, timeout_ms)
        return next(self.call)

    def end(self) -> None:
        self.requests.put(None)
        self.call.cancel()


@pytest.fixture
def begin() -> Iterator[Callable[..., Stream]]:
    """``begin(channel)`` begins a stream that ends with the test."""
    begun: list[Stream] = []

    def begin_(*given: Any) -> Stream:
        begun.append(Stream(*given))
        return begun[-1]

    yield begin_
    for stream in begun:
        stream.end()


def docs(engine: FakeDatabase, points: int = 3) -> FakeDatabase:
    engine.create_collection(CallContext(), "docs", Schema({"": VectorField(2)}))
    for i in range(points):
        engine.collections["docs"].rows[f"{i}"] = Row(i)
    return engine


def search(collection: str = "docs", limit: int = 10) -> search_pb2.SearchRequest:
    near = leg_pb2.Near(vectors=columns_pb2.Vectors(dim=2, values=[1, 2]))
    return search_pb2.SearchRequest(collection=collection, legs=[leg_pb2.Leg(near=near)], limit=limit)


def encoded(**given: Any) -> bytes:
    return search(**given).SerializeToString()


def hits(answer: search_pb2.SearchStreamResponse) -> list[str]:
    assert answer.WhichOneof("result") == "answer"
    return list(search_pb2.SearchResponse.FromString(answer.answer).hits.ids)


def error(answer: search_pb2.SearchStreamResponse) -> errors.VecdbError:
    assert answer.WhichOneof("result") == "status"
    return from_message(answer.status)


def test_a_message_is_answered_as_a_call_of_its_own(
    channel: grpc.Channel, engine: FakeDatabase, begin: Callable[..., Stream]
) -> None:
    docs(engine)
    stub, stream = search_pb2_grpc.SearchServiceStub(channel), begin(channel)
    for number in (7, 3, 2**64 - 1):
        answer = stream.ask(number, encoded())
        assert answer.number == number
        assert search_pb2.SearchResponse.FromString(answer.answer) == stub.Search(search(), timeout=10)


def test_messages_are_answered_in_order(
    channel: grpc.Channel, engine: FakeDatabase, begin: Callable[..., Stream]
) -> None:
    docs(engine)
    stream = begin(channel)
    for number in range(1, 4):
        stream.send(number, encoded(limit=number))
    for number in range(1, 4):
        answer = next(stream.call)
        assert (answer.number, len(hits(answer))) == (number, number)


def test_an_error_is_the_answer_of_its_message(
    channel: grpc.Channel, engine: FakeDatabase, begin: Callable[..., Stream], caplog: pytest.LogCaptureFixture
) -> None:
    docs(engine)
    stream = begin(channel)
    missing = error(stream.ask(1, encoded(collection="nowhere")))
    assert (type(missing), missing.field, missing.received) == (errors.CollectionNotFound, "collection", "'nowhere'")
    assert type(error(stream.ask(2, b"\xff\xff"))) is errors.InvalidArgument
    engine.fail = errors.IndexingBehind("behind", retry_after_s=2.0)
    assert error(stream.ask(3, encoded())).retry_after_s == 2.0
    engine.fail = ZeroDivisionError("secret")
    with caplog.at_level(logging.ERROR):
        defect = error(stream.ask(4, encoded()))
    assert type(defect) is errors.Internal
    assert "secret" not in str(defect)
    assert caplog.records[0].exc_info is not None
    engine.fail = None
    assert hits(stream.ask(5, encoded())) == ["0", "1", "2"]


def test_a_message_that_cannot_be_parsed_ends_the_stream(channel: grpc.Channel, server: Server) -> None:
    """Its number is not known, so nobody could be told."""
    call = channel.stream_stream("/vecdb.v1.SearchService/SearchStream")(iter([b"\xff\xff\xff"]), timeout=10)
    with pytest.raises(grpc.RpcError) as failed:
        next(call)
    assert type(from_rpc(failed.value)) is errors.InvalidArgument


def test_who_asks_is_known_from_the_beginning(
    channel: grpc.Channel, engine: FakeDatabase, begin: Callable[..., Stream]
) -> None:
    docs(engine)
    stream = begin(channel, [("x-scope", "tenant=a")])
    for number in (1, 2):
        assert len(hits(stream.ask(number, encoded(), 60_000))) == 3
    contexts = [context for name, context, _ in engine.calls if name == "search"]
    assert [context.scope for context in contexts] == [(F("tenant") == "a")] * 2
    assert all(0 < (context.remaining() or 0) <= 60 for context in contexts)


def test_a_message_without_a_timeout_has_no_deadline(
    channel: grpc.Channel, engine: FakeDatabase, begin: Callable[..., Stream]
) -> None:
    docs(engine)
    begin(channel).ask(1, encoded())
    assert engine.calls[-1][1].deadline is None


def test_what_comes_too_late_is_not_begun(
    channel: grpc.Channel, engine: FakeDatabase, begin: Callable[..., Stream]
) -> None:
    docs(engine)
    stream = begin(channel)
    assert type(error(stream.ask(1, encoded(), 0.0))) is errors.DeadlineExceeded
    assert [name for name, _, _ in engine.calls] == ["create_collection"]
    assert len(hits(stream.ask(2, encoded(), 60_000))) == 3


# -- how much the server takes on --


def test_an_idle_stream_keeps_nobody_out(serve: Serve, begin: Callable[..., Stream]) -> None:
    engine = Waiting()
    server = serve(docs(engine), max_calls=1)
    with grpc.insecure_channel(server.address) as channel:
        streams = [begin(channel) for _ in range(4)]
        for stream in streams:
            engine.go_on.release()
            assert len(hits(stream.ask(1, encoded()))) == 3
            assert engine.reached.acquire(timeout=60)
        streams[0].send(2, encoded())
        assert engine.reached.acquire(timeout=60)
        for stream in streams[1:]:  # the one place is taken now; a refusal is that message's alone
            refused = error(stream.ask(2, encoded()))
            assert (type(refused), refused.expected) == (errors.ResourceExhausted, "at most 1 at once")
            assert refused.retry_after_s is not None
        engine.go_on.release(4)
        assert len(hits(next(streams[0].call))) == 3
        for stream in streams[1:]:
            assert len(hits(stream.ask(3, encoded()))) == 3


def test_streams_are_bounded_and_the_rest_goes_on(
    serve: Serve, engine: FakeDatabase, begin: Callable[..., Stream]
) -> None:
    server = serve(docs(engine), max_streams=2, max_calls=1)
    with grpc.insecure_channel(server.address) as channel:
        streams = [begin(channel) for _ in range(2)]
        for stream in streams:
            assert len(hits(stream.ask(1, encoded()))) == 3
        with pytest.raises(grpc.RpcError) as failed:
            begin(channel).ask(1, encoded())
        refused = from_rpc(failed.value)
        assert (type(refused), refused.expected) == (errors.ResourceExhausted, "at most 2 at once")
        stub = search_pb2_grpc.SearchServiceStub(channel)
        assert len(stub.Search(search(), timeout=10).hits.ids) == 3
        health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        streams[0].requests.put(None)  # no more from here: the server ends it, and its place is free
        assert next(streams[0].call, None) is None
        assert len(hits(begin(channel).ask(1, encoded()))) == 3


def test_a_stream_whose_client_has_gone_gives_its_place_back(
    serve: Serve, engine: FakeDatabase, begin: Callable[..., Stream], caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(docs(engine), max_streams=1)
    with grpc.insecure_channel(server.address) as channel:
        for _ in range(3):
            while True:  # the server hears of the cancellation a moment later
                try:
                    stream = begin(channel)
                    assert len(hits(stream.ask(1, encoded()))) == 3
                    break
                except grpc.RpcError as refused:
                    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            stream.end()
    assert caplog.records == []


# -- stopping --


def test_an_idle_stream_does_not_hold_a_server_that_stops(
    serve: Serve, engine: FakeDatabase, begin: Callable[..., Stream]
) -> None:
    server = serve(docs(engine))
    with grpc.insecure_channel(server.address) as channel:
        stream = begin(channel)
        stream.ask(1, encoded())
        server.stop(grace_s=3_600)
        with contextlib.suppress(grpc.RpcError):  # cancelled, or ended where it had not begun to wait
            assert next(stream.call, None) is None


def test_a_search_under_way_is_answered_before_its_stream_ends(serve: Serve, begin: Callable[..., Stream]) -> None:
    engine = Waiting()
    server = serve(docs(engine))
    with grpc.insecure_channel(server.address) as channel:
        stream = begin(channel)
        stream.send(1, encoded())
        assert engine.reached.acquire(timeout=60)
        stopping = threading.Thread(target=server.stop, args=(3_600,))
        stopping.start()
        while not server._streams._ending:
            stopping.join(0.001)
        engine.go_on.release()
        assert len(hits(next(stream.call))) == 3
        assert next(stream.call, None) is None
        stopping.join(60)
        assert not stopping.is_alive()
