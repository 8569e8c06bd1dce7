"""Search: what the numbers mean, in which order hits come, and that neither depends on where the rows are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.engine.conftest import make
from tests.engine.handle import ALL, TWO, Handle, gaussian, names
from vecdb.engine import planner
from vecdb.engine.database import Database
from vecdb.errors import DeadlineExceeded
from vecdb.index import metric
from vecdb.model.context import CallContext
from vecdb.model.filter import Facts, matches
from vecdb.model.filter.expression import F
from vecdb.model.point import Select
from vecdb.model.query import Near, Rrf, SearchRequest
from vecdb.model.schema import METRICS, Metric, Schema, VectorField
from vecdb.storage.memory import MemoryKV

Opener = Callable[..., Database]
PLANE = {"e": [1, 0], "ne": [3, 3], "n": [0, 2], "w": [-1, 0]}


def of(db: Database, kind: Metric, dim: int) -> Handle:
    return make(db, Schema({"": VectorField(dim, kind)}))


def legs(c: Handle, *nears: Near, **more: Any) -> Any:
    return c.db.search(c.context(), c.name, SearchRequest(nears, **more))


def one(vector: Any, **more: Any) -> Near:
    return Near(np.array([vector], dtype=np.float32), **more)


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("cosine", [("e", 1.0, 0.0), ("ne", 0.5**0.5, 1 - 0.5**0.5), ("n", 0.0, 1.0), ("w", -1.0, 2.0)]),
        ("dot", [("ne", 6.0, -6.0), ("e", 2.0, -2.0), ("n", 0.0, 0.0), ("w", -2.0, 2.0)]),
        (
            "euclidean",
            [
                ("e", 1 / 2, 1.0),
                ("n", 1 / (1 + 8**0.5), 8**0.5),
                ("w", 1 / 4, 3.0),
                ("ne", 1 / (1 + 10**0.5), 10**0.5),
            ],
        ),
    ],
)
@pytest.mark.parametrize("sealed", [False, True])
def test_what_the_numbers_mean(db: Database, kind: Metric, wanted: list[Any], sealed: bool) -> None:
    c = of(db, kind, 2)
    c.upsert(list(PLANE), list(PLANE.values()))
    if sealed:
        c.seal()
    answer = c.answer([2, 0])
    assert answer.points.ids == sorted(PLANE, key=[name for name, _, _ in wanted].index)
    assert answer.scores == pytest.approx([score for _, score, _ in wanted], rel=1e-6)
    assert answer.distances == pytest.approx([distance for _, _, distance in wanted], rel=1e-6, abs=1e-7)
    assert answer.scores.dtype == answer.distances.dtype == np.float32
    assert list(answer.scores) == sorted(answer.scores, reverse=True)


def test_a_cosine_stays_within_its_range(db: Database) -> None:
    c = of(db, "cosine", 3)
    vectors = gaussian(200, 3)
    c.upsert(names(200), vectors)
    c.upsert(names(200, start=200), -vectors)
    for vector in vectors[:20]:
        answer = c.answer(vector * 1e6, limit=400)
        assert answer.scores.max() <= 1.0
        assert answer.scores.min() >= -1.0
        assert (answer.distances >= 0).all()


@pytest.mark.parametrize("where", ["growing", "sealed", "half"])
@pytest.mark.parametrize("kind", METRICS)
def test_equal_scores_stand_by_id(db: Database, kind: Metric, where: str) -> None:
    """Also at the cut, where many more tie than are asked for, in several segments; bytes, not letters, decide."""
    c = of(db, kind, 4)
    ids = [*names(30), *"aZé~", "日本", "\U0001f9ff", "\uffee"]
    order = np.random.default_rng(0).permutation(len(ids))
    for part in np.array_split(order, 4):
        c.upsert([ids[i] for i in part], [[1, 2, 3, 4]] * len(part))
    if where != "growing":
        c.seal()
    if where == "half":
        c.upsert([ids[i] for i in order[:9]], [[1, 2, 3, 4]] * 9)
    c.upsert(["0 best"], [[2, 4, 6, 8]] if kind == "dot" else [[1, 2, 3, 4]])
    wanted = ["0 best", *sorted(ids, key=str.encode)]
    for limit in (1, 2, 5, 20, 37, 100):
        assert c.search([1, 2, 3, 4], limit=limit, exact=True) == wanted[:limit]
    for offset in (1, 13, 36):
        assert c.search([1, 2, 3, 4], limit=3, offset=offset, exact=True) == wanted[offset : offset + 3]


@pytest.mark.parametrize("kind", METRICS)
@pytest.mark.parametrize("dim", [1, 7, 96])
def test_a_score_never_depends_on_where_and_with_whom(db: Database, kind: Metric, dim: int) -> None:
    """Bit for bit: growing, frozen, sealed, merged; alone or in a batch; scanned or walked; and it is metric.score."""
    c = of(db, kind, dim)
    vectors = gaussian(40, dim)
    queries = gaussian(70, dim, seed=1)
    for part in range(4):
        c.upsert(names(10, start=10 * part), vectors[10 * part : 10 * part + 10])
    scores, distances = metric.score(
        kind, metric.prepare(kind, queries)[:, None, :], metric.prepare(kind, vectors)[None, :, :]
    )
    where = {point_id: i for i, point_id in enumerate(names(40))}

    def compare(**more: Any) -> None:
        answers = [c.answer(queries, limit=17, **more)]
        answers += [c.answer(queries[i], limit=17, **more) for i in (0, 5, 69)]
        for answer, rows in zip(answers, (range(70), [0], [5], [69]), strict=True):
            at = [where[point_id] for point_id in answer.points.ids]
            of_query = np.repeat(list(rows), answer.counts)
            assert np.array_equal(answer.scores, scores[of_query, at])
            assert np.array_equal(answer.distances, distances[of_query, at])
        assert answers[1].points.ids == answers[0].points.ids[:17]

    compare()
    states = set()
    for _ in range(50):
        states.update(c.states())
        if not c.db.maintain():
            break
        compare()
        compare(exact=True, ef=1)
    c.compact()
    compare()
    assert {"growing", "frozen", "sealed"} <= states | {"growing"}
    assert c.states() == ["sealed"]


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("kind", METRICS)
def test_min_score_cuts_exactly_there(db: Database, kind: Metric, sealed: bool) -> None:
    c = of(db, kind, 4)
    c.upsert(names(40), gaussian(40))
    if sealed:
        c.seal()
    every = c.answer([1, 0, 0, 0], limit=100, exact=True)
    for at in (0, 3, 20, 39):
        threshold = float(every.scores[at])
        for exact in (True, False):
            assert c.search([1, 0, 0, 0], limit=100, min_score=threshold, exact=exact) == every.points.ids[: at + 1]
            assert c.search([1, 0, 0, 0], limit=2, offset=at, min_score=threshold) == every.points.ids[at : at + 1]
        above = float(np.nextafter(np.float32(threshold), np.float32(np.inf)))
        assert c.search([1, 0, 0, 0], limit=100, min_score=above) == every.points.ids[:at]
    assert c.search([1, 0, 0, 0], min_score=1e30) == []


def test_a_window_beyond_the_end_is_empty(c: Handle) -> None:
    c.upsert(names(5), gaussian(5))
    assert c.search([1, 0, 0, 0], offset=5) == []
    assert c.search([1, 0, 0, 0], offset=9_990) == []
    assert len(c.search([1, 0, 0, 0], offset=4, limit=9_996)) == 1


def test_an_empty_collection_has_no_hits(c: Handle) -> None:
    for more in ({}, {"exact": True}, {"min_score": 0.0}, {"offset": 3}, {"explain": True}):
        answer = c.answer(gaussian(3), **more)
        assert (answer.counts.tolist(), answer.points.ids, len(answer.scores)) == ([0, 0, 0], [], 0)


def test_no_queries_have_no_answers(db: Database) -> None:
    c = make(db, TWO)
    c.upsert(["a"], {"": gaussian(1), "image": gaussian(1, 3)})
    none, no_image = np.empty((0, 4), np.float32), np.empty((0, 3), np.float32)
    for asked in ([Near(none)], [Near(none), Near(no_image, "image")]):
        for more in ({}, {"min_score": 0.5}, {"offset": 2}, {"exact": True}):
            answer = legs(c, *asked, **more)
            assert (len(answer.counts), len(answer.scores), answer.points.ids) == (0, 0, [])


def test_each_field_is_searched_by_itself(db: Database) -> None:
    c = make(db, TWO)
    c.upsert(names(10), {"": gaussian(10), "image": [None] * 5 + list(gaussian(5, 3))})
    c.seal()
    c.upsert(names(10, start=10), {"image": gaussian(10, 3, seed=1)})
    assert sorted(c.search(gaussian(1), limit=50)) == names(10)
    assert sorted(c.search(gaussian(1, 3), using="image", limit=50)) == names(15, start=5)
    assert c.answer(gaussian(1, 3, seed=1), using="image", limit=1).scores.tolist() == [1.0]


def test_an_answer_carries_what_was_selected(db: Database) -> None:
    c = make(db, TWO)
    c.upsert(["a", "b"], {"": gaussian(2)}, [{"n": 1}, None], {"title": ["t", None]})
    bare = c.answer(gaussian(1), select=Select(False, False, False)).points
    assert (bare.payloads, bare.texts, bare.vectors) == (None, None, None)
    assert bare.versions.tolist() == [1, 1]
    full = c.answer(gaussian(1), select=ALL).points
    assert full.payloads == [b'{"n":1}', None]
    assert full.texts == {"title": ["t", None]}
    assert full.vectors is not None
    assert np.array_equal(full.vectors[""].data, gaussian(2))
    assert "image" not in full.vectors


@pytest.mark.parametrize("sealed", [False, True])
def test_filters_narrow_the_request_or_one_leg(db: Database, sealed: bool) -> None:
    c = make(db, TWO)
    n = 40
    kinds = [["a"], "a", "b", 1, True, 1.0, None, "1"] * 5
    c.upsert(
        names(n),
        {"": gaussian(n), "image": gaussian(n, 3)},
        [{"k": kind} if kind is not None else {} for kind in kinds],
    )
    if sealed:
        c.seal()
        c.update(names(n), payloads=[{"k": kind} if kind is not None else {} for kind in kinds])

    def having(value: Any) -> list[str]:
        return [
            i
            for i, kind in zip(names(n), kinds, strict=True)
            if matches(F("k") == value, Facts("", payload={"k": kind}))
        ]

    for value in ("a", "b", 1, True, 1.0, "1", "none"):
        wanted = having(value)
        assert sorted(c.search(gaussian(1), limit=100, filter=(F("k") == value))) == wanted
        assert sorted(legs(c, one([1, 0, 0, 0], filter=(F("k") == value)), limit=100).points.ids) == wanted
        assert (
            c.search(gaussian(1), limit=2, filter=(F("k") == value))
            == [i for i in c.search(gaussian(1), limit=100, exact=True) if i in wanted][:2]
        )
    both = legs(
        c, one([1, 0, 0, 0], filter=(F("k") == "a")), one([1, 0, 0], using="image", filter=(F("k") == "b")), limit=100
    )
    assert sorted(both.points.ids) == sorted(having("a") + having("b"))
    tenant = Handle(c.db, scope=(F("k") == "a"))
    assert tenant.search(gaussian(1), limit=100, filter=(F("k") == "b")) == []


def test_fused_hits_follow_the_formula(db: Database) -> None:
    c = make(db, TWO)
    c.upsert(["x", "y", "z"], {"": [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0]], "image": [[3, 0, 0], [1, 0, 0], None]})
    answer = legs(c, one([1, 0, 0, 0], weight=2.0), one([0, 0, 0], using="image"), fusion=Rrf(10))
    most = 2 / 11 + 1 / 11
    wanted = {"x": (2 / 11 + 1 / 12) / most, "y": (2 / 12 + 1 / 11) / most, "z": (2 / 13) / most}
    assert answer.points.ids == sorted(wanted, key=lambda i: -wanted[i])
    assert answer.scores.tolist() == [np.float32(wanted[i]) for i in answer.points.ids]
    assert answer.distances is None
    one_leg_twice = legs(c, one([1, 0, 0, 0]), one([1, 0, 0, 0]))
    assert one_leg_twice.scores[0] == 1.0
    cut = legs(
        c, one([1, 0, 0, 0], weight=2.0), one([0, 0, 0], using="image"), fusion=Rrf(10), min_score=wanted["y"] - 1e-7
    )
    assert "z" not in cut.points.ids


@pytest.mark.parametrize("depth", [1, 2, None])
def test_a_leg_never_gives_less_than_the_window(db: Database, depth: int | None) -> None:
    """Else fewer hits than there are matches could come out."""
    c = make(db, TWO)
    c.upsert(names(150), {"": gaussian(150), "image": gaussian(150, 3)})
    near = one([1, 0, 0, 0], depth=depth)
    for limit, offset in ((120, 0), (20, 100), (5, 148)):
        answer = legs(c, near, one([1, 0, 0], using="image", depth=depth), limit=limit, offset=offset)
        assert len(answer.points.ids) == min(limit, 150 - offset)


def test_equal_fused_scores_stand_by_id(db: Database) -> None:
    c = make(db, TWO)
    c.upsert(["b", "a"], {"": [[1, 0, 0, 0], [0, 1, 0, 0]], "image": [[0, 0, 9], [0, 0, 1]]})
    answer = legs(c, one([1, 0, 0, 0]), one([0, 0, 0], using="image"))
    assert answer.points.ids == ["a", "b"]
    assert answer.scores[0] == answer.scores[1]


def test_explain_tells_how_each_segment_was_searched(c: Handle) -> None:
    c.upsert(names(40), gaussian(40))
    c.seal()
    c.upsert(names(5, start=40), gaussian(5, seed=1))
    c.delete("00001", "00041")
    explain = c.answer(gaussian(2), limit=3, explain=True).explain
    assert explain is not None
    (leg,) = explain["legs"]
    assert [(s["state"], s["vectors"], s["allowed"]) for s in leg["segments"]] == [
        ("sealed", 40, 39),
        ("growing", 5, 4),
    ]
    assert all(s["plan"] in ("exact", "graph") and s["ms"] >= 0 for s in leg["segments"])
    assert explain["total_ms"] >= explain["fetch_ms"] >= 0
    assert c.answer(gaussian(1)).explain is None


@pytest.mark.hnswlib
@pytest.mark.parametrize("kind", METRICS)
def test_the_500_nearest_deleted(open_db: Opener, monkeypatch: pytest.MonkeyPatch, kind: Metric) -> None:
    """Ten hits with every ef, all alive, and the right ones; where the graph is walked, and where it may choose."""
    c = of(open_db(kv=MemoryKV(), growing_rows=10_000, max_segment_bytes=1 << 30), kind, 16)
    n = 2_000
    vectors = gaussian(n, 16)
    c.upsert(names(n), vectors)
    c.seal()
    assert c.stats().segments[0].index == {"": "hnsw"}
    near = c.search(vectors[0], limit=500, exact=True)
    c.delete(*near)
    wanted = c.search(vectors[0], limit=10, exact=True)
    assert not set(near) & set(wanted)
    for walk in (True, False):
        if walk:
            monkeypatch.setattr(planner, "exact_ns", lambda rows, dim, contiguous: 1e12)
        else:
            monkeypatch.undo()
        for ef in (1, 10, 100, 1_000, 10_000):
            found = c.search(vectors[0], limit=10, ef=ef)
            assert len(set(found)) == 10
            assert not set(found) & set(near)
            if ef >= 1_000:
                assert found == wanted
        assert len(c.search(vectors[0], limit=9_999)) == n - 500
        assert c.search(vectors[0], limit=10) == wanted


def test_a_deadline_in_the_past_is_told(c: Handle) -> None:
    c.upsert(names(5), gaussian(5))
    late = CallContext(deadline=0.0)
    for call in (
        lambda: c.db.search(late, "c", SearchRequest([one([1, 0, 0, 0])])),
        lambda: c.db.count(late, "c"),
        lambda: c.db.get(late, "c", ["00001"], ALL),
        lambda: c.write(timeout_s=0.0),
    ):
        with pytest.raises(DeadlineExceeded):
            call()
    assert c.count() == 5
