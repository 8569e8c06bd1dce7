"""Times to live: from its end on a point is gone for everybody, long before it is swept away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engine.conftest import make
from tests.engine.handle import DIM, PLAIN, Handle, delete, gaussian, insert, names, update, upsert
from vecdb.engine.commit import Write
from vecdb.engine.database import Database
from vecdb.engine.prepare import DeleteExpired, PreparedBatch
from vecdb.errors import ConditionFailed
from vecdb.model.context import CallContext
from vecdb.model.facet import FacetRequest
from vecdb.model.filter.expression import F
from vecdb.model.order import OrderBy
from vecdb.model.point import FOR_EVER, Condition, DeleteIds, DeleteWhere, PayloadMode, Select, UpdateWhere
from vecdb.model.schema import Schema, VectorField
from vecdb.storage.memory import MemoryKV

Opener = Callable[..., Database]


class Clock:
    """Seconds since 1970, as a test wants them."""

    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def c(open_db: Opener, clock: Clock) -> Handle:
    return make(open_db(kv=MemoryKV(), clock=clock))


def fill(c: Handle, n: int = 40) -> None:
    """Points of which the even ones live for ten seconds, the others for ever."""
    payloads = [{"n": i} for i in range(n)]
    c.upsert(names(n), gaussian(n), payloads, ttl_ms=[10_000 if i % 2 == 0 else 0 for i in range(n)])


def gone(c: Handle, shown: list[str], hidden: list[str]) -> None:
    """Everything that reads shows ``shown``, and nothing of ``hidden``."""
    everything = sorted(shown + hidden)
    assert c.ids() == shown
    assert [p.id for p in c.get(*everything)] == shown
    assert c.exists(*everything) == [i in shown for i in everything]
    assert c.count() == len(shown) == c.stats().live == c.db.describe(CallContext(), "c").points
    assert sum(segment.live for segment in c.stats().segments) == len(shown)
    facet = c.db.facet(c.context(), "c", FacetRequest(("n",)))
    assert facet.present + facet.missing == len(shown)
    page = c.db.ordered(c.context(), "c", OrderBy("n"), b"", 100, Select(False, False))
    assert sorted(page.points.ids) == shown
    for exact in (False, True):
        assert sorted(c.search(gaussian(1)[0], limit=100, exact=exact)) == shown
        for query in gaussian(10, seed=3):
            (five,) = [c.search(query, limit=5, exact=exact)]
            assert len(five) == min(5, len(shown))
            assert set(five) <= set(shown)
        found = c.search(gaussian(1)[0], limit=100, exact=exact, filter=F("$id").prefix(""))
        assert sorted(found) == shown


@pytest.mark.parametrize("where", ["growing", "sealed", "mixed", "edited"])
def test_an_expired_point_is_never_shown(c: Handle, clock: Clock, where: str) -> None:
    """Not even before the sweep, and by no plan: exact scan, graph, filtered, several segments, adopted vectors."""
    fill(c)
    if where in ("sealed", "edited"):
        c.seal()
    if where in ("mixed", "edited"):
        c.settle()
        c.write(update(names(40)[::4], payloads=[{"n": -i} for i in range(10)], payload_mode=PayloadMode.MERGE))
        c.write(update(names(40)[1::4], payloads=[{"n": i} for i in range(10)]))
        c.write(UpdateWhere(F("n") < 0, b'{"n":1}'))
    clock.now += 9.999
    gone(c, names(40), [])
    clock.now += 0.001
    gone(c, names(40)[1::2], names(40)[::2])


def test_the_sweep_deletes_for_good(c: Handle, clock: Clock) -> None:
    """As an ordinary write: afterwards nothing is masked, the log tells a replay, and compaction frees the space."""
    fill(c)
    c.seal()
    clock.now += 10
    seq, live = c.seq, c.look().live
    assert live == 40
    c.settle()
    assert (c.seq, c.look().live, c.look().expiring) == (seq + 1, 20, False)
    gone(c, names(40)[1::2], names(40)[::2])
    c.compact()
    assert [s.dead for s in c.stats().segments] == [0]
    clock.now += 1e6
    assert not c.db.maintain()
    assert c.seq == seq + 1


def test_a_sweep_that_comes_late_asks_again(c: Handle, clock: Clock) -> None:
    """Between its look and its turn somebody wrote one of the points anew, and another for a longer time."""
    c.upsert(["a", "b", "d"], gaussian(3), ttl_ms=[1_000])
    clock.now += 1
    found = c.look()
    c.write(upsert(["a", "b"], gaussian(2), ttl_ms=[0, 9_000]), insert(["new"], gaussian(1)))
    batch = PreparedBatch([DeleteExpired(["a", "b", "d", "new", "none"])], 0)
    done = c.db._committer.submit(Write(c.inner, batch, c.inner.entry.shape, c.context(), durable=False))
    assert done.result(30).count == 1
    assert c.ids() == ["a", "b", "new"]
    assert c.ids_at(found) == []


def test_a_segment_is_looked_at_anew_once_what_expired_is_gone(c: Handle, clock: Clock) -> None:
    """Points that were deleted or overwritten before their end leave a moment behind at which nothing expires."""
    fill(c, 4)
    c.write(delete(["00000"]), upsert(["00002"], gaussian(1)))
    clock.now += 10
    assert c.look().expiring
    gone(c, ["00001", "00002", "00003"], ["00000"])
    seq = c.seq
    c.settle()
    assert c.seq == seq
    assert not c.look().expiring


def test_a_reader_keeps_its_moment(c: Handle, clock: Clock) -> None:
    """What a call saw at its start it sees to its end, whatever is swept meanwhile; the next call does not."""
    fill(c, 4)
    before = c.look()
    clock.now += 10
    after = c.look()
    c.settle()
    c.upsert(["00000"], gaussian(1))
    assert c.ids_at(before) == names(4)
    assert c.ids_at(after) == ["00001", "00003"]
    assert [p.id for p in c.points_at(after, names(4))] == ["00001", "00003"]
    assert sorted(c.answer_at(after, gaussian(1)).points.ids) == ["00001", "00003"]
    assert sorted(c.answer_at(before, gaussian(1)).points.ids) == names(4)
    assert c.inner.matcher.count(c.context(), after, None) == 2


def test_writes_take_an_expired_point_for_absent(c: Handle, clock: Clock) -> None:
    c.upsert(["a", "b", "e", "f"], gaussian(4), [{"n": 1}] * 4, ttl_ms=[1_000])
    c.upsert(["stays"], gaussian(1), [{"n": 1}])
    clock.now += 1
    assert c.write(update(["a", "stays"], payloads=[{"n": 2}] * 2)).count == 1
    assert c.write(delete(["a"])).count == 0
    assert c.write(DeleteWhere(F("n") == 1)).count == 0
    assert c.write(UpdateWhere(F("n") == 1, b'{"n":3}')).count == 0
    with pytest.raises(ConditionFailed) as caught:
        c.write(DeleteIds(["a"], Condition(exists=True)))
    assert (caught.value.received, caught.value.version) == ("none", 0)
    assert c.write(insert(["a"], gaussian(1, seed=5), [{"n": 4}])).count == 1
    assert c.write(upsert(["b"], gaussian(1), [{"n": 4}], condition=Condition(versions=[0]))).count == 1
    assert c.write(upsert(["e"], gaussian(1)), delete(["e"])).count == 2
    gone(c, ["a", "b", "stays"], ["e", "f"])
    c.settle()
    gone(c, ["a", "b", "stays"], ["e", "f"])
    assert c.payload("a") == {"n": 4}


def test_clear_counts_what_is_there(c: Handle, clock: Clock) -> None:
    fill(c)
    clock.now += 10
    assert c.clear().count == 20
    gone(c, [], names(40))
    c.settle()
    assert c.look().live == 0


def test_whose_time_it_is(open_db: Opener, clock: Clock) -> None:
    """The point's own, or the collection's; an update leaves it, gives a new one, or takes it away."""
    c = make(open_db(kv=MemoryKV(), clock=clock), Schema({"": VectorField(DIM)}, ttl_ms=10_000))
    c.upsert(["own", "default", "ever"], gaussian(3), ttl_ms=[20_000, 0, FOR_EVER])
    c.upsert(["longer", "never", "kept", "by filter"], gaussian(4), [{"n": i} for i in range(4)])
    clock.now += 5
    c.write(update(["longer", "never", "kept"], ttl_ms=[10_000, FOR_EVER, 0]))
    c.write(UpdateWhere(F("n") == 3, ttl_ms=30_000))
    moments = {5: ["default", "kept"], 10: ["longer"], 15: ["own"], 30: ["by filter"], 10**9: []}
    left = {"own", "default", "ever", "longer", "never", "kept", "by filter"}
    began = clock.now
    for seconds, ending in moments.items():
        clock.now = began + seconds - 0.001
        assert set(c.ids()) == left
        clock.now = began + seconds
        left -= set(ending)
        assert set(c.ids()) == left
    assert left == {"ever", "never"}


def test_an_upsert_forgets_the_time_of_the_point_before(c: Handle, clock: Clock) -> None:
    c.upsert(["a", "b"], gaussian(2), ttl_ms=[1_000])
    c.upsert(["a"], gaussian(1))
    clock.now += 1
    assert c.ids() == ["a"]


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("damaged", [False, True])
def test_a_restart_remembers(open_db: Opener, clock: Clock, tmp_path: Path, sealed: bool, damaged: bool) -> None:
    """From the sealed segment's own file, from the bodies where there is none, or none that is whole."""
    c = make(open_db(clock=clock))
    fill(c)
    if sealed:
        c.seal()
        (file,) = tmp_path.glob("data/segments/*/*/expires")
        assert np.fromfile(file, dtype="<i8").tolist()[:2] == [1_000_000_010_000, 2**63 - 1]
    c.db.close()
    if damaged and sealed:
        file.write_bytes(file.read_bytes()[:-8])
    c = Handle(open_db(clock=clock))
    gone(c, names(40), [])
    clock.now += 10
    gone(c, names(40)[1::2], names(40)[::2])
    c.settle()
    c.db.close()
    clock.now -= 10  # it does not come back
    c = Handle(open_db(clock=clock))
    gone(c, names(40)[1::2], names(40)[::2])


def test_no_file_where_nothing_expires(open_db: Opener, tmp_path: Path) -> None:
    c = make(open_db())
    c.upsert(names(40), gaussian(40))
    c.seal()
    assert not list(tmp_path.glob("data/segments/*/*/expires"))
    assert c.look().segments[0].expires is None


def test_a_merge_keeps_the_times(c: Handle, clock: Clock) -> None:
    c.upsert(names(20), gaussian(20))
    c.seal()
    c.upsert(names(20, 20), gaussian(20, seed=1), ttl_ms=[5_000])
    c.seal()
    assert len(c.stats().segments) == 1
    clock.now += 5
    gone(c, names(20), names(20, 20))


def test_a_tiny_collection_that_was_let_go_of_is_swept_when_it_is_opened(open_db: Opener, clock: Clock) -> None:
    c = make(open_db(kv=MemoryKV(), clock=clock, open_collections=0, evict_idle_s=0.0))
    c.upsert(["a"], gaussian(1), ttl_ms=[1_000])
    while c.db.maintain():
        pass
    assert c.db._opened() == []
    clock.now += 1
    assert [info.points for info in c.db.list_collections(CallContext())] == [0]
    assert c.ids() == []
    c.db.maintain()
    assert c.look().live == 0


def test_expiry_goes_on_by_itself(open_db: Opener, tmp_path: Path) -> None:
    """In the background, by the real clock, though nobody writes or reads."""
    db = open_db(background=True)
    c = make(db)
    c.upsert(["a", "b"], gaussian(2), ttl_ms=[1, 0])
    with c.inner.indexed:  # nothing signals a sweep: look now and then
        for _ in range(600):
            if c.inner.live == 1:
                break
            c.inner.indexed.wait(0.05)
    assert c.inner.live == 1
    assert c.ids() == ["b"]


def test_the_schema_says_it_and_keeps_it(open_db: Opener) -> None:
    schema: Any = Schema(PLAIN.vectors, ttl_ms=7)
    c = make(open_db(), schema)
    c.db.close()
    assert open_db().describe(CallContext(), "c").schema == schema
