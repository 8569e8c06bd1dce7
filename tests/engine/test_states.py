"""What a database can do when its disk fails or is full, and how it can do everything again without a restart."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.engine.faulty import Disk, faulty
from tests.engine.handle import PLAIN, SMALL, Handle, gaussian, names, upsert
from vecdb.engine.database import Database
from vecdb.engine.space import RESERVE
from vecdb.engine.supervisor import Supervisor
from vecdb.errors import DiskFull, ReadOnly, Unavailable, VecdbError
from vecdb.model.context import CallContext
from vecdb.model.feed import FeedPage, FeedRequest

NOW = CallContext()


@pytest.fixture
def disk() -> Disk:
    return Disk()


Begin = Callable[..., Handle]


@pytest.fixture
def begin(tmp_path: Path, disk: Disk) -> Iterator[Begin]:
    """``begin(**options)``: a collection of forty points of a database on ``disk``; checked at the end."""
    opened: list[Database] = []

    def begin(**options: object) -> Handle:
        db = faulty(tmp_path / "data", disk, replace(SMALL, **options))  # type: ignore[arg-type]
        opened.append(db)
        db.create_collection(NOW, "c", PLAIN)
        c = Handle(db)
        c.upsert(names(40), gaussian(40))
        return c

    yield begin
    disk.syncs = False
    for db in opened:
        problems = db.check(NOW) if db.state().writes else []
        db.close()
        assert problems == []


@pytest.fixture(autouse=True)
def _looks_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here depends on how seldom the disk is looked at."""
    monkeypatch.setattr("vecdb.engine.space.LOOK_EVERY_S", 0.0)


@pytest.fixture
def c(begin: Begin) -> Handle:
    """Nothing happens by itself."""
    return begin()


def fail(c: Handle, disk: Disk) -> None:
    """Make the database read-only by a write that is refused."""
    disk.syncs = True
    with pytest.raises(ReadOnly):
        c.upsert(["refused"], gaussian(1))
    disk.syncs = False


def test_after_a_failed_sync_it_says_why_and_since_when(c: Handle, disk: Disk) -> None:
    assert (c.db.state().name, c.db.state().reason) == ("serving", None)
    before = c.db.state().since_ms
    fail(c, disk)
    state, stats = c.db.state(), c.db.database_stats(NOW)
    assert state.name == "read_only" and "told to refuse" in str(state.reason) and state.since_ms >= before
    assert (stats.state, stats.read_only_reason) == (state.name, state.reason)
    assert (stats.state_since_ms, stats.reopen_attempts) == (state.since_ms, 0)
    assert c.count() == 40


def test_it_is_opened_again_without_an_end(c: Handle, disk: Disk) -> None:
    seen: list[str] = []
    c.db.watch(lambda: seen.append(c.db.state().name))
    fail(c, disk)
    c.db.supervise()
    c.db.reopen(NOW)
    assert seen == ["read_only", "serving"]
    assert set(names(40)) <= set(c.ids())
    assert c.upsert(["after"], gaussian(1)).count == 1
    assert "after" in c.ids()
    assert c.db.database_stats(NOW).reopen_attempts == 0


def test_a_follower_waits_on_and_goes_on(begin: Begin, disk: Disk) -> None:
    """Opening again is nothing that it notices; its token is as good as before."""
    c = begin(keep_changes_s=3_600.0)
    c.delete("00000")
    before = c.db.changes(NOW, "c", FeedRequest("now")).token
    pages: list[FeedPage] = []
    waiting = threading.Thread(
        target=lambda: pages.append(c.db.changes(NOW, "c", FeedRequest(before, wait_s=60.0), lambda: not pages))
    )
    fail(c, disk)
    waiting.start()
    c.db.reopen(NOW)
    c.upsert(["after"], gaussian(1))
    waiting.join(30)
    assert pages
    told = c.db.changes(NOW, "c", FeedRequest("oldest")).changes
    assert [change.deleted for change in told[:2]] == [[], ["00000"]]
    assert told[-1].columns.ids == ["after"]


def test_where_nothing_failed_nothing_is_opened_again(c: Handle) -> None:
    inner = c.inner
    c.db.reopen(NOW)
    assert c.inner is inner


def test_a_write_that_was_refused_is_done_once_when_sent_again(c: Handle, disk: Disk) -> None:
    """It is there entirely or not at all, and the request id tells which."""
    disk.syncs = True
    with pytest.raises(ReadOnly):
        c.write(upsert(["new"], gaussian(1)), request_id=b"the one")
    disk.syncs = False
    c.db.reopen(NOW)
    again = c.write(upsert(["new"], gaussian(1)), request_id=b"the one")
    assert c.write(upsert(["new"], gaussian(1)), request_id=b"the one") == again
    assert c.ids().count("new") == 1
    assert c.upsert(["next"], gaussian(1)).seq == again.seq + 1


def test_while_the_disk_refuses_reads_go_on_as_before(c: Handle, disk: Disk) -> None:
    fail(c, disk)
    disk.probes = True
    inner = c.inner
    for attempts in (1, 2):
        with pytest.raises(ReadOnly, match="a trial"):
            c.db.reopen(NOW)
        assert c.db.state().attempts == attempts
    assert c.inner is inner  # nothing was let go of
    assert c.ids() == names(40)
    disk.probes = False
    c.db.reopen(NOW)
    assert c.db.state().name == "serving"


def test_an_opening_that_fails_leaves_what_can_be_read(c: Handle, disk: Disk) -> None:
    c.seal()
    c.db.create_collection(NOW, "dropped", PLAIN)
    fail(c, disk)
    disk.opens = True
    with pytest.raises(ReadOnly, match="an opening"):
        c.db.reopen(NOW)
    state = c.db.state()
    assert state.name == "read_only" and state.reads and "an opening" in str(state.reason)
    assert set(names(40)) <= set(c.ids())
    assert len(c.search(gaussian(1), limit=5)) == 5
    for refused in (
        lambda: c.upsert(["x"], gaussian(1)),
        lambda: c.db.drop_collection(NOW, "dropped"),
        c.compact,
    ):
        with pytest.raises(ReadOnly):
            refused()
    assert not c.db.maintain()
    disk.opens = False
    c.db.reopen(NOW)
    assert c.upsert(["x"], gaussian(1)).count == 1


def test_where_not_even_reading_is_possible_calls_may_be_tried_again(c: Handle, disk: Disk) -> None:
    fail(c, disk)
    disk.opens = disk.reads = True
    with pytest.raises(ReadOnly):
        c.db.reopen(NOW)
    state = c.db.state()
    assert (state.name, state.reads) == ("unavailable", False)
    assert c.db.database_stats(NOW).state == "unavailable"
    for call in (c.count, lambda: c.upsert(["x"], gaussian(1)), lambda: c.db.list_collections(NOW)):
        with pytest.raises(Unavailable) as refused:
            call()
        assert refused.value.reason == "UNAVAILABLE" and refused.value.retry_after_s
    with pytest.raises(ReadOnly):
        c.db.reopen(NOW)
    disk.opens = disk.reads = False
    c.db.reopen(NOW)
    assert set(names(40)) <= set(c.ids())


def test_it_opens_itself_again_after_pauses_that_grow(
    begin: Begin, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("vecdb.engine.supervisor.time", SimpleNamespace(monotonic=lambda: now[0]))
    c = begin(reopen_pause_s=1.0)
    fail(c, disk)
    disk.probes = True
    tried = []
    for second in range(40):
        now[0] = float(second)
        before = c.db.state().attempts
        c.db.supervise()
        if c.db.state().attempts > before:
            tried.append(second)
    assert tried == [1, 3, 7, 15, 31]
    disk.probes = False
    now[0] = 31 + 32
    c.db.supervise()
    assert c.db.state().name == "serving"
    fail(c, disk)
    now[0] += 1
    c.db.supervise()
    assert c.db.state().name == "read_only"  # the pauses begin anew
    now[0] += 1
    c.db.supervise()
    assert c.db.state().name == "serving"


def test_it_is_tried_every_minute_for_as_long_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    now, tried = [0.0], []
    monkeypatch.setattr("vecdb.engine.supervisor.time", SimpleNamespace(monotonic=lambda: now[0]))

    def reopen() -> None:
        tried.append(now[0])
        supervisor.attempted()
        raise ReadOnly("the disk still refuses")

    supervisor = Supervisor(lambda: ("read_only", "a reason"), lambda: None, reopen, 1.0, lambda: now[0])
    for step in range(5_000):  # more than three days
        now[0] = 60.0 * step
        supervisor.step()
    assert tried[-1_000:] == [60.0 * step for step in range(4_000, 5_000)]


def test_it_does_not_open_itself_again_unless_wanted(begin: Begin, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("vecdb.engine.supervisor.time", SimpleNamespace(monotonic=lambda: now[0]))
    c = begin(reopen_pause_s=0.0)
    fail(c, disk)
    c.db.supervise()
    now[0] = 1e6
    c.db.supervise()
    assert c.db.state().name == "read_only"


def test_readers_and_writers_beside_it_meet_nothing_wrong(begin: Begin, disk: Disk) -> None:
    """No acknowledged write is lost; a reader is never refused; a writer only so that it may try again."""
    c = begin(background=True, reopen_pause_s=0.01, evict_idle_s=0.0)
    acknowledged: list[str] = []
    wrong: list[BaseException] = []
    ending = threading.Event()
    lock = threading.Lock()

    def write(writer: int) -> None:
        n = 0
        while not ending.is_set():
            n += 1
            point = f"{writer}-{n}"
            try:
                c.upsert([point], gaussian(1, seed=n))
            except ReadOnly:
                continue
            except BaseException as error:
                wrong.append(error)
                return
            with lock:
                acknowledged.append(point)

    def read() -> None:
        while not ending.is_set():
            with lock:
                known = acknowledged[-20:]
            try:
                there = c.db.exists(NOW, "c", [*names(40), *known])
                assert there.all(), "an acknowledged point was not there"
                assert len(c.search(gaussian(1), limit=10)) == 10
                c.db.list_collections(NOW)
                c.db.database_stats(NOW)
            except BaseException as error:
                wrong.append(error)
                return

    threads = [threading.Thread(target=write, args=(i,)) for i in range(2)]
    threads += [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    opened = c.db._opening.opened  # type: ignore[union-attr]
    for round_ in range(3):
        changed = threading.Event()
        c.db.watch(changed.set)
        disk.syncs = True
        assert changed.wait(30), f"round {round_}: it did not become read-only"
        disk.syncs = False
        while not c.db.state().writes:
            assert not wrong, wrong
            changed.wait(0.001)
        before = len(acknowledged)
        while len(acknowledged) < before + 20 and not wrong:
            changed.wait(0.001)
    ending.set()
    for thread in threads:
        thread.join(30)
    assert wrong == []
    assert c.db._opening.opened >= opened + 3  # type: ignore[union-attr]
    assert c.db.exists(NOW, "c", acknowledged).all()


def test_who_met_a_store_that_was_closed_asks_the_new_one(
    c: Handle, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a reader does between whose question and answer the store was opened again."""
    fail(c, disk)
    kv = c.db._kv

    def late() -> dict[str, int]:
        monkeypatch.undo()
        c.db.reopen(NOW)
        return kv.stats()

    monkeypatch.setattr(kv, "stats", late)
    assert c.db.database_stats(NOW).bytes["store_wal_bytes"] >= 0
    assert c.db._kv is not kv


def test_whoever_waits_for_the_builder_waits_on_after_it(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vecdb.engine.collection.FAILURE_CHECK_S", 60.0)
    c = begin(max_unindexed_bytes=64)
    outcome: list[object] = []

    def write() -> None:
        try:
            outcome.append(c.upsert(["waits"], gaussian(1)).count)
        except VecdbError as error:
            outcome.append(error)

    inner = c.inner
    inner.wake_builder.clear()
    waiting = threading.Thread(target=write)
    waiting.start()
    assert inner.wake_builder.wait(30)
    with inner.publish_lock:  # which it holds until it waits
        c.db._committer._break("asked for by a test")
    c.db.reopen(NOW)
    while waiting.is_alive():
        c.db.maintain()
        waiting.join(0.001)
    assert outcome == [1]


# -- a full disk


def test_before_the_disk_is_full_what_grows_is_refused_and_nothing_else(c: Handle, disk: Disk) -> None:
    disk.free = (1 << 20) - 1
    with pytest.raises(DiskFull) as refused:
        c.upsert(["more"], gaussian(1))
    error = refused.value
    assert (error.reason, error.received) == ("DISK_FULL", str(disk.free)) and error.retry_after_s
    assert c.db.state().name == "disk_full" and "1048575 bytes are free" in str(c.db.state().reason)
    assert c.delete("00000").count == 1
    assert c.count() == 39
    c.compact()


def test_freed_space_is_noticed(c: Handle, disk: Disk) -> None:
    seen: list[str] = []
    c.db.watch(lambda: seen.append(c.db.state().name))
    disk.free = 1000
    c.db.supervise()
    disk.free = 5 << 18  # more than the least, and too little to begin again
    with pytest.raises(DiskFull):
        c.upsert(["more"], gaussian(1))
    disk.free = 3 << 19
    assert c.upsert(["more"], gaussian(1)).count == 1
    c.db.supervise()
    assert seen == ["disk_full", "serving"]


def test_space_is_kept_back_given_and_kept_back_again(c: Handle, disk: Disk, tmp_path: Path) -> None:
    reserve = tmp_path / "data" / RESERVE
    assert not reserve.exists()
    c.db.supervise()
    assert reserve.stat().st_size == 8 << 10
    assert c.db.database_stats(NOW).bytes["disk_reserve"] == 8 << 10
    disk.free = 1000
    disk.syncs = True
    with pytest.raises(ReadOnly):
        c.delete("00001")
    disk.syncs = False
    with pytest.raises(ReadOnly, match="too full"):
        c.db.reopen(NOW)
    assert not reserve.exists()
    c.db.supervise()
    assert not reserve.exists()  # there is no room for it
    disk.free = 5 << 18
    c.db.reopen(NOW)
    assert c.db.state().name == "disk_full"
    assert c.delete("00002").count == 1
    disk.free = 1 << 30
    c.db.supervise()
    assert reserve.stat().st_size == 8 << 10
    assert c.db.state().name == "serving"


def test_no_space_is_kept_back_where_there_is_none_to_spare(c: Handle, disk: Disk, tmp_path: Path) -> None:
    disk.free = 2 << 20
    c.db.supervise()
    assert not (tmp_path / "data" / RESERVE).exists()
    assert c.db.state().name == "serving"


def test_the_space_is_given_back_at_the_end(tmp_path: Path) -> None:
    db = Database.open(tmp_path / "data", replace(SMALL, disk_reserve_bytes=4096, min_free_disk_bytes=1))
    db.supervise()
    assert (tmp_path / "data" / RESERVE).stat().st_size == 4096
    db.close()
    assert not (tmp_path / "data" / RESERVE).exists()
