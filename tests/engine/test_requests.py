"""Request ids: sent again, a write has its first result and no second effect."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

import pytest

from tests.engine.conftest import make
from tests.engine.handle import Handle, delete, gaussian, insert, names, update, upsert
from vecdb import failpoint
from vecdb.engine.database import Database
from vecdb.engine.requests import RequestMemory
from vecdb.errors import Internal, InvalidArgument, PointExists
from vecdb.model.point import Clear, WriteResult
from vecdb.storage.memory import MemoryKV

Opener = Callable[..., Database]


def test_a_write_sent_again_has_its_first_result(c: Handle) -> None:
    first = c.write(insert(["a"], gaussian(1)), request_id=b"1")
    second = c.write(update(["a"], payloads=[{"n": 1}]), request_id=b"2")
    third = c.write(delete(["a"]), request_id=b"3")
    for request_id, result in ((b"1", first), (b"2", second), (b"3", third)):
        assert c.write(insert(["a"], gaussian(1)), request_id=request_id) == result
        assert c.write(Clear(), request_id=request_id) == result
    assert (c.count(), c.seq) == (0, 3)


@pytest.mark.parametrize("covered", [False, True])
def test_also_after_opening(open_db: Opener, covered: bool) -> None:
    kv = MemoryKV()
    c = make(open_db(kv=kv))
    results = {f"{i}".encode(): c.write(upsert([f"{i}"], gaussian(1)), request_id=f"{i}".encode()) for i in range(5)}
    c.write(delete(["1", "x"]), request_id=b"gone")
    if covered:
        c.seal()
        c.settle()
    c.db.close()
    c = Handle(open_db(kv=kv.durable_copy()))
    for request_id, result in results.items():
        assert c.write(upsert(["again"], gaussian(1)), request_id=request_id) == result
    assert c.write(Clear(), request_id=b"gone").count == 1
    assert c.ids() == ["0", "2", "3", "4"]


def test_the_same_id_in_another_collection_is_another_write(db: Database) -> None:
    one, two = make(db, name="one"), make(db, name="two")
    assert one.write(upsert(["a"], gaussian(1)), request_id=b"1").count == 1
    assert two.write(upsert(["a", "b"], gaussian(2)), request_id=b"1").count == 2


def test_a_write_that_was_refused_may_be_tried_again(c: Handle) -> None:
    c.upsert(["a"], gaussian(1))
    with pytest.raises(PointExists):
        c.write(insert(["a"], gaussian(1)), request_id=b"1")
    c.delete("a")
    assert c.write(insert(["a"], gaussian(1)), request_id=b"1").count == 1
    failpoint.arm_from_text("commit.before_final=raise")
    with pytest.raises(Internal):
        c.write(upsert(["b"], gaussian(1)), request_id=b"2")
    failpoint.disarm()
    assert c.write(upsert(["b"], gaussian(1)), request_id=b"2").count == 1


def test_sent_again_while_the_first_is_under_way(c: Handle) -> None:
    """One effect, one sync, the same answer for everybody."""
    reached, go_on = threading.Event(), threading.Event()

    def hold(name: str) -> None:
        reached.set()
        assert go_on.wait(30)

    failpoint.arm("commit.before_sync", hold)
    results: list[WriteResult] = []

    def send() -> None:
        results.append(c.write(insert(["a"], gaussian(1)), request_id=b"1"))

    threads = [threading.Thread(target=send) for _ in range(4)]
    threads[0].start()
    assert reached.wait(30)
    for thread in threads[1:]:
        thread.start()
    c.db._committer.between_commits(lambda: None)
    go_on.set()
    for thread in threads:
        thread.join(30)
    failpoint.disarm()
    assert len(results) == 4
    assert set(map(repr, results)) == {repr(WriteResult(1, 1))}
    assert c.count() == 1


@pytest.mark.parametrize("request_id", [b"x" * 65])
def test_a_request_id_that_is_too_long(c: Handle, request_id: bytes) -> None:
    with pytest.raises(InvalidArgument) as refused:
        c.write(upsert(["a"], gaussian(1)), request_id=request_id)
    assert (refused.value.field, refused.value.expected) == ("request_id", "1..64 bytes")
    assert c.write(upsert(["a"], gaussian(1)), request_id=b"x" * 64).count == 1


# -- the memory itself, by a clock of the test's


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def done(result: WriteResult | None = None, error: Exception | None = None) -> Future[WriteResult]:
    future: Future[WriteResult] = Future()
    if error is not None:
        future.set_exception(error)
    elif result is not None:
        future.set_result(result)
    return future


def test_remembered_for_ten_minutes() -> None:
    clock = Clock()
    memory = RequestMemory(600.0, clock)
    first = done(WriteResult(1, 1))
    assert memory.claim(b"1", first) is None
    clock.now += 600.0
    assert memory.claim(b"1", done()) is first
    clock.now += 0.1
    other = done(WriteResult(2, 2))
    assert memory.claim(b"1", other) is None
    assert memory.claim(b"1", done()) is other


def test_what_is_old_is_forgotten() -> None:
    clock = Clock()
    memory = RequestMemory(600.0, clock)
    for i in range(1_000):
        memory.claim(f"{i}".encode(), done(WriteResult(i, 1)))
        clock.now += 1.0
    assert len(memory) <= 602


def test_a_failure_is_not_an_outcome() -> None:
    memory = RequestMemory(600.0, Clock())
    assert memory.claim(b"1", done(error=PointExists("taken"))) is None
    second = done()
    assert memory.claim(b"1", second) is None
    assert memory.claim(b"1", done()) is second  # under way


def test_what_the_log_tells_is_taken_up_unless_it_is_old() -> None:
    clock = Clock()
    memory = RequestMemory(600.0, clock)
    memory.remember(b"old", clock.now - 601, WriteResult(1, 1))
    memory.remember(b"new", clock.now - 599, WriteResult(2, 1))
    assert len(memory) == 1
    found = memory.claim(b"new", done())
    assert found is not None
    assert found.result() == WriteResult(2, 1)
    clock.now += 2.0
    assert memory.claim(b"new", done()) is None


def test_log_records_are_kept_for_as_long(open_db: Opener) -> None:
    """And no longer: ten minutes later they go, once what they killed is gone."""
    kv = MemoryKV()
    now = 1e9
    c = make(open_db(kv=kv, clock=lambda: now))
    for i in range(5):
        c.write(upsert(names(3), gaussian(3)), request_id=f"{i}".encode())
    c.cover()
    records = lambda: len(list(kv.scan(b"l", b"m")))  # noqa: E731
    assert records() == 5
    now += 599
    c.cover()
    assert records() == 5
    assert c.write(Clear(), request_id=b"2").seq == 3
    now += 2
    c.cover()
    assert records() == 0
    assert c.write(upsert(["late"], gaussian(1)), request_id=b"2").seq == 6
