"""The cost model leads to the choices that were measured to be right."""

from __future__ import annotations

import pytest

from vecdb.index.cost import STEP_NS, VISITED_FLOAT_NS, WALK_CALL_NS, exact_ns, graph_ns
from vecdb.index.hnsw import DEFAULT_EF

DIMS = (1, 100, 384, 768, 65_536)


@pytest.mark.parametrize("dim", DIMS)
def test_more_work_costs_more(dim: int) -> None:
    for contiguous in (True, False):
        costs = [exact_ns(rows, dim, contiguous) for rows in (0, 1, 100, 10_000, 1_000_000)]
        assert costs == sorted(set(costs))
    assert exact_ns(10_000, dim, True) < exact_ns(10_000, dim, False)
    by_ask = [graph_ns(100_000, ask, dim) for ask in (1, 10, 100, 1_000, 10_000, 100_000)]
    by_rows = [graph_ns(rows, 100, dim) for rows in (1, 1_000, 100_000, 10_000_000)]
    assert by_ask == sorted(set(by_ask))
    assert by_rows == sorted(set(by_rows))


@pytest.mark.parametrize("dim", [100, 384, 768])
def test_a_large_segment_is_walked_and_a_small_one_scanned(dim: int) -> None:
    assert graph_ns(100_000, DEFAULT_EF, dim) < exact_ns(100_000, dim, True) / 5
    assert graph_ns(300, DEFAULT_EF, dim) > exact_ns(300, dim, True)


@pytest.mark.parametrize("dim", [100, 384, 768])
def test_few_allowed_rows_are_scanned_and_many_walked(dim: int) -> None:
    rows = 1_000_000
    for share, scanned in ((0.0001, True), (0.001, True), (0.2, False), (0.9, False)):
        allowed, ask = int(rows * share), min(rows, int(DEFAULT_EF / share))
        assert (exact_ns(allowed, dim, False) < graph_ns(rows, ask, dim)) is scanned


def test_a_walk_never_visits_more_rows_than_there_are() -> None:
    assert graph_ns(10, 10, 1_000) < graph_ns(100, 10, 1_000)
    assert graph_ns(10, 10, 1_000) <= WALK_CALL_NS + 10 * (STEP_NS + VISITED_FLOAT_NS * 1_000)
