"""BM25, the formula (Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009, equation
3.15), with the inverse document frequency of Lucene, which is never negative. Pure arithmetic over postings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb.errors import InvalidArgument

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Parameters:
    """``k1`` ≥ 0: how much repetitions count. ``b`` in 0..1: how much the length of a document counts."""

    k1: float = 1.2
    b: float = 0.75

    def __post_init__(self) -> None:
        if not 0.0 <= self.k1 < float("inf"):
            raise InvalidArgument("k1 is out of range", field="k1", expected="0 or more", received=str(self.k1))
        if not 0.0 <= self.b <= 1.0:
            raise InvalidArgument("b is out of range", field="b", expected="0 to 1", received=str(self.b))


DEFAULTS = Parameters()


def idf(documents: int, holding: int) -> float:
    """The weight of a term that ``holding`` of ``documents`` documents hold: ln(1 + (N - n + 0.5) / (n + 0.5))."""
    return float(np.log1p((documents - holding + 0.5) / (holding + 0.5)))


def score(
    frequencies: NDArray[Any],
    lengths: NDArray[Any],
    weight: float,
    mean_length: float,
    by: Parameters = DEFAULTS,
) -> Float64:
    """What one term adds to the scores of the documents that hold it.

    ``frequencies``: how often each holds it, > 0, ``[n]``; ``lengths``: how many terms each has, ``[n]``; ``weight``:
    ``idf`` times how often the query asks for it; ``mean_length``: of all documents, > 0. Returns float64 ``[n]``, each
    in (0, weight × (k1 + 1)). Sums over the terms of a query are to be made in one order of terms, so that a score does
    not depend on how rows fell into segments.
    """
    out: Float64 = np.multiply(lengths, by.k1 * by.b / mean_length, dtype=np.float64)
    out += by.k1 * (1.0 - by.b)
    out += frequencies
    np.divide(frequencies, out, out=out)
    out *= weight * (by.k1 + 1.0)
    return out


def bound(frequency: float, length: int, weight: float, mean_length: float, by: Parameters = DEFAULTS) -> float:
    """At least what ``score`` gives a document that holds the term at most ``frequency`` times in ``length`` terms or
    more: it grows with the first and falls with the second."""
    (most,) = score(np.array([float(frequency)]), np.array([length]), weight, mean_length, by).tolist()
    return float(most) * (1.0 + 1e-12)
