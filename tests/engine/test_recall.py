"""Recall measured in idle time and on demand, what is rebuilt for it, and searches that name the recall they want."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engine.conftest import make
from tests.engine.handle import TWO, Handle, gaussian, names
from tests.engine.walk import Choice, Walk, nearest, walked
from vecdb.engine import asked, comparing, measuring, planner, recall
from vecdb.engine.asked import LEAST_VECTORS, MOST_BYTES, Asked
from vecdb.engine.database import Database
from vecdb.errors import InvalidArgument
from vecdb.index import hnsw
from vecdb.model.context import CallContext
from vecdb.model.filter.expression import F
from vecdb.model.point import Int64
from vecdb.model.recall import MeasuredRecall, RecallRequest
from vecdb.model.schema import Schema, VectorField
from vecdb.storage.memory import MemoryKV

Opener = Callable[..., Database]
N = 300
SLOWLY = {"measure_share": 0.01, "growing_rows": 10_000, "seal_bytes": 1 << 20, "max_segment_bytes": 1 << 20}


@pytest.fixture(autouse=True)
def _walking_fewer_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    """On so few rows the planner would scan; and fewer queries than usual say enough here."""
    monkeypatch.setattr(planner, "exact_ns", lambda rows, dim, contiguous: 1e12)
    monkeypatch.setattr(measuring, "QUERIES", 40)


def missing_the_best_below(width: int) -> Choice:
    """A walk that does not meet the nearest unless it is so wide: recall@10 .9, then 1."""

    def choice(order: Int64, n: int) -> Int64:
        return order[: n + 1] if n >= width else order[1 : n + 1]

    return choice


@pytest.fixture
def c(open_db: Opener) -> Handle:
    """N points in one sealed segment without a graph; see ``walk``."""
    handle = make(open_db(kv=MemoryKV(), use_graphs=False, recall_bound=0.0, **SLOWLY))
    handle.upsert(names(N), gaussian(N), payloads=[{"n": i} for i in range(N)])
    handle.seal()
    return handle


def ask(c: Handle, n: int = 60, seed: int = 1, **more: Any) -> None:
    """Searches by which recall will be measured."""
    for query in gaussian(n, seed=seed):
        c.search(query, **more)


def by_ef(c: Handle) -> dict[int, float]:
    return dict(c.stats().recall[""].by_ef)


def measure(c: Handle, **request: Any) -> MeasuredRecall:
    return c.db.measure_recall(c.context(), c.name, RecallRequest(**request))


# -- what is asked


def test_a_few_recent_queries_of_each_field_are_kept(open_db: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "MOST_VECTORS", 16)
    c = make(open_db(kv=MemoryKV(), **SLOWLY), TWO)
    c.upsert(names(20), {"": gaussian(20), "image": gaussian(20, 3)})
    for i in range(8 * 16):
        c.search([i, 1, 1, 1])
    kept = c.inner.asked.vectors(0)
    assert 8 < len(kept) <= 16
    assert np.median(kept[:, 0]) > 4 * 16
    assert c.inner.asked.vectors(1).size == 0
    c.search([1, 2, 3], using="image")
    assert c.inner.asked.vectors(1).tolist() == [[1, 2, 3]]
    assert c.inner.asked.vectors(0).shape[1] == 4


def test_wide_vectors_are_kept_in_few_bytes() -> None:
    kept = Asked()
    for i in range(600):
        kept.note(0, np.full((1, 8_192), i, np.float32))
    assert MOST_BYTES / 2 < kept.nbytes() <= MOST_BYTES
    for i in range(200):
        kept.note(1, np.full((1, 1 << 16), i, np.float32))
    assert len(kept.vectors(1)) <= LEAST_VECTORS
    kept.forget_but([1])
    assert not kept.vectors(0).size
    assert kept.vectors(1).size


def test_what_says_nothing_of_questions_is_not_kept(c: Handle) -> None:
    c.answer(gaussian(5, seed=3))
    assert len(c.inner.asked.vectors(0)) == 1  # a batch counts as one
    with pytest.raises(InvalidArgument):
        c.search(gaussian(1), ef=0)
    assert len(c.inner.asked.vectors(0)) == 1


def test_nothing_is_kept_where_nothing_is_measured(open_db: Opener) -> None:
    c = make(open_db(kv=MemoryKV()))
    c.upsert(names(40), gaussian(40))
    c.seal()
    ask(c)
    c.settle()
    assert c.inner.asked.nbytes() == 0
    assert c.stats().recall == {}


# -- measured in idle time


def test_recall_is_measured_by_what_was_asked(c: Handle) -> None:
    walked(c, missing_the_best_below(64))
    ask(c)
    c.settle()
    told = c.stats().recall[""]
    assert (told.k, told.queries, told.stored, told.vectors) == (10, 40, 0, N)
    assert told.by_ef == {ef: pytest.approx(0.9 if ef < 64 else 1.0) for ef in recall.LADDER}
    assert c.stats().segments[0].recall == {"": told}
    assert not c.db.maintain()  # once is enough


def test_where_nobody_asked_stored_vectors_are_looked_for_but_not_found_by_themselves(c: Handle) -> None:
    walked(c, missing_the_best_below(64))
    c.settle()
    told = c.stats().recall[""]
    assert (told.queries, told.stored) == (40, 40)
    assert set(told.by_ef.values()) == {1.0}  # what is missed is the query itself
    ask(c)
    c.settle()
    assert c.stats().recall[""].stored == 0
    assert by_ef(c)[16] == pytest.approx(0.9)


def test_the_dead_do_not_count(c: Handle) -> None:
    walked(c, missing_the_best_below(64))
    queries = gaussian(60, seed=1)
    gone = {c.search(query, limit=1, exact=True)[0] for query in queries}
    assert len(gone) < N / 5  # or it would be merged
    c.delete(*sorted(gone)[:30])
    dead = np.zeros(N, dtype=np.bool_)
    dead[[int(i) for i in sorted(gone)[:30]]] = True
    living = walked_again(c, lambda order, n: order[~dead[order]][:n])
    ask(c)
    c.settle()
    assert living.walks
    assert set(by_ef(c).values()) == {1.0}
    assert c.stats().recall[""].vectors == N - 30


def walked_again(c: Handle, choice: Choice) -> Walk:
    (segment,) = c.inner.segments
    walk = segment.parts[0].index
    assert isinstance(walk, Walk)
    walk._choice = choice
    return walk


def test_equal_vectors_are_as_good_as_each_other(c: Handle) -> None:
    c.upsert(names(N), np.repeat(gaussian(N // 20, seed=4), 20, axis=0))
    c.seal()
    walked(c, lambda order, n: order.reshape(-1, 20)[:, ::-1].ravel()[:n])  # the same scores, of other points
    ask(c)
    c.settle()
    assert by_ef(c)[128] == 1.0


def test_another_sample_is_drawn_in_time(open_db: Opener) -> None:
    now = [1e9]
    c = make(open_db(kv=MemoryKV(), use_graphs=False, clock=lambda: now[0], **SLOWLY))
    c.upsert(names(N), gaussian(N))
    c.seal()
    walk = walked(c)
    ask(c)
    c.settle()
    assert by_ef(c)[16] == 1.0
    walk._choice = missing_the_best_below(32)
    now[0] += 2 * measuring.RENEW_S
    c.settle()
    assert by_ef(c)[16] == 1.0  # nobody asked anything
    ask(c, seed=2)
    c.settle()
    assert by_ef(c)[16] == pytest.approx(0.9)
    assert c.stats().recall[""].measured_at_ms == 1000 * now[0]


def test_a_collection_is_measured_as_one(open_db: Opener) -> None:
    """What one segment misses counts only where it is among the nearest of all."""

    def missing_one(order: Int64, n: int) -> Int64:
        return np.delete(order, 7)[:n]

    c = make(open_db(kv=MemoryKV(), use_graphs=False, **SLOWLY | {"max_segment_bytes": 1}))
    for start in (0, N):
        c.upsert(names(N, start), gaussian(N, seed=start))
        with c.inner.publish_lock:
            c.inner.freeze()
        while c.db.maintain():
            pass
    assert c.states() == ["sealed", "sealed"]
    for segment, choice in zip(c.inner.segments, (nearest, missing_one), strict=True):
        segment.parts[0].index = Walk(segment.parts[0].index, choice)  # type: ignore[arg-type]
    ask(c)
    c.settle()
    first, second = (segment.recall[""].by_ef[16] for segment in c.stats().segments)
    assert (first, second) == (1.0, pytest.approx(0.9))
    assert 0.95 < by_ef(c)[16] < 1.0
    measured = measure(c, vectors=gaussian(60, seed=1), ef=16)
    assert by_ef(c)[16] == pytest.approx(measured.recall, abs=0.02)
    assert c.stats().recall[""].vectors == 2 * N


@pytest.mark.hnswlib
def test_what_was_measured_goes_with_its_segment(open_db: Opener) -> None:
    c = make(open_db(kv=MemoryKV(), **SLOWLY))
    c.upsert(names(100), gaussian(100))
    c.settle()
    assert by_ef(c)
    c.upsert(names(100, 100), gaussian(100, seed=3))
    c.compact()
    assert [segment.recall for segment in c.stats().segments] == [{}]
    assert c.stats().recall == {}
    c.settle()
    assert c.stats().recall[""].vectors == 200


def test_it_is_not_measured_beside_writes(c: Handle) -> None:
    inner = c.inner
    object.__setattr__(c.db._maintenance._options, "idle_seal_s", 1_000.0)
    walk = walked(c)
    inner.last_write = time.monotonic()
    assert not c.db.maintain()
    assert walk.walks == 0
    inner.last_write -= 2_000
    assert c.db.maintain()
    walks = walk.walks
    assert walks > 1

    def written(order: Int64, n: int) -> Int64:
        inner.last_write = time.monotonic()
        return order[:n]

    walk._choice = written
    assert c.db.maintain()  # gives up after the walk that the write met
    assert walk.walks == walks + 1
    assert not c.db.maintain()
    assert c.stats().recall == {}
    inner.last_write -= 2_000
    walk._choice = nearest
    while c.db.maintain():
        pass
    assert c.stats().recall[""].queries == 40


def test_measuring_has_a_share_of_the_time(c: Handle) -> None:
    walk = walked(c)
    care = c.db._maintenance
    began = time.monotonic()
    assert care._step(began)
    took = time.monotonic() - began
    walks = walk.walks
    assert walks
    assert not care._step(time.monotonic())  # as the background thread asks
    assert walk.walks == walks
    assert care._measure_from > began + 10 * took / 2
    assert care._step(care._measure_from + 1)
    assert walk.walks > walks


# -- rebuilt

HARD = Schema({"": VectorField(24)})


@pytest.fixture
def damaged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], None]]:
    """Tells whether graphs are built so that nothing is found in them."""
    init = hnsw.HnswBuilder.__init__
    state = {"bad": True}

    def built(self: Any, metric: Any, dim: int, m: int = 16, ef: int = 200, capacity: int = 1_024) -> None:
        init(self, metric, dim, *((2, 2) if state["bad"] else (m, ef)), capacity)

    monkeypatch.setattr(hnsw.HnswBuilder, "__init__", built)
    yield lambda bad: state.update(bad=bad)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "recall@10" in record.getMessage()]


@pytest.mark.hnswlib
def test_a_damaged_graph_is_noticed_rebuilt_and_logged(
    open_db: Opener, damaged: Callable[[bool], None], caplog: pytest.LogCaptureFixture
) -> None:
    c = make(open_db(kv=MemoryKV(), **SLOWLY), HARD)
    c.upsert(names(1_500), gaussian(1_500, 24))
    with caplog.at_level(logging.WARNING):
        while not c.stats().recall:
            assert c.db.maintain()
        before, number = by_ef(c)[96], c.stats().segments[0].segment
        assert before < 0.5
        damaged(False)
        c.settle()
        after = by_ef(c)[96]
        assert after > 0.95
        assert c.stats().segments[0].segment != number
        c.settle()
    first, second = told(caplog)
    assert f"is {before:.3f} by 40 queries, below 0.900; the segment is built again" in first
    assert f"is {after:.3f}, and was {before:.3f} before" in second
    assert sorted(c.ids()) == names(1_500)


@pytest.mark.hnswlib
@pytest.mark.usefixtures("damaged")
def test_a_hopeless_graph_is_rebuilt_once(open_db: Opener, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Also not again after a restart."""
    c = make(open_db(path=tmp_path / "d", **SLOWLY), HARD)
    c.upsert(names(1_500), gaussian(1_500, 24))
    with caplog.at_level(logging.WARNING):
        for _ in range(40):
            c.db.maintain()
        assert not c.db.maintain()
        number = c.stats().segments[0].segment
        assert len([line for line in told(caplog) if "is built again" in line]) == 1
        c.db.close()
        again = Handle(open_db(path=tmp_path / "d", **SLOWLY))
        again.count()
        for _ in range(40):
            again.db.maintain()
        assert by_ef(again)[96] < 0.5
        assert again.stats().segments[0].segment == number
    assert len([line for line in told(caplog) if "is built again" in line]) == 1


@pytest.mark.hnswlib
@pytest.mark.usefixtures("damaged")
@pytest.mark.parametrize(("bound", "mode"), [(0.0, None), (0.9, "deferred")])
def test_a_graph_is_left_as_it_is_where_that_is_wanted(
    open_db: Opener, bound: float, mode: Any, caplog: pytest.LogCaptureFixture
) -> None:
    c = make(open_db(kv=MemoryKV(), recall_bound=bound, **SLOWLY), HARD)
    c.upsert(names(1_500), gaussian(1_500, 24))
    c.db.wait_indexed(CallContext(), "c")
    if mode:
        c.db.set_indexing(CallContext(), "c", mode)
    c.settle()
    assert by_ef(c)[96] < 0.5
    assert not told(caplog)


# -- searches that name the recall they want


def widths(c: Handle, target: float, **more: Any) -> list[int | None]:
    answer = c.answer(gaussian(1, seed=8), target_recall=target, explain=True, **more)
    assert answer.explain is not None
    return [told.get("ef") for told in answer.explain["legs"][0]["segments"]]


def test_the_narrowest_walk_that_reaches_the_target_is_taken(c: Handle) -> None:
    walked(c, missing_the_best_below(64))
    ask(c)
    c.settle()
    assert widths(c, 0.9) == [16]
    assert widths(c, 1.0) == [64]
    assert widths(c, 0.95) == [56]  # on the straight line between 48 and 64
    assert widths(c, 0.9, limit=40) == [48]  # never narrower than the hits asked for
    assert widths(c, 0.9, limit=200) == [256]  # in proportion: 128 is enough for 100 hits
    answer = c.answer(gaussian(1, seed=8), target_recall=1.0, explain=True)
    assert answer.explain is not None
    assert answer.explain["legs"][0]["target_recall"] == 1.0
    (told,) = answer.explain["legs"][0]["segments"]
    assert told["plan"] == "graph"
    assert told["measured"] == {"recall": 1.0, "queries": 40, "stored": 0}
    assert answer.warnings == []


def test_what_no_walk_reaches_is_scanned(c: Handle) -> None:
    walk = walked(c, missing_the_best_below(100_000))
    ask(c)
    c.settle()
    walks = walk.walks
    answer = c.answer(gaussian(3, seed=8), target_recall=0.95, explain=True)
    assert walk.walks == walks
    assert answer.points.ids == c.answer(gaussian(3, seed=8), exact=True).points.ids
    assert [told["plan"] for told in answer.explain["legs"][0]["segments"]] == ["exact"]  # type: ignore[index]
    assert answer.warnings == ["target_recall 0.95: graphs that do not reach it, and were scanned: 1"]
    assert c.answer(gaussian(3, seed=8), target_recall=0.9).warnings == []


def test_what_is_not_measured_is_walked_by_rule_and_said(c: Handle) -> None:
    walked(c)
    assert [widths(c, target)[0] for target in (0.5, 0.95, 0.97, 0.99, 0.995, 1.0)] == [96, 96, 192, 256, 1024, 1024]
    answer = c.answer(gaussian(1), target_recall=0.97)
    assert answer.warnings == [
        "target_recall 0.97: graphs whose recall is not measured yet: 1; "
        "they were walked as widely as was enough for other data"
    ]
    both = c.answer(gaussian(1), target_recall=0.97, exact=True)
    assert both.warnings == []


def test_stored_vectors_never_make_a_walk_narrower(c: Handle) -> None:
    """They are easier to find than what people ask."""
    walk = walked(c)
    c.settle()
    assert widths(c, 0.9) == [96]
    walk._choice = lambda order, n: order[:n] if n >= 128 else order[20 : n + 20]
    c.inner.segments[0].parts[0].recall = None
    c.settle()
    assert widths(c, 0.9) == [125]


@pytest.mark.hnswlib
def test_a_search_at_a_target_is_one_at_the_width_it_chooses(open_db: Opener) -> None:
    c = make(open_db(kv=MemoryKV(), **SLOWLY), HARD)
    c.upsert(names(1_500), gaussian(1_500, 24), payloads=[{"n": i} for i in range(1_500)])
    c.seal()
    for query in gaussian(60, 24, seed=1):
        c.search(query)
    c.settle()
    queries = gaussian(20, 24, seed=2)
    seen = set()
    for target in (0.5, 0.8, 0.9, 0.95, 0.99, 1.0):
        for more in ({}, {"limit": 50}, {"filter": F("n") < 700}, {"min_score": 0.3}):
            found = c.answer(queries, target_recall=target, explain=True, **more)
            assert found.explain is not None
            (told,) = found.explain["legs"][0]["segments"]
            assert told["plan"] == "graph"
            seen.add(told["ef"])
            same = c.answer(queries, ef=told["ef"], **more)
            assert found.points.ids == same.points.ids
            assert found.scores.tolist() == same.scores.tolist()
    assert len(seen) > 4


@pytest.mark.parametrize("how", [{"target_recall": 0.0}, {"target_recall": 1.1}, {"target_recall": float("nan")}])
def test_targets_that_are_none(c: Handle, how: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match="target_recall"):
        c.answer(gaussian(1), **how)
    with pytest.raises(InvalidArgument, match="ef or target_recall"):
        c.answer(gaussian(1), target_recall=0.9, ef=10)


# -- on demand


def test_recall_on_demand(c: Handle) -> None:
    walked(c, missing_the_best_below(64))
    queries = gaussian(30, seed=5)
    narrow = measure(c, vectors=queries, ef=16)
    assert (narrow.k, narrow.queries, narrow.stored) == (10, 30, 0)
    assert narrow.recall == pytest.approx(0.9)
    (segment,) = narrow.segments
    assert (segment.wanted, segment.found, segment.ef) == (300, 270, 16)
    assert measure(c, vectors=queries, ef=64).recall == 1.0
    assert measure(c, vectors=queries, k=1, ef=16).recall == 0.0
    assert measure(c, vectors=queries).segments[0].ef == 96
    assert measure(c, vectors=queries, ef=16, filter=F("n") < 100).segments[0].wanted == 300
    few = measure(c, vectors=queries, ef=16, filter=F("n") < 5)
    assert (few.segments[0].wanted, few.recall) == (150, 1.0)
    assert np.isnan(measure(c, vectors=queries, filter=F("n") < 0).recall)
    assert np.isnan(measure(c, vectors=queries[:0]).recall)


def test_on_demand_by_what_was_asked_and_what_is_stored(c: Handle) -> None:
    walked(c, missing_the_best_below(64))
    stored = measure(c, count=50, ef=16)
    assert (stored.queries, stored.stored, stored.recall) == (50, 50, 1.0)
    ask(c)
    of_asked = measure(c, count=35, ef=16)
    assert (of_asked.queries, of_asked.stored) == (35, 0)
    assert of_asked.recall == pytest.approx(0.9)
    assert c.inner.asked.count(0) == 60  # measuring asks nothing


def test_a_measurement_in_pieces_is_the_whole(c: Handle, monkeypatch: pytest.MonkeyPatch) -> None:
    walked(c, missing_the_best_below(64))
    whole = measure(c, count=50, ef=16)
    monkeypatch.setattr(comparing, "LONGEST_S", 0.0)
    assert measure(c, count=50).queries == 0
    clock = iter(range(1_000))
    monkeypatch.setattr(comparing, "LONGEST_S", 1.5)
    monkeypatch.setattr(comparing.time, "perf_counter", lambda: float(next(clock)))
    pieces = MeasuredRecall(10)
    while pieces.queries < 50:
        piece = measure(c, count=50 - pieces.queries, skip=pieces.queries, ef=16)
        assert 0 < piece.queries <= comparing.AT_ONCE
        pieces += piece
    assert (pieces.queries, pieces.stored, pieces.segments) == (whole.queries, whole.stored, whole.segments)


@pytest.mark.parametrize(
    "how", [{"k": 0}, {"k": 101}, {"count": -1}, {"skip": -1}, {"seed": -1}, {"ef": 0}, {"target_recall": 2}]
)
def test_measurements_that_cannot_be_made(c: Handle, how: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        measure(c, **how)


def test_an_empty_collection_has_no_recall(open_db: Opener) -> None:
    c = make(open_db(kv=MemoryKV(), **SLOWLY))
    assert measure(c, count=10).queries == 0
    c.settle()
    assert c.stats().recall == {}


# -- the arithmetic


def test_neighbours_are_matched_by_their_scores() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        true = -np.sort(-rng.integers(0, 6, (3, 7)).astype(np.float32))
        met = rng.integers(0, 6, (3, 9)).astype(np.float32)
        true[rng.random(true.shape) < 0.1] = -np.inf
        true = -np.sort(-true)
        found = recall.matched(true, met)
        for wanted, have, flags in zip(true.tolist(), met.tolist(), found.tolist(), strict=True):
            left = list(have)
            for score, flag in zip(wanted, flags, strict=True):
                assert flag == (score in left and score > -np.inf)
                if score in left:
                    left.remove(score)


def test_a_walk_that_loses_a_neighbour_again_has_it_from_where_it_stays() -> None:
    there = np.array([[True, True, True, False]])
    found = [np.array([flags]) for flags in ([1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0])]
    steps = recall.steps_of([flags.astype(bool) for flags in found], there)
    assert steps.tolist() == [[2, 1, recall.NEVER, recall.NONE]]
