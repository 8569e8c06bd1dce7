"""Decay and boost: by their formulas over every kind of value, from columns and from bodies, in order."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.conftest import make
from tests.engine.handle import DIM, TWO, Handle, gaussian, names
from tests.engine.mixed import Payload, collection, elements, histories
from vecdb.engine.database import Database
from vecdb.errors import InvalidArgument
from vecdb.model.filter.expression import F, key_of
from vecdb.model.filter.times import parse_time
from vecdb.model.fusion import RelativeScore
from vecdb.model.modifier import MAX_MODIFIERS, Boost, Decay, Modifier
from vecdb.model.query import GroupBy, Near, SearchAnswer, SearchRequest
from vecdb.model.schema import Schema, VectorField
from vecdb.storage.memory import MemoryKV

Opener = Callable[..., Database]
V = ("v",)
NOW_S = 1_700_000_000.0
DAY_MS = 86_400_000.0


def ask(c: Handle, vectors: Any, modifiers: Sequence[Modifier], **more: Any) -> SearchAnswer:
    near = Near(np.atleast_2d(np.asarray(vectors, dtype=np.float32)))
    return c.db.search(c.context(), c.name, SearchRequest([near], modifiers=modifiers, **more))


def scores(answer: SearchAnswer) -> dict[str, float]:
    return dict(zip(answer.points.ids, answer.scores.tolist(), strict=True))


# -- in plain words


def changed(score: float, modifier: Modifier, payload: Payload) -> float:
    values = elements(payload)
    if isinstance(modifier, Boost):
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        return score + modifier.weight * math.log1p(max([0.0, *numbers]))
    apart = [d for v in values if (d := distance(v, modifier.origin)) is not None]
    if not apart:
        factor = modifier.missing
    else:
        factor = 0.5 ** min(2_000.0, max(0.0, min(apart) - modifier.plateau) / modifier.half)
    return score * factor if score >= 0 else score * (2 - factor)


def distance(value: Any, origin: Any) -> float | None:
    if isinstance(origin, str):
        start, time = parse_time(origin), parse_time(value) if isinstance(value, str) else None
        assert start is not None
        return None if time is None else abs((time[0] - start[0]) * 1e3 + (time[1] - start[1]) / 1e6)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(abs(value - origin)) if number else None


origins = st.sampled_from([0, 1, 1.5, -3, 2**53, 2**64 - 1, 1e300, "2020-01-01T00:00:00Z", "2019-12-31T00:00:00+01:00"])
decays = st.builds(
    Decay,
    st.just(V),
    half=st.sampled_from([1e-3, 1.0, 7.0, 3e8, 1e300]),
    origin=origins,
    plateau=st.sampled_from([0.0, 1.0, 1e9]),
    missing=st.sampled_from([0.0, 0.3, 1.0]),
)
boosts = st.builds(Boost, st.just(V), weight=st.sampled_from([-1.0, 0.0, 0.01, 3.0]))
modifiers = st.lists(st.one_of(decays, boosts), min_size=1, max_size=3)


@given(history=histories, modifiers=modifiers)
def test_as_the_formula_on_every_value(tmp_path_factory: Any, history: Any, modifiers: Any) -> None:
    """Growing and sealed, in columns and not, updated and adopted; the values that a point has, by their types."""
    query = gaussian(1, seed=5)
    with collection(history, tmp_path_factory.mktemp("db")) as (c, points):
        plain = scores(c.answer(query, limit=1_000, exact=True))
        found = ask(c, query, modifiers, limit=1_000, exact=True)
        wanted = {}
        for point_id, score in plain.items():
            for modifier in modifiers:
                score = changed(score, modifier, points[point_id])
            wanted[point_id] = score
        assert scores(found) == pytest.approx(wanted, rel=1e-5, abs=1e-6)
        pairs = list(zip((-found.scores).tolist(), found.points.ids, strict=True))
        assert pairs == sorted(pairs)


def test_the_order_of_modifiers_is_kept(c: Handle) -> None:
    c.upsert(["a"], [[1, 0, 0, 0]], [{"v": 1}])
    halve, add = Decay(V, half=1.0, origin=0), Boost(V, 1.0)
    assert ask(c, [1, 0, 0, 0], [halve, add]).scores[0] == pytest.approx(0.5 + math.log(2))
    assert ask(c, [1, 0, 0, 0], [add, halve]).scores[0] == pytest.approx(0.5 + math.log(2) / 2)


def test_without_columns_the_bodies_are_read(db: Database) -> None:
    c = make(db, Schema({"": VectorField(DIM)}, payload_columns=False))
    c.upsert(names(40), gaussian(40), [{"v": i % 7} if i % 3 else {"w": 1} for i in range(40)])
    c.seal()
    c.upsert(["x"], gaussian(1, seed=3), [{"v": [100, "no"]}])
    query, boost = gaussian(1, seed=5), Boost(V, 0.5)
    plain = scores(c.answer(query, limit=50))
    wanted = {i: changed(s, boost, {"v": int(i) % 7} if i != "x" and int(i) % 3 else None) for i, s in plain.items()}
    wanted["x"] = plain["x"] + 0.5 * math.log(101)
    assert scores(ask(c, query, [boost], limit=50)) == pytest.approx(wanted, rel=1e-5)


def test_nested_paths_and_arrays(c: Handle) -> None:
    payloads = [{"a": {"b": [3, 8]}}, {"a": [{"b": 1}, {"b": 6}]}, {"a": {"b": {"c": 1}}}, {"a.b": 9}]
    c.upsert(names(4), np.eye(4)[[0, 0, 0, 0]], payloads)
    found = scores(ask(c, np.eye(4)[0], [Boost(key_of("a.b"), 1.0)]))
    assert found == pytest.approx({"00000": 1 + math.log(9), "00001": 1 + math.log(7), "00002": 1.0, "00003": 1.0})
    near = scores(ask(c, np.eye(4)[0], [Decay(key_of("a.b"), half=1.0, origin=5, missing=0.0)]))
    assert near == pytest.approx({"00000": 0.25, "00001": 0.5, "00002": 0.0, "00003": 0.0})


# -- times


@pytest.fixture
def days(open_db: Opener) -> Handle:
    """One point a day, before and after now; all equally near."""
    c = make(open_db(kv=MemoryKV(), clock=lambda: NOW_S))
    c.upsert(names(5), np.ones((5, DIM)), [{"at": _day(n)} for n in (-2, -1, 0, 1, 7)])
    c.upsert(["number"], np.ones((1, DIM)), [{"at": NOW_S}])
    return c


def _day(n: int) -> str:
    """A day from now: 2023-11-14T22:13:20Z is 1,700,000,000 seconds since 1970."""
    return f"2023-11-{14 + n:02d}T22:13:20Z"


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("expiring", [False, True])
def test_now_is_the_origin_unless_told(days: Handle, sealed: bool, expiring: bool) -> None:
    """The clock of the engine; what lies ahead decays like what lies behind."""
    if expiring:
        days.upsert(["gone"], np.ones((1, DIM)), [{"at": _day(0)}], ttl_ms=[1])
    if sealed:
        days.seal()
    decay = Decay(("at",), half=DAY_MS, missing=0.1)
    found = scores(ask(days, np.ones(DIM), [decay]))
    found.pop("gone", None)
    wanted = {"00000": 0.25, "00001": 0.5, "00002": 1.0, "00003": 0.5, "00004": 0.5**7, "number": 0.1}
    assert found == pytest.approx(wanted, rel=1e-6)
    told = Decay(("at",), half=DAY_MS, origin=_day(1), plateau=DAY_MS, missing=0.1)
    wanted = {"00000": 0.25, "00001": 0.5, "00002": 1.0, "00003": 1.0, "00004": 0.5**5, "number": 0.1}
    found = scores(ask(days, np.ones(DIM), [told]))
    found.pop("gone", None)
    assert found == pytest.approx(wanted, rel=1e-6)


def test_a_number_is_no_time(days: Handle) -> None:
    found = scores(ask(days, np.ones(DIM), [Decay(("at",), half=1.0, origin=NOW_S, missing=0.5)]))
    assert found == pytest.approx({**dict.fromkeys(names(5), 0.5), "number": 1.0})


# -- as a second stage


def test_a_score_below_0_falls_too(db: Database) -> None:
    """Else the oldest of them would be first."""
    c = make(db, Schema({"": VectorField(DIM, "dot")}))
    c.upsert(["old", "new"], [[-4, 0, 0, 0]] * 2, [{"v": 10}, {"v": 0}])
    answer = ask(c, [1, 0, 0, 0], [Decay(V, half=10.0, origin=0)])
    assert scores(answer) == {"new": -4.0, "old": -6.0}
    assert answer.points.ids == ["new", "old"]


def test_a_score_stays_finite(c: Handle) -> None:
    c.upsert(["a", "b"], np.eye(4)[:2], [{"v": 1e308}, {"v": 1}])
    up, down = Boost(V, 1e308), Boost(V, -1e308)
    for some in ([up], [down], [up, down], [up] * 16):
        found = ask(c, np.eye(4)[0], some)
        assert np.isfinite(found.scores).all()
        assert len(found.points.ids) == 2


def test_what_is_behind_the_first_hits_is_brought_forward(c: Handle) -> None:
    """The best 100, or four windows; what lies behind is not looked at."""
    vectors = [[math.cos(i / 1000), math.sin(i / 1000), 0, 0] for i in range(150)]
    c.upsert(names(150), vectors, [{"v": i} for i in range(150)])
    c.seal()
    boost = Boost(V, 10.0)
    assert ask(c, [1, 0, 0, 0], [boost], limit=2).points.ids == ["00099", "00098"]
    assert ask(c, [1, 0, 0, 0], [boost], limit=2, offset=28).points.ids == ["00091", "00090"]
    deep = Near(np.array([[1, 0, 0, 0]], dtype=np.float32), depth=150)
    answer = c.db.search(c.context(), c.name, SearchRequest([deep], limit=2, modifiers=[boost]))
    assert answer.points.ids == ["00149", "00148"]


def test_a_threshold_is_one_of_the_changed_score(c: Handle) -> None:
    c.upsert(names(40), gaussian(40), [{"v": i % 5} for i in range(40)])
    query, boost = gaussian(1, seed=3), Boost(V, 1.0)
    whole = ask(c, query, [boost], limit=40)
    for least in (-2.0, float(whole.scores[10]), 99.0):
        found = ask(c, query, [boost], limit=40, min_score=least)
        assert found.points.ids == whole.points.ids[: int(np.count_nonzero(whole.scores.astype(float) >= least))]


def test_distances_stay_what_they_are(c: Handle) -> None:
    c.upsert(names(20), gaussian(20), [{"v": i} for i in range(20)])
    query = gaussian(1, seed=3)
    plain, found = c.answer(query, limit=20), ask(c, query, [Boost(V, 1.0)], limit=20)
    assert plain.distances is not None
    assert found.distances is not None
    known = dict(zip(plain.points.ids, plain.distances.tolist(), strict=True))
    assert dict(zip(found.points.ids, found.distances.tolist(), strict=True)) == known
    assert found.points.ids != plain.points.ids


def test_of_a_fusion(db: Database) -> None:
    """The fused score is changed; what each leg says is not."""
    c = make(db, TWO)
    c.upsert(names(30), {"": gaussian(30), "image": gaussian(30, dim=3)}, [{"v": i % 4} for i in range(30)])
    legs = [Near(gaussian(1, seed=3)), Near(gaussian(1, dim=3, seed=4), "image")]
    plain = c.db.search(c.context(), c.name, SearchRequest(legs, RelativeScore(), limit=30))
    boost = Boost(V, 0.2)
    found = c.db.search(c.context(), c.name, SearchRequest(legs, RelativeScore(), limit=30, modifiers=[boost]))
    wanted = {i: s + 0.2 * math.log1p(int(i) % 4) for i, s in scores(plain).items()}
    assert scores(found) == pytest.approx(wanted, rel=1e-5)
    assert plain.legs is not None
    assert found.legs is not None
    for before, after in zip(plain.legs, found.legs, strict=True):
        known = dict(zip(plain.points.ids, before.ranks.tolist(), strict=True))
        assert dict(zip(found.points.ids, after.ranks.tolist(), strict=True)) == known


def test_in_groups(c: Handle) -> None:
    """Groups and their hits stand by changed scores."""
    vectors = [[math.cos(i / 100), math.sin(i / 100), 0, 0] for i in range(30)]
    c.upsert(names(30), vectors, [{"v": i, "of": i % 3} for i in range(30)])
    answer = ask(c, [1, 0, 0, 0], [Boost(V, 10.0)], group_by=GroupBy(("of",), 2), limit=2)
    assert answer.points.ids == ["00029", "00026", "00028", "00025"]
    answer = ask(c, [1, 0, 0, 0], [Boost(V, 1.0)], group_by=GroupBy(("of",), 2), limit=3, min_score=4.27)
    assert answer.points.ids == ["00029", "00028", "00027"]
    assert answer.groups is not None
    assert list(answer.groups[0].hits) == [1, 1, 1]


def test_each_query_of_a_batch(c: Handle) -> None:
    c.upsert(names(60), gaussian(60), [{"v": i % 5} if i % 2 else None for i in range(60)])
    c.seal()
    queries, some = gaussian(3, seed=3), [Boost(V, 1.0), Decay(V, half=2.0, origin=3)]
    together = ask(c, queries, some, limit=7)
    alone = [ask(c, query, some, limit=7) for query in queries]
    assert together.points.ids == [i for one in alone for i in one.points.ids]
    assert together.scores.tolist() == [s for one in alone for s in one.scores.tolist()]
    assert len(ask(Handle(c.db, scope=F("v") == 3), queries, some, limit=7).points.ids) == 18


def test_explained(c: Handle) -> None:
    c.upsert(["a"], gaussian(1))
    explain = ask(c, gaussian(1), [Boost(V, 1.0)], explain=True).explain
    assert explain is not None
    assert explain["modifiers_ms"] >= 0


# -- bad input


@pytest.mark.parametrize(
    ("field", "expected", "modifiers"),
    [
        ("modifiers", "<= 16", [Boost(V, 1.0)] * (MAX_MODIFIERS + 1)),
        ("modifiers[1].key", "a path of the payload", [Boost(V, 1.0), Boost(key_of("$id"), 1.0)]),
        ("modifiers[0].key", "a path of the payload", [Decay(key_of("$version"), half=1.0)]),
        ("modifiers[0].weight", "a finite number", [Boost(V, math.inf)]),
        ("modifiers[0].half", "> 0", [Decay(V, half=0.0)]),
        ("modifiers[0].half", "> 0", [Decay(V, half=math.nan)]),
        ("modifiers[0].plateau", ">= 0", [Decay(V, half=1.0, plateau=-1.0)]),
        ("modifiers[0].missing", "0..1", [Decay(V, half=1.0, missing=1.5)]),
        *(
            ("modifiers[0].origin", "a finite number or an RFC 3339 time", [Decay(V, half=1.0, origin=origin)])
            for origin in ("yesterday", "2020-01-01", True, math.nan, math.inf, 2**64)
        ),
    ],
)
def test_what_cannot_change_a_score_is_refused(
    c: Handle, field: str, expected: str, modifiers: Sequence[Modifier]
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        ask(c, gaussian(1), modifiers)
    assert (refused.value.field, refused.value.expected) == (field, expected)
