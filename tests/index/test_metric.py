"""The one scoring function: right, and the same for a pair in whatever company it is scored."""

from __future__ import annotations

import numpy as np
import pytest

from tests.index.data import clustered, truth
from vecdb.errors import InvalidVector
from vecdb.index import metric as scoring
from vecdb.model.point import Float32
from vecdb.model.schema import METRICS, Metric

DIMS = (1, 2, 3, 7, 16, 100, 384, 768, 1_536, 8_192, 8_193, 10_001, 65_536)


def pairs(dim: int, seed: int = 0) -> tuple[Float32, Float32]:
    generator = np.random.default_rng(seed)
    rows = min(150, max(6, 400_000 // dim))
    shape = (rows + 4, dim)
    drawn = generator.standard_normal(shape, dtype=np.float32)
    return drawn[:4], drawn[4:]


def same(a: Float32, b: Float32) -> None:
    assert a.dtype == b.dtype == np.float32
    assert np.array_equal(np.asarray(a).view(np.int32), np.asarray(b).view(np.int32))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", DIMS)
class TestAScoreDoesNotDependOnItsCompany:
    def test_on_other_pairs_or_the_form_of_the_call(self, metric: Metric, dim: int) -> None:
        queries, vectors = pairs(dim)
        generator = np.random.default_rng(1)
        scores, distances = scoring.score(metric, queries[:, None, :], vectors[None, :, :])
        for number, query in enumerate(queries):
            for got, expected in zip(scoring.score(metric, query, vectors), (scores, distances), strict=True):
                same(got, expected[number])
            chosen = generator.permutation(len(vectors))[: int(generator.integers(1, len(vectors)))]
            same(scoring.score(metric, query, vectors[chosen])[0], scores[number, chosen])
            repeated = np.repeat(query[None], len(vectors), axis=0)
            same(scoring.score(metric, repeated, vectors)[0], scores[number])
            one = scoring.score(metric, query, vectors[2])[0]
            assert one == scores[number, 2]

    def test_on_alignment_or_strides(self, metric: Metric, dim: int) -> None:
        queries, vectors = pairs(dim)
        expected = scoring.score(metric, queries[0], vectors)[0]
        for offset in (1, 3, 5, 9):
            moved = np.zeros((len(vectors), dim + 16), np.float32)[:, offset : offset + dim]
            moved[:] = vectors
            same(scoring.score(metric, queries[0], moved)[0], expected)
        same(scoring.score(metric, queries[0], np.asfortranarray(vectors))[0], expected)
        same(scoring.score(metric, queries[0], np.repeat(vectors, 2, axis=1)[:, ::2])[0], expected)

    def test_and_preparing_neither(self, metric: Metric, dim: int) -> None:
        _, vectors = pairs(dim)
        prepared = scoring.prepare(metric, vectors)
        same(scoring.prepare(metric, vectors[3:5]), prepared[3:5])
        same(scoring.prepare(metric, np.asfortranarray(vectors)), prepared)


def test_pairs_more_than_one_step_of_the_cache() -> None:
    queries, vectors = clustered(7, 96, 3), clustered(9_000, 96, 4)
    distances = scoring.score("euclidean", queries[:, None, :], vectors[None])[1]
    expected = np.sqrt(-truth("euclidean", queries, vectors))
    np.testing.assert_allclose(distances, expected, rtol=1e-5)
    same(scoring.score("euclidean", queries[5], vectors[8_000])[1], distances[5, 8_000])


@pytest.mark.parametrize("metric", METRICS)
def test_scores_and_distances_mean_what_the_table_says(metric: Metric) -> None:
    queries = scoring.prepare(metric, clustered(20, 48, 5))
    vectors = scoring.prepare(metric, clustered(300, 48, 6))
    scores, distances = scoring.score(metric, queries[:, None, :], vectors[None])
    similarity = truth(metric, queries, vectors)
    if metric == "cosine":
        np.testing.assert_allclose(scores, similarity, atol=1e-6)
        np.testing.assert_allclose(distances, 1 - similarity, atol=1e-6)
    elif metric == "dot":
        np.testing.assert_allclose(scores, similarity, rtol=1e-4, atol=1e-3)
        same(distances, -scores)
    else:
        np.testing.assert_allclose(distances, np.sqrt(-similarity), rtol=1e-5)
        np.testing.assert_allclose(scores, 1 / (1 + np.sqrt(-similarity)), rtol=1e-5)


def test_a_cosine_stays_between_minus_one_and_one() -> None:
    vectors = scoring.prepare("cosine", clustered(2_000, 7, 8))
    for other in (vectors, -vectors):
        scores, distances = scoring.score("cosine", vectors, other)
        assert float(np.abs(scores).max()) <= 1.0
        assert float(distances.min()) >= 0.0


@pytest.mark.parametrize("size", [1e-42, 1e-30, 1e-3, 1e14])
def test_cosine_of_tiny_and_huge_vectors(size: float) -> None:
    direction = np.array([[3.0, 4.0]])
    prepared = scoring.prepare("cosine", (direction * size).astype(np.float32))
    np.testing.assert_allclose(prepared, direction / 5, rtol=1e-3 if size < 1e-38 else 1e-6)


@pytest.mark.parametrize("metric", METRICS)
class TestValidate:
    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_what_is_not_a_number(self, metric: Metric, bad: float) -> None:
        vectors = np.ones((5, 3), np.float32)
        vectors[3, 1] = bad
        with pytest.raises(InvalidVector) as caught:
            scoring.validate(metric, vectors, 'vectors[""]')
        assert caught.value.field == 'vectors[""][3]'
        assert caught.value.received == f"{bad} at element 1"

    def test_the_first_bad_row_is_named(self, metric: Metric) -> None:
        vectors = np.ones((5, 3), np.float32)
        vectors[2:4] = np.nan
        with pytest.raises(InvalidVector, match=r"\[2\]"):
            scoring.validate(metric, vectors, "v")

    def test_what_is_too_long(self, metric: Metric) -> None:
        longest = np.full((1, 4), scoring.MAX_NORM / 2, np.float32)
        scoring.validate(metric, longest * np.float32(0.999), "v")
        with pytest.raises(InvalidVector) as caught:
            scoring.validate(metric, longest * np.float32(1.01), "v")
        assert caught.value.expected == "an L2 norm of at most 1e+15"
        with pytest.raises(InvalidVector):
            scoring.validate(metric, np.full((1, 4), 3e38, np.float32), "v")

    def test_every_accepted_vector_has_finite_scores(self, metric: Metric) -> None:
        vectors = np.array([[9e14, 0], [-9e14, 0], [1e-45, 0], [1e-45, 9e14]], np.float32)
        scoring.validate(metric, vectors, "v")
        prepared = scoring.prepare(metric, vectors)
        scores, distances = scoring.score(metric, prepared[:, None], prepared[None])
        assert np.isfinite(scores).all()
        assert np.isfinite(distances).all()

    def test_zero(self, metric: Metric) -> None:
        vectors = np.zeros((2, 3), np.float32)
        vectors[0] = 1e-45  # not zero
        if metric != "cosine":
            scoring.validate(metric, vectors, "v")
            return
        with pytest.raises(InvalidVector, match="no direction") as caught:
            scoring.validate(metric, vectors, "v")
        assert caught.value.field == "v[1]"

    def test_nothing(self, metric: Metric) -> None:
        scoring.validate(metric, np.empty((0, 3), np.float32), "v")


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("offset", [0.0, 1e4, 1e-20])
def test_an_approximate_similarity_is_within_its_bound(metric: Metric, offset: float) -> None:
    queries = scoring.prepare(metric, clustered(16, 64, 10) + np.float32(offset))
    vectors = scoring.prepare(metric, clustered(500, 64, 11) + np.float32(offset))
    squares = scoring.squares(vectors)
    got = scoring.approximate(metric, queries, vectors, squares)
    bound = scoring.error_bound(metric, 64, scoring.squares(queries), squares)
    exact = truth(metric, queries, vectors)
    assert (np.abs(got - exact) <= bound).all()
    if metric != "euclidean":
        assert (np.abs(scoring.score(metric, queries[:, None], vectors[None])[0] - got) <= bound).all()
