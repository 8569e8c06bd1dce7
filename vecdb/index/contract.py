"""What the engine needs of a vector index, whichever library stands behind it.

An index holds the *prepared* vectors (``metric.prepare``: normalized under cosine, as they came
otherwise) of one field of one segment, numbered by ordinal 0..n-1, and never changes once built.
Its similarities are approximate and only pick candidates: the executor scores these again with
``metric.score`` and orders them.

Similarity, higher is better: the dot product for cosine and dot, minus the squared L2 for euclidean.
Answers are ordinals int64 ``[q, w]`` and similarities float32 ``[q, w]``, best first; rows with fewer
than w entries end in ordinal -1 and similarity -inf.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vecdb.model.point import Float32, Int64

Mask = NDArray[np.bool_]


class VectorIndex(Protocol):
    """A finished, immutable, searchable index. Every method may be called from any thread."""

    @property
    def kind(self) -> str:
        """Name of the implementation, recorded in the manifest: ``flat`` or ``hnsw``."""

    def __len__(self) -> int: ...

    def candidates(
        self, queries: Float32, n: int, ef: int, allowed: Mask | None, threads: int = 1
    ) -> tuple[Int64, Float32]:
        """Likely nearest ordinals of prepared ``queries`` ``[q, dim]``: about max(n, ef) of each.

        ``allowed`` (bool ``[len]``) drops every ordinal that is False *after* the walk. Fewer than n may
        come back; the caller then asks again or calls ``exact``. ``ef`` and ``allowed`` belong to this
        call alone. ``threads`` share the queries of the batch.
        """

    def exact(self, queries: Float32, k: int, allowed: Mask | None) -> tuple[Int64, Float32]:
        """A superset of the true top k of each query among ``allowed``, ties with the k-th included (a full scan)."""

    def vectors(self, ordinals: Int64) -> Float32:
        """The prepared vectors float32 ``[len(ordinals), dim]``, bit for bit as they were given."""

    def nbytes(self) -> tuple[int, int]:
        """(anonymous, mapped) bytes."""

    def close(self) -> None:
        """Drop memory and maps; the object is not used after."""


class IndexBuilder(Protocol):
    """A private index being built by one thread; nobody searches it."""

    def __len__(self) -> int: ...

    def add(self, vectors: Float32, threads: int, cancel: Callable[[], bool]) -> bool:
        """Append prepared vectors as the next ordinals; False when ``cancel`` said stop.

        After False the builder holds some of them and is of no more use.
        """

    def save(self, path: Path) -> None:
        """Write the index's file and fsync it. The caller checksums, renames and records it."""

    def finish(self, path: Path) -> VectorIndex:
        """Turn what was built into a searchable index beside its saved file; the builder is not used after."""

    def nbytes(self) -> int:
        """Anonymous bytes held."""
