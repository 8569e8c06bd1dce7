"""Latent semantic indexing (Deerwester et al. 1990): vectors of texts from nothing but the texts themselves.

A text is a sum of the vectors of its terms, and these are found by factorizing the matrix of texts and
terms (TF-IDF weights, truncated SVD), which puts terms near each other that occur in the same texts. It
knows no more of a language than that: a neural embedding model finds much more.

The texts in Chinese are factorized once more, alone, into dimensions of their own: among all texts they are
too few to get more than one or two. They keep all their terms there. With nothing in common the texts of
two languages would be at right angles, and a graph search would find no way from the one to the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from vecdb.cli.demo.terms import is_chinese, terms
from vecdb.model.point import Float32

DIM, CHINESE_DIM = 256, 64
SEED = 0
ITERATIONS = 4
NEGLIGIBLE = 1e-6


class Lsi:
    """An embedding: a vector for each term."""

    def __init__(self, vocabulary: Sequence[str], vectors: Float32) -> None:
        """``vectors`` (``[terms, dim]``) are those of the terms of ``vocabulary``."""
        self._row = {term: row for row, term in enumerate(vocabulary)}
        self._vectors = vectors

    @classmethod
    def fit(cls, texts: Sequence[str]) -> Lsi:
        """Learn from ``texts``. The same texts give the same embedding."""
        tfidf = TfidfVectorizer(analyzer=terms, sublinear_tf=True)
        weights = tfidf.fit_transform(texts)
        chinese = [row for row, text in enumerate(texts) if any(map(is_chinese, text))]
        factors = [_factors(weights, DIM), _factors(weights[chinese], CHINESE_DIM)]
        vectors = np.hstack(factors) * tfidf.idf_[:, np.newaxis]
        return cls(tfidf.get_feature_names_out().tolist(), vectors.astype(np.float32))

    def __call__(self, texts: Sequence[str]) -> Float32:
        """One vector of length 1 for each text, ``[n, dim]``; zero for a text without a known term."""
        vectors = np.zeros((len(texts), self._vectors.shape[1]), dtype=np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            counts = Counter(term for term in terms(text) if term in self._row)
            if counts:
                rows = [self._row[term] for term in counts]
                weights = 1 + np.log(np.array(list(counts.values()), dtype=np.float32))
                vector[:] = weights @ self._vectors[rows]
        lengths: Float32 = np.linalg.norm(vectors, axis=1, keepdims=True)
        lengths[lengths == 0] = 1
        vectors /= lengths
        return vectors

    def save(self, path: Path) -> None:
        """Write arrays of numbers and characters, which hold no objects of Python."""
        aside = path.with_name(path.name + ".new")
        with aside.open("wb") as file:
            np.savez(file, vocabulary=np.array(list(self._row)), vectors=self._vectors)
        aside.replace(path)

    @classmethod
    def load(cls, path: Path) -> Lsi:
        """Read what ``save`` wrote. Raises OSError, ValueError, KeyError and BadZipFile."""
        with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
            return cls(saved["vocabulary"].tolist(), saved["vectors"])


def _factors(weights: Any, dim: int) -> NDArray[Any]:
    """The first ``dim`` right singular vectors of a sparse matrix, ``[terms, dim]``.

    A matrix of few texts has fewer; what the algorithm gives beyond them is noise, and left out.
    """
    if 0 in weights.shape:
        return np.zeros((weights.shape[1], 0))
    svd = TruncatedSVD(min(dim, weights.shape[1]), n_iter=ITERATIONS, random_state=SEED).fit(weights)
    real = svd.singular_values_ > NEGLIGIBLE * svd.singular_values_[0]
    found: NDArray[Any] = svd.components_[real].T
    return found
