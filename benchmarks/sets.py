"""Sets of vectors: the real ones from the data folder, and made ones of any size and width."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import truth
from vecdb.model.schema import Metric

SEED = 7
K = 10


@dataclass(frozen=True, slots=True)
class VectorSet:
    """``vectors`` float32 ``[n, dim]``, ``queries`` ``[q, dim]``, ``true`` int64 ``[q, 10]`` exact neighbours."""

    name: str
    metric: Metric
    vectors: NDArray[np.float32]
    queries: NDArray[np.float32]
    true: NDArray[np.int64]

    @property
    def dim(self) -> int:
        return int(self.vectors.shape[1])


@dataclass(frozen=True, slots=True)
class RealSet:
    """Where a real set lies in the data folder, and the SHA-256 of its file: other data, other figures."""

    folder: str
    metric: Metric
    sha256: str

    def read(self, data: Path) -> Any:
        """The arrays of the set. Raises FileNotFoundError, and ValueError for another file."""
        content = (data / self.folder / "data.npz").read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256:
            raise ValueError(f"{self.folder}/data.npz is another file: sha256 {self.sha256} expected, {found} found")
        return np.load(io.BytesIO(content))


REAL = {
    "glove": RealSet("glove-100-angular", "cosine", "7e01ae6a1ba8d4664822d8c755b54c4821a38729815c505d801dfee2587124a7"),
    "mnist": RealSet(
        "mnist-784-euclidean", "euclidean", "3f422d0cdab424568f9b37c14b1a1265c74876eef970deb2e4f53668d56c2b1a"
    ),
    "movies": RealSet(
        "movies-384-minilm", "cosine", "50ef9f6ef81b91ba508233fc92e22ef2fd717856d836cc19aa25963d2e529a20"
    ),
}


def real(name: str, data: Path, rows: int | None = None, queries: int = 1_000) -> VectorSet:
    """A real set, or its first ``rows`` with their own exact neighbours."""
    known = REAL[name]
    arrays = known.read(data)
    vectors = arrays["train"].astype(np.float32)
    asked = arrays["test"][:queries].astype(np.float32)
    true = arrays["neighbors"][:queries, :K].astype(np.int64)
    if rows is not None and rows < len(vectors):
        vectors = vectors[:rows]
        true = truth.neighbours(known.metric, asked, vectors, K)
    return VectorSet(name, known.metric, vectors, asked, true)


def enlarged(data: Path, rows: int, queries: int = 1_000) -> VectorSet:
    """Glove brought to any size: the set again and again, each time with small noise of its own."""
    base = real("glove", data, queries=queries)
    if rows <= len(base.vectors):
        return real("glove", data, rows, queries)
    random = np.random.default_rng(SEED)
    vectors = np.empty((rows, base.dim), np.float32)
    scale = 0.1 * base.vectors.std()
    for start in range(0, rows, len(base.vectors)):
        block = vectors[start : start + len(base.vectors)]
        block[:] = base.vectors[: len(block)]
        if start:
            block += scale * random.standard_normal(block.shape, np.float32)
    return VectorSet("glove enlarged", "cosine", vectors, base.queries, _true("cosine", base.queries, vectors))


def made(rows: int, dim: int, queries: int = 1_000, exact: bool = True) -> VectorSet:
    """Vectors as embeddings are: a few hundred topics, each a cloud in 32 directions of its own mixture."""
    random = np.random.default_rng(SEED)
    spread = random.standard_normal((32, dim), np.float32) / np.sqrt(np.float32(32))
    topics = random.standard_normal((256, 32), np.float32)
    everything = np.empty((rows + queries, dim), np.float32)
    for start in range(0, len(everything), 20_000):
        block = everything[start : start + 20_000]
        place = topics[random.integers(0, len(topics), len(block))]
        place = place + 0.7 * random.standard_normal(place.shape, np.float32)
        block[:] = place @ spread + 0.05 * random.standard_normal(block.shape, np.float32)
    vectors, asked = everything[:rows], everything[rows:]
    true = _true("cosine", asked, vectors) if exact else np.zeros((0, K), np.int64)
    return VectorSet(f"made {dim}", "cosine", vectors, asked, true)


def _true(metric: str, queries: NDArray[np.float32], vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    return truth.neighbours(metric, queries, vectors, K)
