"""The change feed: what it tells is what happened, for as long as it is kept, and not longer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.conftest import Opener, make
from tests.engine.handle import ALL, SMALL, TWO, Handle, delete, gaussian, names, update, upsert
from vecdb import failpoint
from vecdb.engine import feed
from vecdb.engine.database import Database
from vecdb.engine.retention import RECORD_BYTES, Retention
from vecdb.errors import ChangesGone, Closed, CollectionNotFound, DeadlineExceeded, InvalidArgument
from vecdb.model.context import CallContext
from vecdb.model.feed import NOW, OLDEST, Change, FeedPage, FeedRequest
from vecdb.model.filter.expression import F
from vecdb.model.hit import Point
from vecdb.model.point import Clear, DeleteWhere, UpdateWhere
from vecdb.model.schema import SparseField, VectorField
from vecdb.model.schema_change import AddVectorField, DropVectorField, RenameVectorField
from vecdb.storage.memory import MemoryKV

DAY = 86_400.0
SCHEMA = replace(TWO, sparse={"": SparseField()})


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def page(c: Handle, after: str = OLDEST, **more: Any) -> FeedPage:
    return c.db.changes(c.context(), c.name, FeedRequest(after, **more))


def follow(c: Handle, after: str = OLDEST, max_bytes: int = 1 << 20) -> Iterator[Change]:
    """Every change after a place, page by page."""
    rows, end = 0, False
    while not end:
        told = page(c, after, rows=rows, max_bytes=max_bytes)
        yield from told.changes
        after, rows, end = told.token, told.rows, told.end


def token(c: Handle) -> str:
    return page(c, NOW).token


def apply(points: dict[str, Point], change: Change) -> None:
    points |= {point.id: point for point in change.points}
    for point_id in change.deleted:
        del points[point_id]


def state(c: Handle) -> dict[str, Point]:
    return {point.id: point for point in c.scroll(select=ALL)}


@pytest.fixture
def kept(open_db: Opener) -> Handle:
    """A collection whose changes are kept for a day."""
    return make(open_db(kv=MemoryKV(), keep_changes_s=DAY), SCHEMA)


# -- what is told


def some_write(c: Handle, rng: np.random.Generator) -> None:
    """One batch of one to three steps, of any kind that there is."""
    pool = [f"p{i}" for i in range(14)]
    steps: list[Any] = []
    for _ in range(int(rng.integers(1, 4))):
        ids = rng.choice(pool, int(rng.integers(1, 6)), replace=False).tolist()
        n = len(ids)
        payloads = [{"n": int(rng.integers(10)), "in": bool(rng.random() < 0.6)} for _ in ids]
        texts = [None if rng.random() < 0.3 else f"text {rng.integers(9)}" for _ in ids]
        vectors: list[Any] = [
            rng.normal(size=4),
            *(None if rng.random() < 0.4 else rng.normal(size=4) for _ in ids[1:]),
        ]
        kind = rng.random()
        if kind < 0.35:
            steps.append(upsert(ids, {"": vectors, "image": rng.normal(size=(n, 3))}, payloads, {"title": texts}))
        elif kind < 0.6:
            steps.append(update(ids, None, payloads) if kind < 0.5 else update(ids, {"": rng.normal(size=(n, 4))}))
        elif kind < 0.75:
            steps.append(delete(ids))
        elif kind < 0.85:
            steps.append(DeleteWhere(F("n") < int(rng.integers(3))))
        elif kind < 0.97:
            steps.append(UpdateWhere(F("n") >= int(rng.integers(10)), b'{"n":3,"in":true}'))
        else:
            steps.append(Clear())
    c.write(*steps)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), room=st.sampled_from([1, 300, 1 << 20]), upkeep=st.integers(0, 3))
def test_a_replica_is_the_source_after_every_write(seed: int, room: int, upkeep: int) -> None:
    """Whatever is sealed and merged meanwhile, from whichever token, in however small pages."""
    db = Database(MemoryKV(), Path("/nonexistent"), replace(SMALL, keep_changes_s=DAY, graph_rows=10**6))
    c = make(db, SCHEMA)
    rng = np.random.default_rng(seed)
    was, tokens = {0: state(c)}, {0: token(c)}
    for _ in range(12):
        some_write(c, rng)
        was[c.seq], tokens[c.seq] = state(c), token(c)
        for _ in range(upkeep):
            db.maintain()
    for seq, after in tokens.items():
        replica = dict(was[seq])
        told = []
        for change in follow(c, after, room):
            apply(replica, change)
            if change.last:
                told.append(change.seq)
                assert change.token == tokens[change.seq]
                assert replica == was[change.seq]
            else:
                assert change.token == tokens[change.seq - 1]
        assert told == [later for later in was if later > seq]
        assert replica == was[c.seq]
    assert db.check(CallContext()) == []
    db.close()


def test_points_come_whole(kept: Handle) -> None:
    kept.upsert(["a"], {"": gaussian(1), "image": gaussian(1, 3)}, [{"n": 1}], {"": ["hello"], "title": ["world"]})
    kept.update(["a"], None, [{"n": 2}])
    kept.delete("a")
    written, changed, deleted = follow(kept)
    (point,) = changed.points
    assert (point.payload, point.texts, point.version) == ({"n": 2}, {"": "hello", "title": "world"}, 2)
    assert np.array_equal(point.vectors[""], gaussian(1)[0])
    assert [c.seq for c in (written, changed, deleted)] == [1, 2, 3]
    assert (deleted.points, deleted.deleted) == ([], ["a"])


def test_what_a_batch_writes_and_deletes_itself_is_in_no_change(kept: Handle) -> None:
    kept.upsert(["old"])
    kept.write(upsert(["new"]), delete(["old"]), upsert(["old"], None, [{"n": 1}]), delete(["new"]))
    _, change = follow(kept)
    assert (change.columns.ids, change.deleted) == (["old"], [])


def test_a_sweep_comes_as_a_delete(open_db: Opener) -> None:
    clock = Clock()
    c = make(open_db(kv=MemoryKV(), keep_changes_s=DAY, clock=clock))
    c.write(upsert(["short", "long"], ttl_ms=[1_000, -1]))
    clock.now += 2
    c.db.sweep(CallContext(), "c")
    written, swept = follow(c)
    assert written.expires_at.tolist() == [1_000_001_000, 0]
    assert swept.deleted == ["short"]
    assert swept.time.timestamp() == clock.now


def test_points_come_by_the_schema_of_now(kept: Handle) -> None:
    kept.upsert(["a"], {"": gaussian(1), "image": gaussian(1, 3)})
    kept.change(AddVectorField("more", VectorField(2)))
    kept.update(["a"], {"more": gaussian(1, 2)})
    kept.change(RenameVectorField("more", "other"))
    kept.change(DropVectorField("image"))
    kept.settle()
    first, second = follow(kept)
    assert [sorted(change.points[0].vectors) for change in (first, second)] == [[""], ["", "other"]]


def test_a_large_batch_comes_in_parts(kept: Handle) -> None:
    kept.upsert(names(400), gaussian(400))
    kept.write(upsert(names(300, 400), gaussian(300)), delete(names(390)))
    first = [change for change in follow(kept, max_bytes=4_000) if change.seq == 1]
    second = list(follow(kept, token_after(kept, 1), max_bytes=4_000))
    seen = [point_id for change in second for point_id in change.ids]
    assert len(first) > 4
    assert [change.last for change in second] == [False] * (len(second) - 1) + [True]
    assert sorted(seen) == sorted(names(300, 400) + names(390))
    assert max(len(change.columns) for change in second) < 70


def token_after(c: Handle, seq: int) -> str:
    return token(c).rsplit(":", 1)[0] + f":{seq}"


def test_a_part_leads_back_to_the_beginning_of_its_batch(kept: Handle) -> None:
    kept.upsert(names(50), gaussian(50))
    part = page(kept, max_bytes=1_000).changes[0]
    again = list(follow(kept, part.token))
    assert not part.last
    assert [point for change in again for point in change.columns.ids] == names(50)


# -- scope


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), room=st.sampled_from([1, 1 << 20]))
def test_under_a_scope_only_what_is_inside_is_told(seed: int, room: int) -> None:
    db = Database(MemoryKV(), Path("/nonexistent"), replace(SMALL, keep_changes_s=DAY, graph_rows=10**6))
    outside, inside = make(db, SCHEMA), Handle(db, scope=F("in") == True)  # noqa: E712
    rng = np.random.default_rng(seed)
    was, told = {0: state(inside)}, {}
    for _ in range(10):
        some_write(outside, rng)
        was[outside.seq] = state(inside)
    replica: dict[str, Point] = {}
    for change in follow(inside, max_bytes=room):
        apply(replica, change)  # which also refuses to delete what was never there
        told[change.seq] = dict(replica)
        assert all(point.payload and point.payload["in"] for point in change.points)
    assert replica == was[outside.seq]
    assert all(points == was[seq] for seq, points in told.items() if room > 1)
    assert token(inside) == token(outside)
    db.close()


def test_a_follower_passes_over_what_it_may_not_see(kept: Handle) -> None:
    inside = Handle(kept.db, scope=F("in") == True)  # noqa: E712
    for i in range(3):
        kept.upsert([f"secret{i}"], None, [{"in": False}])
    told = page(inside)
    assert (told.changes, told.end, told.token) == ([], True, token(kept))


# -- tokens and the horizon


def test_tokens_of_elsewhere_and_of_later_are_refused(kept: Handle, open_db: Opener) -> None:
    kept.upsert(["a"])
    database, number, seq = token(kept).split(":")
    with pytest.raises(InvalidArgument, match="another database or collection"):
        page(kept, f"{'0' * 32}:{number}:{seq}")
    with pytest.raises(InvalidArgument, match="another database or collection"):
        page(kept, f"{database}:{int(number) + 1}:{seq}")
    with pytest.raises(InvalidArgument, match="not there"):
        page(kept, f"{database}:{number}:{int(seq) + 1}")
    for nonsense in ("", "x", "a:b:c", f"{database}:1:-1", "later"):
        with pytest.raises(InvalidArgument, match="not a token"):
            page(kept, nonsense)
    with pytest.raises(InvalidArgument, match="out of range"):
        page(kept, OLDEST, rows=5)


def test_changes_are_kept_for_their_time(open_db: Opener) -> None:
    clock = Clock()
    c = make(open_db(kv=MemoryKV(), keep_changes_s=60.0, request_memory_s=0.0, clock=clock))
    c.upsert(["a"], gaussian(1))
    c.delete("a")
    clock.now += 30
    c.upsert(["b"], gaussian(1))
    c.update(["b"], None, [{"n": 1}])
    c.cover()
    clock.now += 29
    c.cover()
    assert [change.seq for change in follow(c)] == [1, 2, 3, 4]
    clock.now += 2
    c.cover()
    assert [change.seq for change in follow(c)] == [3, 4]
    with pytest.raises(ChangesGone) as gone:
        page(c, token_after(c, 1))
    oldest = gone.value.expected.split()[0]
    assert oldest == token_after(c, 2)
    assert [change.seq for change in follow(c, oldest)] == [3, 4]
    clock.now += 60
    c.cover()
    assert list(follow(c)) == []
    assert list(follow(c, token(c))) == []


def test_changes_are_kept_within_their_bytes(open_db: Opener) -> None:
    """However long: dead rows of about 40 KB are held back, not more."""
    c = make(open_db(kv=MemoryKV(), keep_changes_s=DAY, keep_changes_bytes=40_000))
    for i in range(50):
        c.upsert(["a"], gaussian(1, seed=i), [{"text": "x" * 2_000}])
        c.settle()
    told = [change.seq for change in follow(c)]
    assert 10 <= len(told) <= 20
    assert told[-1] == 50
    bodies = sum(1 for _ in c.inner.kv.scan(b"b", b"c"))
    assert bodies <= 21


@pytest.mark.parametrize(("live_mib", "kept_mib"), [(0, 8), (24, 12), (1000, 20)])
def test_a_small_collection_holds_back_no_more_than_it_is_worth(live_mib: int, kept_mib: int) -> None:
    retention = Retention(DAY, 20 << 20)
    for seq in range(1, 31):
        retention.note(seq, 10.0 * seq, (1 << 20) - RECORD_BYTES)
    retention.let_go(300.0, live_mib << 20)
    assert (retention.nbytes >> 20, 30 - retention.horizon) == (kept_mib, kept_mib)


def test_a_compaction_keeps_nothing(kept: Handle) -> None:
    kept.upsert(names(20), gaussian(20))
    after = token(kept)
    kept.delete(*names(19))
    kept.compact()
    assert sum(1 for _ in kept.inner.kv.scan(b"b", b"c")) == 1
    with pytest.raises(ChangesGone):
        page(kept, after)
    kept.upsert(["b"])
    assert [change.columns.ids for change in follow(kept)] == [["b"]]


def test_a_compaction_waits_for_no_reader_and_takes_nothing_from_one(kept: Handle) -> None:
    """What a page is being read from stays until the page is read."""
    kept.upsert(names(20), gaussian(20))
    after = token(kept)
    kept.delete(*names(19))
    kept.inner.retention.begin(1)
    kept.compact()
    kept.inner.retention.end(1)
    assert [change.deleted for change in follow(kept, after)] == [names(19)]
    kept.compact()
    with pytest.raises(ChangesGone):
        page(kept, after)


@pytest.mark.parametrize("where", ["reap.before_delete", "reap.after_delete"])
def test_the_horizon_is_known_after_a_crash(open_db: Opener, tmp_path: Path, where: str) -> None:
    """Reaping is not recorded; what it left tells."""
    clock, kv = Clock(), MemoryKV()
    c = make(open_db(kv=kv, keep_changes_s=60.0, clock=clock))
    for i in range(4):
        c.upsert(["a"], gaussian(1, seed=i))
        clock.now += 25
    wanted = [change.seq for change in follow(c)]
    assert wanted == [1, 2, 3, 4]
    failpoint.arm_from_text(f"{where}=raise")
    with pytest.raises(OSError, match="reap"):
        c.cover()
    failpoint.disarm()
    kv.sync()
    copy = Handle(open_db(kv=kv.durable_copy(), path=tmp_path / "copy", keep_changes_s=60.0, clock=clock))
    told = list(follow(copy))
    assert [change.seq for change in told] == ([2, 3, 4] if where == "reap.before_delete" else [3, 4])
    assert np.array_equal(told[-1].points[0].vectors[""], gaussian(1, seed=3)[0])


def test_the_feed_goes_on_after_reopening(open_db: Opener, tmp_path: Path) -> None:
    first = make(open_db(path=tmp_path / "d", keep_changes_s=DAY))
    first.upsert(names(40), gaussian(40))
    after = token(first)
    first.update(names(10), None, [{"n": 1}] * 10)
    first.delete(*names(5))
    first.settle()
    wanted = [(change.seq, change.ids) for change in follow(first, after)]
    first.db.close()
    again = Handle(open_db(path=tmp_path / "d", keep_changes_s=DAY))
    assert [(change.seq, change.ids) for change in follow(again, after)] == wanted
    assert token(again) == token_after(again, 3)


def test_a_collection_that_was_let_go_of_tells_the_same(open_db: Opener) -> None:
    c = make(open_db(kv=MemoryKV(), keep_changes_s=DAY, open_collections=1, evict_idle_s=0.0))
    other = make(c.db, name="other")
    c.upsert(["a"])
    c.delete("a")
    before, first = c.inner, token(c)
    other.upsert(["x"])
    c.settle()
    assert before.evicted
    assert [change.ids for change in follow(c)] == [["a"], ["a"]]
    assert token(c) == first


def test_a_restored_snapshot_is_brought_up_to_date(kept: Handle, open_db: Opener, tmp_path: Path) -> None:
    """By the token that it has, and then it has a feed of its own."""
    kept.upsert(names(30), gaussian(30), [{"n": i} for i in range(30)])
    kept.delete("00007")
    archive = list(kept.db.snapshot(CallContext()))
    kept.update(names(5), None, [{"n": 100}] * 5)
    kept.delete(*names(3, 10))
    copy = open_db(kv=MemoryKV(), path=tmp_path / "copy", keep_changes_s=DAY)
    (restored,) = copy.restore(CallContext(), [archive]).collections
    c = Handle(copy, restored.name)
    assert list(follow(c)) == []
    for change in follow(kept, restored.token):
        c.write(*change.operations())
    assert [(p.id, p.payload) for p in c.scroll()] == [(p.id, p.payload) for p in kept.scroll()]
    assert [change.ids for change in follow(c)] == [names(5), names(3, 10)]


# -- waiting


class Follower(threading.Thread):
    """Asks for one page and waits for it."""

    def __init__(self, c: Handle, after: str, still: Any = lambda: True, wait_s: float = 60.0) -> None:
        super().__init__()
        self._given = (c, after, still, wait_s)
        self.page: FeedPage | None = None
        self.error: BaseException | None = None
        waiting = c.inner.followers
        self.start()
        while c.inner.followers == waiting and self.is_alive():
            time.sleep(0.001)

    def run(self) -> None:
        c, after, still, wait_s = self._given
        try:
            self.page = c.db.changes(CallContext(), c.name, FeedRequest(after, wait_s=wait_s), still)
        except BaseException as error:
            self.error = error

    def result(self) -> FeedPage:
        self.join(30)
        assert not self.is_alive()
        if self.error is not None:
            raise self.error
        assert self.page is not None
        return self.page


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody wakes by looking now and then."""
    monkeypatch.setattr(feed, "FAILURE_CHECK_S", 3_600.0)


@pytest.mark.usefixtures("told")
def test_a_follower_wakes_for_a_write(kept: Handle) -> None:
    follower = Follower(kept, token(kept))
    kept.upsert(["a"])
    assert [change.columns.ids for change in follower.result().changes] == [["a"]]


@pytest.mark.usefixtures("told")
def test_a_follower_is_let_go_of_when_its_collection_is_dropped(kept: Handle) -> None:
    follower = Follower(kept, token(kept))
    kept.db.drop_collection(CallContext(), "c")
    with pytest.raises(CollectionNotFound):
        follower.result()


@pytest.mark.usefixtures("told")
def test_a_follower_is_let_go_of_when_the_database_is_closed(kept: Handle) -> None:
    follower = Follower(kept, token(kept))
    kept.db.close()
    with pytest.raises(Closed):
        follower.result()


def test_a_follower_who_has_gone_is_not_waited_for(kept: Handle) -> None:
    gone = threading.Event()
    follower = Follower(kept, token(kept), lambda: not gone.is_set())
    gone.set()
    assert follower.result().end


def test_nobody_waits_longer_than_asked_nor_for_what_is_there(kept: Handle) -> None:
    before = token(kept)
    assert page(kept, before, wait_s=0.001).end
    kept.upsert(["a"])
    assert page(kept, before, wait_s=3_600.0).changes
    with pytest.raises(DeadlineExceeded):
        kept.db.changes(CallContext.within(0.0), "c", FeedRequest(before))


def test_a_followed_collection_is_not_let_go_of(open_db: Opener) -> None:
    c = make(open_db(kv=MemoryKV(), open_collections=1, evict_idle_s=0.0))
    other = make(c.db, name="other")
    follower = Follower(c, token(c))
    other.upsert(["x"])
    c.settle()
    assert not c.inner.evicted
    c.upsert(["a"])
    assert follower.result().changes
