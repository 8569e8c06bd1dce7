"""Reciprocal rank fusion, by its formula."""

from __future__ import annotations

import numpy as np
import pytest

from vecdb.engine.fusion import reciprocal_rank


def rows(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.array(numbers, dtype=np.uint64)


@pytest.mark.parametrize("k", [1, 60, 1000])
def test_the_formula(k: int) -> None:
    legs = [(rows(7, 3, 5), 1.0), (rows(5, 7), 2.5), (rows(), 4.0), (rows(9), 0.5)]
    found, scores = reciprocal_rank(legs, k)
    assert found.tolist() == [3, 5, 7, 9]
    most = (1.0 + 2.5 + 4.0 + 0.5) / (k + 1)
    wanted = [
        1.0 / (k + 2),
        1.0 / (k + 3) + 2.5 / (k + 1),
        1.0 / (k + 1) + 2.5 / (k + 2),
        0.5 / (k + 1),
    ]
    assert scores.dtype == np.float32
    assert scores == pytest.approx([share / most for share in wanted], rel=1e-6)


def test_first_in_every_leg_is_one() -> None:
    for weights in ([1.0], [1.0, 1.0], [0.1, 7.0, 3.0]):
        found, scores = reciprocal_rank([(rows(4, 2), weight) for weight in weights], 60)
        assert dict(zip(found.tolist(), scores.tolist(), strict=True))[4] == 1.0


def test_scores_lie_in_their_range() -> None:
    rng = np.random.default_rng(0)
    legs = [(rng.permutation(500)[:300].astype(np.uint64), float(rng.uniform(0.01, 9))) for _ in range(16)]
    _, scores = reciprocal_rank(legs, 60)
    assert ((scores > 0) & (scores <= 1)).all()


def test_no_hits() -> None:
    found, scores = reciprocal_rank([(rows(), 1.0), (rows(), 1.0)], 60)
    assert (len(found), len(scores)) == (0, 0)
