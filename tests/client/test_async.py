"""What is particular to async clients: loops, turns, threads, cancellation. What calls mean: test_collection.py."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from tests.client.from_loop import LoopThread
from tests.client.recorder import Recorder
from tests.wire.fake_engine import FakeDatabase
from vecdb import AsyncClient, AsyncCollection, Client, Collection, errors
from vecdb.client.calls import Call, Count
from vecdb.client.lanes import READ, WRITE
from vecdb.client.split import MESSAGE_OVERHEAD
from vecdb.client.transport_embedded import EmbeddedTransport
from vecdb.client.transport_pooled import PooledTransport
from vecdb.model.info import Limits, ServerInfo
from vecdb.wire.server import Server, ServerOptions

LONG_S = 30.0


def methods(kind: type) -> dict[str, Any]:
    return {name: found for name, found in vars(kind).items() if not name.startswith("_")}


@pytest.mark.parametrize(("blocking", "awaited"), [(Client, AsyncClient), (Collection, AsyncCollection)])
def test_both_kinds_have_the_same_methods(blocking: type, awaited: type) -> None:
    assert methods(blocking).keys() == methods(awaited).keys()
    for name, method in methods(blocking).items():
        other = methods(awaited)[name]
        assert other.__doc__, name
        if isinstance(method, property):
            continue
        ours, theirs = inspect.signature(method), inspect.signature(other)
        assert ours.parameters == theirs.parameters, name
        result = str(ours.return_annotation)
        assert str(theirs.return_annotation) in (result, f"Async{result}"), name
        assert inspect.iscoroutinefunction(other) == (name not in ("collection", "scroll", "changes")), name


# -- an engine that waits until it is told to go on --


class Gated(FakeDatabase):
    """Calls of the methods in ``shut`` wait for ``go``; ``inside`` counts those that wait, ``most`` ever did."""

    def __init__(self, *shut: str) -> None:
        super().__init__()
        self.shut = shut
        self.go = threading.Event()
        self.changed = threading.Condition()
        self.inside = self.most = 0

    def _met(self, name: str, context: Any, *arguments: Any) -> None:
        super()._met(name, context, *arguments)
        if name in self.shut:
            with self.changed:
                self.inside += 1
                self.most = max(self.most, self.inside)
                self.changed.notify_all()
            assert self.go.wait(LONG_S)
            with self.changed:
                self.inside -= 1
                self.changed.notify_all()

    async def reaches(self, inside: int) -> None:
        """Return when so many calls wait."""

        def wait() -> None:
            with self.changed:
                assert self.changed.wait_for(lambda: self.inside == inside, LONG_S), self.inside

        await asyncio.to_thread(wait)


Begin = Callable[[Any], AsyncClient]


@pytest.fixture(params=["embedded", "grpc"])
def begin(request: pytest.FixtureRequest) -> Iterator[Begin]:
    """An async client of a given engine; without request, whatever it is."""
    servers: list[Server] = []

    def start(engine: Any) -> AsyncClient:
        if request.param == "embedded":
            return AsyncClient(PooledTransport(lambda: EmbeddedTransport(engine)), LONG_S)
        servers.append(Server(engine, ServerOptions(address="127.0.0.1:0")))
        servers[-1].start()
        return vecdb.connect_async(servers[-1].address)

    yield start
    for server in servers:
        server.stop(grace_s=0)


# -- loops --


def test_a_client_is_made_anywhere_and_works_in_every_loop(begin: Begin, loop: LoopThread) -> None:
    db = begin(FakeDatabase())  # no loop runs here
    docs = db.collection("docs")

    async def use(i: int) -> list[str]:
        await db.create_collection("docs", dim=2, exist_ok=True)
        await docs.upsert([i], [[1, 2]])
        assert await docs.count() > i
        return (await docs.search([1, 2])).ids

    assert asyncio.run(use(0)) == ["0"]
    assert loop.run(use(1)) == ["0", "1"]
    assert asyncio.run(use(2)) == ["0", "1", "2"]  # the first loop is closed, the other goes on
    assert loop.run(use(3)) == ["0", "1", "2", "3"]
    asyncio.run(db.close())
    for closed in (asyncio.run, loop.run):
        with pytest.raises(errors.Closed):
            closed(docs.count())


def test_it_is_a_context_manager_that_may_be_awaited(begin: Begin) -> None:
    async def use() -> None:
        async with begin(FakeDatabase()) as db:
            assert await db is db
            assert await db.list_collections() == []
        with pytest.raises(errors.Closed):
            await db.list_collections()
        await db.close()

    asyncio.run(use())


def test_open_async_opens_when_awaited_and_says_what_open_says(tmp_path: Path) -> None:
    async def use() -> None:
        with pytest.raises(errors.InvalidArgument):
            await vecdb.open_async(tmp_path / "data", durabilty="os")
        db = await vecdb.open_async(tmp_path / "data", durability="os")
        docs = await db.create_collection("docs", dim=2)
        assert (await docs.upsert([1], [[1, 2]])).count == 1
        other = vecdb.open_async(tmp_path / "data")
        with pytest.raises(errors.DataDirInUse):
            await other
        assert await db.check() == []
        await db.close()
        async with other:
            assert await other.collection("docs").count() == 1
            assert await other.check() == []

    asyncio.run(use())


def test_a_walk_is_an_async_iterator(begin: Begin) -> None:
    async def use() -> None:
        async with begin(FakeDatabase()) as db:
            docs = await db.create_collection("docs", dim=2)
            await docs.upsert(range(20))
            ids = [point.id async for point in docs.scroll(batch=3)]
            assert ids == sorted(map(str, range(20)))
            assert (await anext(docs.scroll(batch=3))).id == "0"
            with pytest.raises(errors.InvalidArgument):
                docs.scroll(batch=0)  # at once, as a blocking client does

    asyncio.run(use())


# -- turns, deadlines, cancellation --


def test_what_comes_at_once_takes_turns_and_other_kinds_do_not_wait(begin: Begin) -> None:
    """So many searches under way, no more; writes have turns of their own."""

    async def use() -> None:
        engine = Gated("search")
        async with begin(engine) as db:
            docs = await db.create_collection("docs", dim=2)
            await docs.upsert([1], [[1, 2]])
            turns = READ.threads if isinstance(db._transport, PooledTransport) else READ.turns
            searches = [asyncio.create_task(docs.search([1, 2])) for _ in range(3 * turns)]
            await engine.reaches(turns)
            assert (await docs.upsert([2], [[1, 2]])).count == 1
            assert len(await docs.get(range(2000))) == 2  # so many are read apart
            with pytest.raises(errors.DeadlineExceeded) as late:
                await docs.count(timeout=0.05)
            assert "behind other calls" in str(late.value)
            engine.go.set()
            for result in await asyncio.gather(*searches):
                assert result.ids[0] == "1"
            assert engine.most == turns

    asyncio.run(use())


def test_a_deadline_ends_what_waits_inside(tmp_path: Path) -> None:
    """Of the engine itself: the thread comes back."""

    async def use() -> None:
        async with vecdb.open_async(tmp_path / "data") as db:
            docs = await db.create_collection("docs", dim=2)
            for timeout in (0, -1):
                with pytest.raises(errors.DeadlineExceeded):
                    await docs.count(timeout=timeout)
            assert await docs.count() == 0

    asyncio.run(use())


def test_a_cancelled_caller_goes_at_once_and_its_turn_comes_back(begin: Begin) -> None:
    async def use() -> None:
        engine = Gated("write")
        async with begin(engine) as db:
            docs = await db.create_collection("docs", dim=2)
            writing = [asyncio.create_task(docs.upsert([i])) for i in range(WRITE.threads)]
            await engine.reaches(WRITE.threads)
            for task in writing:
                task.cancel()
            results = await asyncio.gather(*writing, return_exceptions=True)
            assert [type(result) for result in results] == [asyncio.CancelledError] * WRITE.threads
            engine.go.set()
            assert (await docs.upsert(["after"])).count == 1

    asyncio.run(use())


class Small(EmbeddedTransport):
    """Messages of 1,000 bytes, and a pause after the first write."""

    def __init__(self, engine: Any) -> None:
        super().__init__(engine)
        self.writes = 0
        self.written = threading.Event()
        self.go = threading.Event()

    def send(self, call: Call[Any], timeout: float | None) -> Any:
        if type(call).__name__ == "Info":
            return ServerInfo(limits=Limits(message_bytes=MESSAGE_OVERHEAD + 1000))
        result = super().send(call, timeout)
        if type(call).__name__ == "Write":
            self.writes += 1
            self.written.set()
            assert self.go.wait(LONG_S)
        return result


def test_a_cancelled_upload_ends_after_the_batch_it_is_in() -> None:
    async def use() -> None:
        small = Small(FakeDatabase())
        db = AsyncClient(PooledTransport(lambda: small), LONG_S)
        docs = await db.create_collection("docs", dim=2)
        upload = asyncio.create_task(docs.upsert(range(1000)))
        assert await asyncio.to_thread(small.written.wait, LONG_S)
        upload.cancel()
        with pytest.raises(asyncio.CancelledError):
            await upload
        small.go.set()
        await docs.upsert(["after"])  # in another thread of the same pool; the first ends meanwhile
        for pool in db._transport._pools.values():  # type: ignore[attr-defined]
            await asyncio.to_thread(pool.shutdown)
        assert small.writes == 2
        await db.close()

    asyncio.run(use())


def test_closing_ends_what_is_in_flight_with_closed() -> None:
    engine = Gated("search", "count")
    server = Server(engine, ServerOptions(address="127.0.0.1:0"))  # type: ignore[arg-type]
    server.start()

    async def use() -> None:
        db = await vecdb.connect_async(server.address)
        docs = await db.create_collection("docs", dim=2)
        waiting = [asyncio.create_task(docs.count()), asyncio.create_task(docs.search([1, 2]))]
        await engine.reaches(2)
        await db.close()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [errors.Closed, errors.Closed]

    asyncio.run(use())
    engine.go.set()
    server.stop(grace_s=0)


def test_an_operation_sees_the_context_of_its_caller() -> None:
    user: contextvars.ContextVar[str] = contextvars.ContextVar("user")

    class Tells(EmbeddedTransport):
        def send(self, call: Call[Any], timeout: float | None) -> Any:
            assert isinstance(call, Count)
            return user.get(), threading.current_thread()

    async def one(docs: AsyncCollection, name: str) -> tuple[str, threading.Thread]:
        user.set(name)
        return await docs.count()  # type: ignore[return-value]

    async def use() -> None:
        async with AsyncClient(PooledTransport(lambda: Tells(FakeDatabase())), None) as db:  # type: ignore[arg-type]
            told = await asyncio.gather(*(one(db.collection("docs"), name) for name in "abc"))
            assert [name for name, _ in told] == ["a", "b", "c"]
            assert threading.current_thread() not in {thread for _, thread in told}

    asyncio.run(use())


def test_progress_is_told_in_the_loop_before_the_write_is_over() -> None:
    async def use() -> None:
        recorder = Recorder(MESSAGE_OVERHEAD + 1000)
        told: list[tuple[int, int, threading.Thread]] = []
        async with AsyncClient(PooledTransport(lambda: recorder), None) as db:
            await db.collection("docs").upsert(
                range(100), progress=lambda done, total: told.append((done, total, threading.current_thread()))
            )
        assert len(told) == len(recorder.batches) > 1
        assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
        assert told[-1][:2] == (100, 100)
        assert {thread for _, _, thread in told} == {threading.current_thread()}

    asyncio.run(use())


# -- what is large --


def test_what_does_not_fit_one_message_arrives() -> None:
    """Uploads in parts, contents of hits fetched, answers larger than an event loop decodes itself."""
    limits = Limits(message_bytes=2 << 20)
    server = Server(FakeDatabase(), ServerOptions(address="127.0.0.1:0", info=ServerInfo(limits=limits)))  # type: ignore[arg-type]
    server.start()

    async def use() -> None:
        async with vecdb.connect_async(server.address) as db:
            docs = await db.create_collection("docs", dim=2)
            text = "x" * 10_000
            result = await docs.upsert(range(500), np.ones((500, 2)), [f"{i} {text}" for i in range(500)])
            assert result.count == 500
            found = await docs.search([1, 2], limit=500, with_vectors=True)
            assert [hit.text for hit in found] == [f"{hit.id} {text}" for hit in found]
            assert len(found) == len({hit.id for hit in found}) == 500
            assert [point.text for point in await docs.get(range(500))] == [f"{i} {text}" for i in range(500)]

    asyncio.run(use())
    server.stop(grace_s=0)
