"""BM25 against the formula written out for one document at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecdb.errors import InvalidArgument
from vecdb.index import bm25

POSTINGS = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 500)), min_size=1, max_size=30)


@given(POSTINGS, st.integers(0, 1_000), st.floats(0, 3), st.floats(0, 1))
def test_scores_are_those_of_the_formula(postings: list[tuple[int, int]], others: int, k1: float, b: float) -> None:
    pairs = [(frequency, frequency + more) for frequency, more in postings]
    documents, mean = len(pairs) + others, 37.5
    weight = bm25.idf(documents, len(pairs))
    frequencies, lengths = np.array(pairs, np.uint32).T
    scores = bm25.score(frequencies, lengths, weight, mean, bm25.Parameters(k1, b))
    expected = [
        math.log(1 + (documents - len(pairs) + 0.5) / (len(pairs) + 0.5))
        * (frequency * (k1 + 1) / (frequency + k1 * (1 - b + b * length / mean)))
        for frequency, length in pairs
    ]
    assert scores.dtype == np.float64
    assert scores.tolist() == pytest.approx(expected, rel=1e-12)


def test_a_term_of_every_document_still_counts() -> None:
    assert 0 < bm25.idf(10, 10) < bm25.idf(10, 9) < bm25.idf(10, 1)


@pytest.mark.parametrize(("k1", "b", "field"), [(-1, 0.5, "k1"), (math.nan, 0.5, "k1"), (1, 1.5, "b"), (1, -0.1, "b")])
def test_parameters_out_of_range_are_refused(k1: float, b: float, field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        bm25.Parameters(k1, b)
    assert refused.value.field == field
