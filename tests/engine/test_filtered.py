"""Searches under filters: what matches is what the definition says, however it is found and wherever it lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tests.engine.conftest import make
from tests.engine.handle import TWO, Handle, gaussian, names
from tests.engine.walk import walked
from vecdb.engine.database import Database
from vecdb.engine.kept import Kept
from vecdb.errors import DeadlineExceeded, FieldNotFound
from vecdb.model.context import CallContext
from vecdb.model.facet import FacetRequest
from vecdb.model.filter import Facts, Filter, matches
from vecdb.model.filter.expression import F
from vecdb.model.point import Int64
from vecdb.model.query import Near, SearchRequest
from vecdb.model.schema import Schema, VectorField
from vecdb.storage.memory import MemoryKV

N = 300
QUERY = gaussian(1, seed=9)[0]
LONG = "x" * 5_000
"""A string that no column keeps."""


def payload(i: int) -> dict[str, Any]:
    return {
        "n": i,
        "half": i % 2,
        "tags": [f"t{i % 3}", f"t{i % 5}"],
        "at": {"day": f"2025-01-{1 + i % 28:02}T00:00:00Z"},
        "sizes": [i % 11, 100 + i % 13],
        "mixed": i if i % 2 else float(i) + 0.5,
        "essay": LONG + str(i % 4),
        **({} if i % 7 else {"rare": None}),
    }


FILTERS: dict[str, Filter] = {
    "equal": F("half") == 1,
    "interval": (F("n") >= 40) & (F("n") < 90),
    "interval at the end": (F("n") > 250) & (F("n") > 240),
    "interval from the start": (F("n") <= 30) & (F("n") < 60),
    "empty interval": (F("n") > 60) & (F("n") < 50),
    "interval in arrays": (F("sizes") > 50) & (F("sizes") < 8),  # not of one element
    "interval of both kinds of numbers": (F("mixed") >= 10.5) & (F("mixed") < 31),
    "interval of two types": (F("n") >= 40) & (F("n") < "a"),
    "interval of times": (F("at.day") > "2025-01-05T00:00:00Z") & (F("at.day") < "2025-01-09T03:00:00+02:00"),
    "interval of ids": (F("$id") >= "00050") & (F("$id") < "00070"),
    "interval of what is missing": (F("rare") > 1) & (F("rare") < 5),
    "one": F("n") == 123,
    "none": F("n") > 10_000,
    "complement": ~(F("tags") == "t1"),
    "any": F("tags").any(["t0", "t4"]),
    "all": F("tags").all(["t0", "t4"]),
    "time": F("at.day") < "2025-01-10T01:00:00+02:00",
    "null": F("rare").is_null(),
    "missing": ~F("rare").exists(),
    "id": F("$id").is_in(names(20)),
    "long": F("essay") == LONG + "2",
    "long or short": (F("essay") == LONG + "2") | (F("n") < 5),
    "long and short": (F("essay") == LONG + "2") & (F("half") == 0),
    "text": F.text("seven WORDS", "title"),
    "vector": F.has_vector("image"),
    "no vector": ~F.has_vector("image"),
    "nested": (F("half") == 0) & ((F("n") < 100) | ~(F("tags") == "t2")) & (F("at.day") > "2025-01-05T00:00:00Z"),
}


@pytest.fixture(params=["growing", "sealed", "both", "edited"])
def c(request: pytest.FixtureRequest, open_db: Callable[..., Database]) -> Iterator[Handle]:
    """N points: in memory, sealed, in several segments, or sealed and then edited, moved and deleted."""
    rows = {"both": 70, "edited": 500}.get(request.param, 1_000)
    handle = make(open_db(kv=MemoryKV(), growing_rows=rows), TWO)
    for start in range(0, N, 50):
        put(handle, range(start, start + 50))
    if request.param in ("sealed", "edited"):
        handle.seal()
    if request.param == "both":
        handle.seal()
        put(handle, range(N, N + 60))
    if request.param == "edited":
        edit(handle)
    yield handle
    handle.db.check(CallContext())


def put(c: Handle, numbers: range) -> None:
    """Every fourth point has no image, every third a title."""
    vectors = gaussian(400)
    c.upsert(
        [f"{i:05d}" for i in numbers],
        {"": vectors[numbers], "image": [None if i % 4 == 0 else vectors[i, :3] for i in numbers]},
        [payload(i) for i in numbers],
        texts={"title": [f"Seven {i} words" if i % 3 == 0 else None for i in numbers]},
    )


def edit(c: Handle) -> None:
    """Payloads of some change and their vectors stay; of others the vector changes; some go."""
    changed = names(60, 100)
    c.update(changed, payloads=[payload(i) | {"half": 1 - i % 2, "n": i + 1} for i in range(100, 160)])
    c.update(names(10, 200), {"": gaussian(10, seed=5)})
    c.delete(*names(30, 50))


def wanted(c: Handle, filter: Filter) -> list[str]:
    """The ids that match by the definition."""
    out = []
    for point in c.scroll():
        texts = {"title": point.texts["title"]} if point.texts and "title" in point.texts else {}
        fields = {name for name in ("", "image") if point.vectors and name in point.vectors}
        if matches(filter, Facts(point.id, point.version, point.payload, texts, fields)):
            out.append(point.id)
    return out


def nearest(c: Handle, ids: list[str]) -> list[str]:
    """Of some ids those nearest to QUERY, best first."""
    vectors = {p.id: np.asarray(p.vectors[""], dtype=np.float64) for p in c.scroll() if p.vectors}
    cosines = {i: float(vectors[i] @ QUERY / np.linalg.norm(vectors[i])) for i in ids}
    return sorted(ids, key=lambda i: (-cosines[i], i))


@pytest.mark.parametrize("name", FILTERS)
def test_what_matches_is_what_the_definition_says(c: Handle, name: str) -> None:
    filter = FILTERS[name]
    ids = wanted(c, filter)
    assert sorted(c.search(QUERY, limit=1_000, filter=filter)) == ids
    assert c.search(QUERY, limit=10, filter=filter, exact=True) == nearest(c, ids)[:10]
    assert len(c.search(QUERY, limit=10, filter=filter)) == min(10, len(ids))
    scoped = Handle(c.db, scope=filter)
    assert scoped.count() == len(ids)
    assert scoped.ids() == ids
    # Asked again, masks that were kept answer; joined with another condition, the same masks do.
    assert sorted(c.search(QUERY, limit=1_000, filter=filter)) == ids
    assert sorted(scoped.search(QUERY, limit=1_000, filter=F("half") == 1)) == wanted(c, filter & (F("half") == 1))


def test_a_mask_that_was_kept_follows_writes(c: Handle) -> None:
    filter = FILTERS["long or short"]
    for _ in range(2):
        before = wanted(c, filter)
        assert sorted(c.search(QUERY, limit=1_000, filter=filter)) == before
        c.upsert(["new", before[0]], gaussian(2), [{"essay": LONG + "2"}, {"essay": "short"}])
        c.update([before[1]], payloads=[{"essay": LONG + "1", "n": 100}])
        c.delete(before[2])
        after = wanted(c, filter)
        assert "new" in after and before[0] not in after and before[1] not in after
        assert sorted(c.search(QUERY, limit=1_000, filter=filter)) == after
        c.seal()


def test_a_view_keeps_what_matched_in_it(c: Handle) -> None:
    """A mask knows nothing of deaths: it serves older views as well."""
    filter = FILTERS["long or short"]
    ids = wanted(c, filter)
    inner = c.db._open[1]
    view = inner.reading.view
    c.delete(*ids)
    assert c.search(QUERY, limit=1_000, filter=filter) == []
    request = SearchRequest([Near(QUERY[None])], limit=1_000, filter=filter)
    assert sorted(inner.reading.executor.search(CallContext(), view, request).points.ids) == ids


def test_it_is_told_how_it_was_found(open_db: Callable[..., Database]) -> None:
    c = make(open_db(kv=MemoryKV(), growing_rows=1_000), TWO)
    put(c, range(N))
    answer = c.answer(QUERY, filter=(F("half") == 1) & (F("essay") == LONG + "1"), explain=True, limit=5)
    (leg,) = answer.explain["legs"]
    assert leg["read_from_rows"] == N // 2  # those that the other condition leaves
    assert leg["not_in_columns"] == [{"essay": LONG + "1"}]
    assert leg["filter_ms"] > 0
    (segment,) = leg["segments"]
    assert segment["allowed"] == N // 4
    assert segment["plan"] in ("exact", "graph") and segment["candidates"] >= 5
    again = c.answer(QUERY, filter=(F("half") == 1) & (F("essay") == LONG + "1"), explain=True)
    assert again.explain["legs"][0]["read_from_rows"] == 0 and "not_in_columns" not in again.explain["legs"][0]


def test_time_runs_out_while_rows_are_read(c: Handle) -> None:
    late, now = CallContext(deadline=0.0), c.db._open[1].reading
    with pytest.raises(DeadlineExceeded):
        now.matcher.passing(late, now.view.segments[0], FILTERS["long"])


@pytest.mark.parametrize("filter", [F.text("a", "nope"), ~F.has_vector("nope"), (F("n") == 1) | F.has_vector("nope")])
def test_an_unknown_field_is_refused(c: Handle, filter: Filter) -> None:
    with pytest.raises(FieldNotFound) as refused:
        c.search(QUERY, filter=filter)
    assert refused.value.received == "'nope'"


def test_what_is_kept_is_bounded_and_the_last_used_stay() -> None:
    kept = Kept(300)
    mine, theirs = kept.owner(), kept.owner()
    masks = {i: np.full(100, i % 2 == 0) for i in range(5)}

    def there() -> list[bool]:
        return [kept.get(mine, 1, F("n") == i) is not None for i in range(4)]

    for i in range(3):
        kept.put(100, masks[i], mine, 1, F("n") == i)
    assert kept.get(mine, 1, F("n") == 0) is masks[0]
    assert kept.get(theirs, 1, F("n") == 0) is None
    assert kept.get(mine, 2, F("n") == 0) is None
    assert kept.get(mine, 1, F("n") == False) is None  # noqa: E712 - false is not 0
    kept.put(100, masks[3], mine, 1, F("n") == 3)
    assert there() == [True, False, True, True]
    kept.put(100, masks[4], mine, 1, F("n") == 3)  # in place of the one before
    assert there() == [True, False, True, True]
    kept.put(301, masks[4], mine, 1, F("n") == 4)  # too large for all there is
    assert kept.get(mine, 1, F("n") == 4) is None


def test_what_is_kept_of_a_segment_goes_with_it() -> None:
    kept = Kept(300)
    mine, theirs = kept.owner(), kept.owner()
    for owner in (mine, theirs):
        for segment in (1, 2):
            kept.put(60, "made", owner, segment, "values")
    kept.forget(mine, [1])
    kept.put(60, "made of an older view", mine, 1, "values")
    left = [(owner, segment) for owner in (mine, theirs) for segment in (1, 2) if kept.get(owner, segment, "values")]
    assert left == [(mine, 2), (theirs, 1), (theirs, 2)]
    kept.put(120, "there is room for it", theirs, 3, "values")
    assert kept.get(mine, 2, "values") == "made"


def test_nothing_is_kept_of_segments_that_were_merged_or_dropped(open_db: Callable[..., Database]) -> None:
    """It would hold their files open, and memory, for as long as nobody needs the room."""
    db = open_db()
    c = make(db)
    for i in range(3):
        c.upsert(names(30, 30 * i), gaussian(30, seed=i), payloads=[{"n": n} for n in range(30)])
        c.seal()
        assert c.db.facet(CallContext(), c.name, FacetRequest(("n",))).present == 30 * (i + 1)
        assert db.count(CallContext(), c.name, F("n") < 7) == 7 * (i + 1)
    there = {segment.number for segment in (*c.inner.segments, c.inner.growing)}
    assert {key[1] for key in db._kept._found} <= there
    held = sum(nbytes for _, nbytes in db._kept._found.values())
    assert db.database_stats(CallContext()).bytes["filter_cache"] == held > 0
    db.drop_collection(CallContext(), c.name)
    assert not db._kept._found
    assert db.database_stats(CallContext()).bytes["filter_cache"] == 0


@pytest.fixture
def alternating(open_db: Callable[..., Database]) -> Handle:
    """20,000 points of two kinds in one sealed segment whose graph is to be put in its place."""
    n = 20_000
    c = make(open_db(kv=MemoryKV(), use_graphs=False, growing_rows=n, growing_body_bytes=64 << 20))
    for start in range(0, n, 5_000):
        some = range(start, start + 5_000)
        c.upsert(names(5_000, start), gaussian(5_000, seed=start), [{"half": i % 2} for i in some])
    c.seal()
    return c


@pytest.mark.parametrize(
    ("met", "then"),
    [(0, {"scanned_again": 1}), (3, {"walked_wider": 1}), (5, {})],
    ids=["none", "some", "enough"],
)
def test_a_walk_that_met_too_few_is_not_the_end(alternating: Handle, met: int, then: dict[str, int]) -> None:
    """The walk meets the wrong kind, but for ``met`` rows, until it is asked for more than at first."""

    def choice(order: Int64, asked: int) -> Int64:
        if asked > 20:
            return order[:asked]
        return np.concatenate([order[order % 2 == 1][: asked - met], order[order % 2 == 0][:met]])

    walk = walked(alternating, choice)
    filter = F("half") == 0
    answer = alternating.answer(QUERY, filter=filter, limit=5, ef=5, explain=True)
    (segment,) = answer.explain["legs"][0]["segments"]
    assert {key: segment[key] for key in ("walked_wider", "scanned_again") if key in segment} == then
    assert segment["plan"] == "graph"
    assert walk.walks == 1 + ("walked_wider" in then)
    assert answer.points.ids == alternating.search(QUERY, filter=filter, limit=5, exact=True)


@pytest.mark.hnswlib
@pytest.mark.parametrize("share", [0.9, 0.5, 0.2])
@pytest.mark.parametrize("against", [False, True], ids=["anyhow", "against the query"])
def test_graphs_find_what_a_scan_finds(open_db: Callable[..., Database], share: float, against: bool) -> None:
    """A filter at odds with the query: the walk meets few, and the answer is full and right all the same."""
    pytest.importorskip("hnswlib")
    n, dim = 6_000, 8
    db = open_db(growing_rows=n, growing_vector_bytes=64 << 20, growing_body_bytes=64 << 20, graph_rows=1_000)
    c = make(db, Schema({"": VectorField(dim)}))
    vectors = gaussian(n, dim)
    way = gaussian(1, dim, seed=3)[0]
    place = np.argsort(np.argsort(vectors @ way if against else gaussian(n, 1, seed=4)[:, 0]))
    c.upsert(names(n), vectors, [{"place": int(p)} for p in place])
    c.seal()
    recalls = []
    for query in gaussian(10, dim, seed=5) + way:
        filter = F("place") < round(share * n)
        true = c.search(query, limit=10, filter=filter, exact=True)
        found = c.answer(query, limit=10, filter=filter, explain=True)
        assert len(found.points.ids) == 10
        recalls.append(len({*true} & {*found.points.ids}) / 10)
    assert np.mean(recalls) >= 0.95
