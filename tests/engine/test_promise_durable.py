"""Promise 1: what was acknowledged is there after a power cut, as it was: kills, updates and request ids too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.engine.conftest import make
from tests.engine.handle import TWO, Handle, delete, gaussian, names
from vecdb import failpoint
from vecdb.engine.database import Database
from vecdb.model.context import CallContext
from vecdb.model.filter.expression import F
from vecdb.storage.memory import MemoryKV

Opener = Callable[..., Database]


@pytest.fixture
def kv() -> MemoryKV:
    return MemoryKV()


@pytest.fixture
def c(open_db: Opener, kv: MemoryKV) -> Handle:
    """24 points in a sealed segment and six that are not."""
    c = make(open_db(kv=kv))
    c.upsert(names(24), gaussian(24), [{"n": 1}] * 24)
    c.seal()
    c.upsert(names(6, start=24), gaussian(6, seed=1), [{"n": 1}] * 6)
    return c


def cut(c: Handle, open_db: Opener) -> Handle:
    """The collection as it is found after a power cut now."""
    store = c.inner.kv
    assert isinstance(store, MemoryKV)
    left = store.durable_copy()
    c.db.close()
    return Handle(open_db(kv=left))


def shown(c: Handle) -> dict[str, Any]:
    """Payloads by id; every way to read agrees, and the indexes with the rows."""
    points = {point.id: point.payload for point in c.scroll()}
    found = c.answer(gaussian(1), limit=500).points
    assert sorted(found.ids) == sorted(points)
    assert {i: b'{"n":%d}' % p["n"] for i, p in points.items()} == dict(
        zip(found.ids, found.payloads or (), strict=True)
    )
    assert c.count() == Handle(c.db, scope=(F("n") == 1)).count() + sum(p != {"n": 1} for p in points.values())
    assert c.count() == len(points)
    assert c.db.check(CallContext()) == []
    return points


DEAD = [*names(8), *names(2, start=24)]
UPDATED = {i: {"n": 2} for i in DEAD}
LEFT = {i: {"n": 1} for i in names(30) if i not in DEAD}


def test_deletes_that_only_the_log_knows(c: Handle, open_db: Opener) -> None:
    c.delete(*DEAD)
    assert shown(cut(c, open_db)) == LEFT


def test_deletes_that_are_in_the_tombstones(c: Handle, open_db: Opener) -> None:
    c.delete(*DEAD)
    c.cover()
    c = cut(c, open_db)
    assert shown(c) == LEFT
    c.seal()
    assert shown(cut(c, open_db)) == LEFT


def test_deletes_of_rows_that_wait_for_their_deletion(c: Handle, open_db: Opener) -> None:
    """The manifest knows them dead, and the store still has them."""
    view = c.look()  # keeps the rows
    c.delete(*DEAD)
    c.cover()
    assert len(c.points_at(view, names(30))) == 30
    assert shown(cut(c, open_db)) == LEFT


@pytest.mark.parametrize("late", [False, True])
def test_deletes_while_segments_merge(c: Handle, open_db: Opener, late: bool) -> None:
    """What dies while the new segment is written is dead in it, and stays so."""
    failpoint.arm("merge.before_manifest" if late else "merge.before_build", lambda _: c.delete(*DEAD))
    c.seal()
    failpoint.disarm()
    assert len(c.stats().segments) == 1
    assert shown(c) == LEFT
    assert shown(cut(c, open_db)) == LEFT


def test_updates_while_segments_merge(c: Handle, open_db: Opener) -> None:
    """A vector whose point got a new version meanwhile belongs to that one."""
    failpoint.arm("merge.before_manifest", lambda _: c.update(DEAD, payloads=[{"n": 2}] * len(DEAD)))
    c.seal()
    failpoint.disarm()
    wanted = LEFT | UPDATED
    assert shown(c) == wanted
    assert shown(cut(c, open_db)) == wanted


def test_updates(c: Handle, open_db: Opener) -> None:
    c.update(DEAD, payloads=[{"n": 2}] * len(DEAD))
    wanted = LEFT | UPDATED
    c = cut(c, open_db)
    assert shown(c) == wanted
    c.cover()
    c = cut(c, open_db)
    assert shown(c) == wanted
    c.delete(*DEAD)
    assert shown(cut(c, open_db)) == LEFT


@pytest.fixture
def states(kv: MemoryKV) -> Iterator[list[MemoryKV]]:
    """What any power cut during the test could have left: each batch of the store may be the last that survived."""
    found: list[MemoryKV] = []

    def look(name: str) -> None:
        found.extend(kv.durable_copy(keep=keep) for keep in range(kv.stats()["unsynced_batches"] + 1))

    for name in failpoint.NAMES:
        failpoint.arm(name, look)
    yield found
    failpoint.disarm()


def test_a_write_of_many_slices_is_there_entirely_or_not_at_all(
    open_db: Opener, kv: MemoryKV, states: list[MemoryKV]
) -> None:
    c = make(open_db(kv=kv), TWO)
    c.upsert(names(20), {"": gaussian(20), "image": gaussian(20, 3)}, [{"n": 1}] * 20)
    c.update(names(10), payloads=[{"n": 2}] * 10)
    states.clear()
    before = shown(c)
    c.upsert(names(150), {"": gaussian(150, seed=2), "image": gaussian(150, 3)}, [{"n": 3}] * 150)
    after = shown(c)
    c.db.close()
    failpoint.disarm()
    outcomes = []
    for left in states[::3]:
        c = Handle(open_db(kv=left))
        outcomes.append(shown(c))
        c.upsert(["bare"], payloads=[{"n": 9}])
        assert "bare" not in c.search(gaussian(1), limit=500)
        c.db.close()
    assert all(points in (before, after) for points in outcomes)
    assert before in outcomes
    assert after in outcomes


@pytest.mark.parametrize("covered", [False, True])
def test_a_retry_after_a_power_cut_has_the_first_result(c: Handle, open_db: Opener, covered: bool) -> None:
    first = c.write(delete(DEAD), request_id=b"once")
    c.upsert(DEAD, gaussian(len(DEAD)), [{"n": 4}] * len(DEAD))
    if covered:
        c.cover()
        c.inner.kv.sync()
    again = cut(c, open_db)
    assert again.write(delete(DEAD), request_id=b"once") == first
    assert again.count() == 30
    assert again.write(delete(DEAD), request_id=b"another").count == len(DEAD)


def test_garbage_that_a_reader_kept_is_remembered(open_db: Opener) -> None:
    """The log of what killed it may go only after it: else nothing would ever delete it."""
    c = make(open_db(kv=MemoryKV(), request_memory_s=0.0))
    c.upsert(names(30), gaussian(30), [{"n": 1}] * 30)
    view = c.look()
    c.delete(*DEAD)
    c.cover()
    assert len(c.points_at(view, DEAD)) == len(DEAD)
    c.inner.kv.sync()
    c = cut(c, open_db)
    assert shown(c) == LEFT
    c.seal()
    assert shown(c) == LEFT
    assert c.inner.garbage_rows == 0


def test_collections_that_come_and_go(open_db: Opener, kv: MemoryKV) -> None:
    """Made, changed and dropped for good, as soon as the call has returned."""

    def names_left() -> dict[str, str]:
        db = open_db(kv=kv.durable_copy(), path=folder)
        found = {info.name: info.indexing for info in db.list_collections(CallContext())}
        assert db.check(CallContext()) == []
        db.close()
        return found

    db = open_db(kv=kv)
    folder = db._root.parent / "another"
    for name in ("a", "b"):
        make(db, name=name).upsert(names(3), gaussian(3))
    assert names_left() == {"a": "auto", "b": "auto"}
    db.set_indexing(CallContext(), "a", "deferred")
    assert names_left() == {"a": "deferred", "b": "auto"}
    halfway: list[dict[str, str]] = []
    failpoint.arm("drop.before_purge", lambda _: halfway.append(names_left()))
    db.drop_collection(CallContext(), "b")
    failpoint.disarm()
    assert halfway == [{"a": "deferred"}]
    assert names_left() == {"a": "deferred"}
