"""The order of a write, when something fails on the way: acknowledged or not, all or nothing, and never silence."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from tests.engine.conftest import make
from tests.engine.handle import Handle, delete, gaussian, insert, names, upsert
from vecdb import failpoint
from vecdb.engine.commit import Write
from vecdb.engine.database import Database
from vecdb.errors import Closed, Internal, ReadOnly, VecdbError
from vecdb.model.context import CallContext
from vecdb.model.point import WriteResult
from vecdb.storage.memory import MemoryKV

COMMIT = [name for name in failpoint.NAMES if name.startswith("commit.")]
BEFORE_THE_COMMIT = ["commit.before_slices", "commit.between_slices", "commit.before_final"]
MANY = 100  # more than one slice


def stop(name: str) -> None:
    raise OSError(f"stopped at {name}")


@pytest.fixture
def kv() -> MemoryKV:
    return MemoryKV()


@pytest.fixture
def c(open_db: Callable[..., Database], kv: MemoryKV) -> Handle:
    c = make(open_db(kv=kv))
    c.upsert(["first"], gaussian(1), [{"n": 1}])
    return c


def shown(c: Handle) -> set[str]:
    """The ids there are; every way to read agrees on them."""
    ids = c.ids()
    assert c.count() == len(ids) == c.stats().live
    assert sorted(c.search(gaussian(1), limit=500)) == ids
    asked = ["first", "bare", "later", "again", *names(MANY)]
    assert sorted(point.id for point in c.get(*asked)) == ids
    return set(ids)


@pytest.mark.parametrize("name", COMMIT)
def test_a_write_stopped_anywhere_is_there_entirely_or_not_at_all(
    c: Handle, kv: MemoryKV, open_db: Callable[..., Database], name: str
) -> None:
    """Readers agree, before and after opening again; what comes later is refused or written, never lost."""
    failpoint.arm(name, stop)
    with pytest.raises(Internal):
        c.upsert(names(MANY), gaussian(MANY))
    failpoint.disarm()
    before = shown(c)
    assert before in ({"first"}, {"first", *names(MANY)})
    later = {"later"}
    try:
        c.upsert(["later"], gaussian(1))
    except ReadOnly:
        assert name not in BEFORE_THE_COMMIT
        later = set()
        assert shown(c) == before
        assert c.db.failure() is not None
        assert "opened again" in str(c.db.database_stats(CallContext()).read_only_reason)
    else:
        assert name in BEFORE_THE_COMMIT
    c.db.close()
    c = Handle(open_db(kv=kv.durable_copy()))
    after = shown(c)
    assert after in ({"first"} | later, {"first", *names(MANY)} | later)
    assert before | later <= after
    assert c.upsert(["again"], gaussian(1)).count == 1
    assert shown(c) == after | {"again"}


def test_slices_of_a_commit_that_failed_are_not_taken_for_later_rows(
    c: Handle, kv: MemoryKV, open_db: Callable[..., Database]
) -> None:
    """A failed write leaves vectors under row numbers that the next write uses again, without vectors."""
    failpoint.arm("commit.before_final", stop)
    with pytest.raises(Internal):
        c.upsert(names(MANY), gaussian(MANY))
    failpoint.disarm()
    c.upsert(["bare"], payloads=[{"n": 2}])
    assert c.search(gaussian(1), limit=10) == ["first"]
    c.db.close()
    c = Handle(open_db(kv=kv.durable_copy()))
    assert c.search(gaussian(1), limit=10) == ["first"]
    assert c.ids() == ["bare", "first"]


@pytest.mark.parametrize("name", ["commit.before_sync", "commit.before_publish"])
def test_nothing_is_published_behind_a_write_that_was_not(c: Handle, name: str) -> None:
    """Groups that the committer has written meanwhile are refused too, and maintenance rests."""
    reached, go_on = threading.Event(), threading.Event()

    def hold(name: str) -> None:
        failpoint.disarm()
        reached.set()
        assert go_on.wait(30)
        stop(name)

    failpoint.arm(name, hold)
    errors: list[VecdbError] = []

    def write(point_id: str) -> None:
        try:
            c.upsert([point_id], gaussian(1))
        except VecdbError as error:
            errors.append(error)

    first = threading.Thread(target=write, args=("one",))
    first.start()
    assert reached.wait(30)
    second = threading.Thread(target=write, args=("two",))
    second.start()
    c.db._committer.between_commits(lambda: None)  # the second is written now
    go_on.set()
    first.join(30)
    second.join(30)
    failpoint.disarm()
    assert sorted(type(error).__name__ for error in errors) == ["Internal", "ReadOnly"]
    assert shown(c) == {"first"}
    assert not c.db.maintain()
    for care in (c.cover, c.compact):
        with pytest.raises(ReadOnly):
            care()
    for call in (
        lambda: c.db.create_collection(CallContext(), "new", c.inner.entry.schema),
        lambda: c.db.drop_collection(CallContext(), "c"),
        lambda: c.db.set_indexing(CallContext(), "c", "deferred"),
    ):
        with pytest.raises(ReadOnly):
            call()
    assert c.db.describe(CallContext(), "c").indexing == "auto"
    assert shown(c) == {"first"}


@pytest.mark.parametrize(("fails", "outcomes"), [(False, ["PointExists", "WriteResult"]), (True, ["ReadOnly"] * 2)])
def test_a_refusal_waits_for_what_it_was_decided_by(
    c: Handle, kv: MemoryKV, monkeypatch: pytest.MonkeyPatch, fails: bool, outcomes: list[str]
) -> None:
    """A point that nobody sees yet, and that the disk may still refuse, is nobody's reason for a refusal."""
    reached, go_on, asked = threading.Event(), threading.Event(), threading.Semaphore(0)

    def hold(name: str) -> None:
        failpoint.disarm()
        reached.set()
        assert go_on.wait(30)

    submit = c.db._committer.submit

    def noted(write: Write) -> Future[WriteResult]:
        done = submit(write)
        asked.release()
        return done

    monkeypatch.setattr(c.db._committer, "submit", noted)
    failpoint.arm("commit.before_sync", hold)
    if fails:
        kv.fail_next_sync()
    found: list[WriteResult | VecdbError] = []

    def write() -> None:
        try:
            found.append(c.write(insert(["later"], gaussian(1))))
        except VecdbError as error:
            found.append(error)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
        assert asked.acquire(timeout=30)
        assert reached.wait(30)
    c.db._committer.between_commits(lambda: None)  # the second is decided now
    assert found == []
    go_on.set()
    for writer in writers:
        writer.join(30)
    assert sorted(type(one).__name__ for one in found) == outcomes
    assert shown(c) == ({"first"} if fails else {"first", "later"})


def test_a_write_that_was_not_synced_is_not_acknowledged(
    c: Handle, kv: MemoryKV, open_db: Callable[..., Database]
) -> None:
    kv.fail_next_sync()
    with pytest.raises(ReadOnly, match="sync failed"):
        c.upsert(["lost"], gaussian(1))
    assert shown(c) == {"first"}
    for write in (upsert(["x"], gaussian(1)), delete(["first"])):
        with pytest.raises(ReadOnly) as refused:
            c.write(write)
        assert refused.value.reason == "READ_ONLY"
    assert shown(c) == {"first"}
    c = Handle(open_db(kv=kv.durable_copy()))
    assert shown(c) == {"first"}
    assert c.upsert(["x"], gaussian(1)).seq == 2


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_write_whose_nth_batch_fails_changes_nothing(
    c: Handle, kv: MemoryKV, open_db: Callable[..., Database], nth: int
) -> None:
    kv.fail_next_write(nth)
    with pytest.raises(ReadOnly, match="write failed"):
        c.upsert(names(MANY), gaussian(MANY))
    assert shown(c) == {"first"}
    assert shown(Handle(open_db(kv=kv.durable_copy(keep=10)))) == {"first"}


def test_stalls_are_waited_out(c: Handle, kv: MemoryKV) -> None:
    """Of writes, and of everything else that writes to the store."""
    context = CallContext()
    for stalls in (1, 5):
        kv.stall_next_write(stalls)
        assert c.upsert(names(MANY), gaussian(MANY)).count == MANY
        kv.stall_next_write(stalls)
        c.db.create_collection(context, "other", c.inner.entry.schema)
        kv.stall_next_write(stalls)
        c.db.set_indexing(context, "c", "deferred")
        kv.stall_next_write(stalls)
        c.db.drop_collection(context, "other")
        c.delete(*names(MANY))
        kv.stall_next_write(stalls)
        c.cover()
        kv.stall_next_write(stalls)
        c.settle()
    assert shown(c) == {"first"}


def test_what_was_acknowledged_survives_a_power_cut(c: Handle, kv: MemoryKV, open_db: Callable[..., Database]) -> None:
    for i in range(20):
        c.upsert(names(5, start=5 * i), gaussian(5, seed=i), [{"i": i}] * 5)
        if i % 3 == 0:
            c.delete(*names(2, start=5 * i))
    wanted = [(p.id, p.payload, p.version) for p in c.scroll()]
    again = Handle(open_db(kv=kv.durable_copy()))
    assert [(p.id, p.payload, p.version) for p in again.scroll()] == wanted


def test_a_write_that_need_not_be_synced_is_not(c: Handle, kv: MemoryKV, open_db: Callable[..., Database]) -> None:
    """At durability "os" a power cut takes a tail, in the order of the writes; it never takes part of one."""
    for i in range(5):
        c.write(upsert(names(3, start=3 * i), gaussian(3)), durability="os")
    assert c.count() == 16
    for keep in range(6):
        left = Handle(open_db(kv=kv.durable_copy(keep=keep)))
        assert left.ids() == [*names(3 * keep), "first"]
        left.db.close()
    c.write(upsert(["synced"], gaussian(1)), durability="fsync")
    assert Handle(open_db(kv=kv.durable_copy())).count() == 17


@pytest.mark.parametrize("close_early", [True, False])
def test_closing_answers_every_write(open_db: Callable[..., Database], kv: MemoryKV, close_early: bool) -> None:
    """Each is acknowledged, and there, or refused as Closed; none waits for ever."""
    c = make(open_db(kv=kv))
    outcomes: list[Any] = []
    started = threading.Barrier(5)

    def write(k: int) -> None:
        started.wait()
        for i in range(200):
            try:
                c.upsert([f"{k}-{i}"], gaussian(1))
                outcomes.append(f"{k}-{i}")
            except Closed:
                return

    threads = [threading.Thread(target=write, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    started.wait()
    if not close_early:
        threads[0].join(60)
    c.db.close()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert Handle(open_db(kv=kv.durable_copy())).ids() == sorted(outcomes)
