"""Searches over streams, blocking and awaited: what they save is elsewhere measured; here, that they lose nothing."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import grpc
import numpy as np
import pytest

import vecdb
from tests.wire.fake_engine import FakeDatabase, Row, scope_of_header
from vecdb.client import stream_pool
from vecdb.client.streams import PATH, SearchStreams
from vecdb.client.streams_async import AsyncSearchStreams
from vecdb.errors import CollectionLoading, CollectionNotFound, DeadlineExceeded, InvalidArgument
from vecdb.model.context import CallContext
from vecdb.model.filter.expression import F
from vecdb.model.query import Near, SearchAnswer, SearchRequest
from vecdb.model.schema import Schema, VectorField
from vecdb.v1 import search_pb2
from vecdb.wire import convert
from vecdb.wire.server import Server, ServerOptions

ROOT = Path(__file__).parents[2]


class Streams(Protocol):
    """What both kinds are here."""

    def search(self, request: bytes, timeout: float | None) -> bytes | None: ...
    def submit(self, request: bytes, timeout: float | None) -> Future[bytes | None]: ...
    def close(self) -> None: ...


class Blocking:
    """The kind for threads."""

    def __init__(self, address: str, headers: Any) -> None:
        self._channel = grpc.insecure_channel(address)
        self._streams = SearchStreams(self._channel, address, headers)
        self._threads = ThreadPoolExecutor(32)
        self.search = self._streams.search

    def submit(self, request: bytes, timeout: float | None) -> Future[bytes | None]:
        return self._threads.submit(self.search, request, timeout)

    def close(self) -> None:
        self._streams.close()
        self._channel.close()
        self._threads.shutdown()


class Awaited:
    """The kind for event loops, on a loop of its own."""

    def __init__(self, address: str, headers: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self._searches: list[Future[bytes | None]] = []
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self._run(self._begin(address, headers))

    async def _begin(self, address: str, headers: Any) -> None:
        self._channel = grpc.aio.insecure_channel(address)
        self._streams = AsyncSearchStreams(self._channel, address, headers)

    def _run(self, what: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(60)

    def submit(self, request: bytes, timeout: float | None) -> Future[bytes | None]:
        self._searches.append(asyncio.run_coroutine_threadsafe(self._streams.search(request, timeout), self.loop))
        return self._searches[-1]

    def search(self, request: bytes, timeout: float | None) -> bytes | None:
        return self.submit(request, timeout).result(60)

    async def _end(self) -> None:
        self._streams.close()
        await self._channel.close()
        await asyncio.gather(*map(asyncio.wrap_future, self._searches), return_exceptions=True)
        # As ``asyncio.run`` does: with the last channel gRPC stops the thread that would end its own tasks.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def close(self) -> None:
        if not self.loop.is_closed():
            self._run(self._end())
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(60)
            self.loop.close()


class Engine(FakeDatabase):
    """Ten points; with ``wait`` set, searches wait for ``go_on``."""

    def __init__(self) -> None:
        super().__init__()
        self.create_collection(CallContext(), "docs", Schema({"": VectorField(2)}))
        for i in range(10):
            self.collections["docs"].rows[f"{i}"] = Row(i)
        self.wait = False
        self.reached = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)

    def search(self, context: CallContext, name: str, request: SearchRequest) -> SearchAnswer:
        if self.wait:
            self.reached.release()
            assert self.go_on.acquire(timeout=60)
        return super().search(context, name, request)

    def searches(self) -> list[CallContext]:
        return [context for name, context, _ in self.calls if name == "search"]


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def serve(engine: Engine) -> Iterator[Callable[..., str]]:
    """``serve(**options)``: the address of a server of the engine; ``serve.stop()`` stops the last one.

    ``serve.idle()`` is how many streams of the last one wait for a search.
    """
    started: list[Server] = []

    def start(**options: Any) -> str:
        chosen = ServerOptions(**{"address": "127.0.0.1:0", **options})
        started.append(Server(engine, chosen, scope_of_header))  # type: ignore[arg-type]
        started[-1].start()
        return started[-1].address

    start.stop = lambda: started[-1].stop(0)  # type: ignore[attr-defined]
    start.idle = lambda: len(started[-1]._streams._idle)  # type: ignore[attr-defined]
    yield start
    engine.go_on.release(100)
    for server in started:
        server.stop(0)


@pytest.fixture(params=[Blocking, Awaited])
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[..., Streams]]:
    """``connect(address, headers)``: streams to a server, closed when the test ends."""
    made: list[Streams] = []

    def connect_(address: str, headers: Any = lambda: ()) -> Streams:
        made.append(request.param(address, headers))
        return made[-1]

    yield connect_
    for streams in made:
        streams.close()
    until(lambda: not feeders())


def feeders() -> list[threading.Thread]:
    """The threads in which gRPC feeds streams."""
    return [thread for thread in threading.enumerate() if thread.name == "vecdb-stream"]


def until(true: Callable[[], Any]) -> None:
    """Wait until something is true, not for ever."""
    limit = time.monotonic() + 20
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.001)


def search(limit: int = 10, collection: str = "docs") -> bytes:
    request = SearchRequest([Near(np.ones((1, 2), np.float32))], limit=limit)
    return convert.search_to_proto(collection, request).SerializeToString()


def count(answer: bytes | None) -> int:
    assert answer is not None
    return len(search_pb2.SearchResponse.FromString(answer).hits.ids)


def test_searches_are_answered_over_one_stream(
    connect: Callable[..., Streams], serve: Callable[..., str], engine: Engine
) -> None:
    asked: list[int] = []

    def headers() -> list[tuple[str, str]]:
        asked.append(1)
        return [("x-scope", "tenant=a")]

    streams = connect(serve(max_streams=1), headers)
    for limit in (1, 3, 2):
        assert count(streams.search(search(limit), 60)) == limit
    assert count(streams.search(search(), None)) == 10
    assert len(asked) == 1
    contexts = engine.searches()
    assert [context.scope for context in contexts] == [(F("tenant") == "a")] * 4
    assert [context.deadline is None for context in contexts] == [False, False, False, True]


def test_each_caller_has_the_answer_to_his_question(connect: Callable[..., Streams], serve: Callable[..., str]) -> None:
    """More callers than streams: those left over are told to call on their own."""
    streams = connect(serve())
    for _ in range(5):
        asked = [(limit, streams.submit(search(limit), 60)) for limit in list(range(1, 11)) * 4]
        answers = [(limit, future.result(60)) for limit, future in asked]
        over_streams = [count(answer) == limit for limit, answer in answers if answer is not None]
        assert all(over_streams)
        assert len(over_streams) >= stream_pool.MAX_STREAMS


def test_no_more_streams_than_a_client_may_have(
    connect: Callable[..., Streams], serve: Callable[..., str], engine: Engine
) -> None:
    engine.wait = True
    streams = connect(serve())
    waiting = [streams.submit(search(), None) for _ in range(stream_pool.MAX_STREAMS)]
    for _ in waiting:
        assert engine.reached.acquire(timeout=60)
    assert streams.search(search(), None) is None
    engine.go_on.release(len(waiting))
    assert [count(future.result(60)) for future in waiting] == [10] * len(waiting)


def test_an_error_is_raised_and_the_stream_goes_on(
    connect: Callable[..., Streams], serve: Callable[..., str], engine: Engine
) -> None:
    streams = connect(serve(max_streams=1))
    for _ in range(3):
        with pytest.raises(CollectionNotFound) as refused:
            streams.search(search(collection="nowhere"), 60)
        assert refused.value.received == "'nowhere'"
        with pytest.raises(InvalidArgument):
            streams.search(b"\xff\xff\xff", 60)
        assert count(streams.search(search(), 60)) == 10


def test_what_the_server_asks_to_send_again_is_sent_as_a_call(
    connect: Callable[..., Streams], serve: Callable[..., str], engine: Engine
) -> None:
    """The channel repeats calls after UNAVAILABLE, when the server says; a stream need not know how."""
    streams = connect(serve(max_streams=1))
    engine.fail = CollectionLoading("loading", retry_after_s=1)
    assert streams.search(search(), 60) is None
    engine.fail = None
    assert count(streams.search(search(), 60)) == 10


def test_a_large_request_goes_as_a_call(connect: Callable[..., Streams], serve: Callable[..., str]) -> None:
    assert connect(serve()).search(bytes(stream_pool.MAX_REQUEST_BYTES + 1), 60) is None


# -- time --


def test_a_late_answer_is_nobody_elses(
    connect: Callable[..., Streams], serve: Callable[..., str], engine: Engine
) -> None:
    streams = connect(serve())
    assert count(streams.search(search(), 60)) == 10
    engine.wait = True
    with pytest.raises(DeadlineExceeded, match=r"no answer from 127\.0\.0\.1"):
        streams.search(search(1), 0.05)
    engine.wait = False
    engine.go_on.release()
    for limit in (2, 3, 4):
        assert count(streams.search(search(limit), 60)) == limit


def test_deadlines_of_several_callers_do_not_mix(
    connect: Callable[..., Streams], serve: Callable[..., str], engine: Engine
) -> None:
    streams = connect(serve())
    assert count(streams.search(search(), 60)) == 10
    engine.wait = True
    patient = [streams.submit(search(limit), timeout) for limit, timeout in ((3, None), (4, 60))]
    hasty = [streams.submit(search(), timeout) for timeout in (0.1, 0.05, 0.15)]
    for future in hasty:
        with pytest.raises(DeadlineExceeded):
            future.result(60)
    engine.go_on.release(5)
    assert [count(future.result(60)) for future in patient] == [3, 4]


# -- what goes wrong --


def test_a_server_that_comes_back_is_found_again(
    connect: Callable[..., Streams], serve: Callable[..., str], engine: Engine
) -> None:
    address = serve()
    streams = connect(address)
    waiting = [streams.submit(search(), 60) for _ in range(4)]
    assert [count(future.result(60)) for future in waiting] == [10] * 4
    serve.stop()  # type: ignore[attr-defined]
    serve(address=address)
    assert streams.search(search(), 60) is None  # that stream is broken, and the other three are not tried
    until(lambda: streams.search(search(), 60) is not None)
    assert len(engine.searches()) == 5


def test_a_search_in_flight_when_the_server_stops_is_to_be_sent_again(
    connect: Callable[..., Streams], serve: Callable[..., str], engine: Engine
) -> None:
    streams = connect(serve())
    assert count(streams.search(search(), 60)) == 10
    engine.wait = True
    waiting = streams.submit(search(), 60)
    assert engine.reached.acquire(timeout=60)
    serve.stop()  # type: ignore[attr-defined]
    assert waiting.result(60) is None


def test_where_there_was_no_server_streams_are_tried_again(
    connect: Callable[..., Streams], serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_pool, "PAUSE_S", 0.02)
    address = serve()
    serve.stop()  # type: ignore[attr-defined]
    streams = connect(address)
    assert [streams.search(search(), 60) for _ in range(3)] == [None] * 3
    serve(address=address)
    until(lambda: streams.search(search(), 60) is not None)


def test_a_server_that_takes_no_more_streams(connect: Callable[..., Streams], serve: Callable[..., str]) -> None:
    streams = connect(serve(max_streams=0))
    assert [streams.search(search(), 60) for _ in range(3)] == [None] * 3


class Foreign(grpc.GenericRpcHandler):
    """A server, or a proxy before it, that does as it likes with streams."""

    def __init__(self, answer: Callable[[Iterator[bytes], grpc.ServicerContext], Iterator[bytes]] | None) -> None:
        self._answer = answer
        self.begun = 0

    def service(self, details: Any) -> Any:
        assert details.method == PATH
        self.begun += 1
        return self._answer and grpc.stream_stream_rpc_method_handler(self._answer)


def _swallows(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
    for _ in requests:
        pass
    yield from ()


def _answers(*messages: search_pb2.SearchStreamResponse) -> Any:
    return lambda requests, context: (message.SerializeToString() for message in messages)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        _swallows,
        _answers(),
        _answers(search_pb2.SearchStreamResponse(number=99, answer=b"")),
        lambda requests, context: iter([b"\xff\xff"]),
    ],
    ids=["unknown", "swallowed", "ended at once", "another's answer", "no message"],
)
def test_where_streams_do_not_get_through_calls_do(connect: Callable[..., Streams], answer: Any) -> None:
    foreign = Foreign(answer)
    server = grpc.server(ThreadPoolExecutor(4), handlers=(foreign,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        streams = connect(f"127.0.0.1:{port}")
        assert [streams.search(search(), 0.5) for _ in range(5)] == [None] * 5
        assert foreign.begun == 1
    finally:
        server.stop(0)


# -- a client --


@pytest.fixture(params=["blocking", "awaited"])
def look(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Callable[[], int]]]:
    """``look(address)``: searches of one client there, each answered by how many hits it has."""
    ends: list[Callable[[], object]] = []

    def look_(address: str) -> Callable[[], int]:
        if request.param == "blocking":
            db = vecdb.connect(address)
            ends.append(db.close)
            return lambda: len(db.collection("docs").search([1, 1]))
        loop = asyncio.new_event_loop()
        client = loop.run_until_complete(vecdb.connect_async(address))
        ends.extend([loop.close, lambda: loop.run_until_complete(client.close())])
        return lambda: len(loop.run_until_complete(client.collection("docs").search([1, 1])))

    yield look_
    for end in reversed(ends):
        end()


def test_a_client_searches_where_there_are_no_streams(
    look: Callable[[str], Callable[[], int]], serve: Callable[..., str]
) -> None:
    searched = look(serve(max_streams=0))
    assert [searched() for _ in range(3)] == [10] * 3


def test_a_client_at_rest_does_not_notice_that_its_server_was_restarted(
    look: Callable[[str], Callable[[], int]], serve: Callable[..., str]
) -> None:
    address = serve()
    searched = look(address)
    for _ in range(3):
        assert [searched() for _ in range(3)] == [10] * 3
        serve.stop()  # type: ignore[attr-defined]
        serve(address=address)


def test_searches_go_over_streams(look: Callable[[str], Callable[[], int]], serve: Callable[..., str]) -> None:
    searched = look(serve())
    assert serve.idle() == 0  # type: ignore[attr-defined]
    assert [searched() for _ in range(3)] == [10] * 3
    until(lambda: serve.idle() == 1)  # type: ignore[attr-defined]


# -- the end --


def test_closing_frees_who_waits_and_leaves_no_thread(
    connect: Callable[..., Streams], serve: Callable[..., str], engine: Engine
) -> None:
    streams = connect(serve())
    assert count(streams.search(search(), 60)) == 10
    engine.wait = True
    waiting = [streams.submit(search(), 60) for _ in range(3)]
    for _ in waiting:
        assert engine.reached.acquire(timeout=60)
    streams.close()
    assert [future.result(60) for future in waiting] == [None] * 3
    until(lambda: not feeders())
    assert not [thread for thread in threading.enumerate() if thread.name == "vecdb-deadlines"]


def test_streams_that_nobody_closed_end_with_their_owner(serve: Callable[..., str]) -> None:
    address = serve()
    with grpc.insecure_channel(address) as channel:
        streams = SearchStreams(channel, address, lambda: ())
        assert count(streams.search(search(), 60)) == 10
        assert len(feeders()) == 1
        del streams
        until(lambda: not feeders())


def test_a_stream_that_is_long_idle_is_ended(
    serve: Callable[..., str], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = Blocking(serve(), lambda: ())
    try:
        engine.wait = True
        waiting = [streams.submit(search(), None) for _ in range(4)]
        for _ in waiting:
            assert engine.reached.acquire(timeout=60)
        engine.go_on.release(100)
        assert [count(future.result(60)) for future in waiting] == [10] * 4
        assert len(feeders()) == 4
        for _ in range(3):
            assert count(streams.search(search(), None)) == 10
        assert len(feeders()) == 4
        monkeypatch.setattr(stream_pool, "IDLE_S", 0.0)
        assert count(streams.search(search(), None)) == 10
        until(lambda: len(feeders()) == 1)
    finally:
        streams.close()


def test_a_cancelled_task_takes_its_stream_along(serve: Callable[..., str], engine: Engine) -> None:
    streams = Awaited(serve(), lambda: ())
    try:
        assert count(streams.search(search(), 60)) == 10
        engine.wait = True
        waiting = streams.submit(search(1), 60)
        assert engine.reached.acquire(timeout=60)
        waiting.cancel()
        engine.wait = False
        engine.go_on.release()
        for limit in (2, 3):
            assert count(streams.search(search(limit), 60)) == limit
    finally:
        streams.close()


def test_a_child_process_leaves_its_parents_streams_alone(serve: Callable[..., str]) -> None:
    """In a process of its own, as gRPC's threads and fork do not mix with those of the server here."""
    program = """
import gc, os, sys, grpc
from vecdb.client.streams import SearchStreams
address, request = sys.argv[1], bytes.fromhex(sys.argv[2])
channel = grpc.insecure_channel(address)
streams = SearchStreams(channel, address, lambda: ())
assert streams.search(request, 10)
pid = os.fork()
if pid == 0:
    del streams
    gc.collect()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
assert streams.search(request, 10)
streams.close()
channel.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", program, serve(), search().hex()],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
