"""Sparse vectors: weights at a few of 2^32 dimensions, in columns; and a leg of a search by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vecdb.errors import InvalidArgument, InvalidVector
from vecdb.model.filter import Filter

MAX_ENTRIES = 65_536
"""Weights of one vector."""
MAX_NORM = 1e19
"""Of a sparse vector in L2, so that no product of two is beyond float32."""

UInt32 = NDArray[np.uint32]
Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class SparseVector:
    """The weights of one vector: ``indices`` uint32 ``[n]``, ascending, and ``values`` float32 ``[n]``, none of them 0.

    Two are equal if all of that is.
    """

    indices: UInt32
    values: Float32

    def __len__(self) -> int:
        return len(self.indices)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SparseVector):
            return NotImplemented
        return np.array_equal(self.indices, other.indices) and np.array_equal(self.values, other.values)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"SparseVector({self.to_dict()!r})"

    def to_dict(self) -> dict[int, float]:
        """The weights by dimension."""
        return dict(zip(self.indices.tolist(), self.values.tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class SparseVectors:
    """n sparse vectors, one after another: vector i has the entries ``starts[i]:starts[i + 1]`` of ``indices`` (uint32)
    and ``values`` (float32); ``starts`` is int64 ``[n + 1]``, from 0.
    """

    starts: Int64
    indices: UInt32
    values: Float32

    @staticmethod
    def of(counts: Sequence[int] | NDArray[np.integer], indices: UInt32, values: Float32) -> SparseVectors:
        """Vectors of so many entries each."""
        starts = np.zeros(len(counts) + 1, dtype=np.int64)
        np.cumsum(counts, out=starts[1:])
        return SparseVectors(starts, indices, values)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, i: int) -> SparseVector:
        entries = slice(int(self.starts[i]), int(self.starts[i + 1]))
        return SparseVector(self.indices[entries].copy(), self.values[entries].copy())

    @property
    def counts(self) -> Int64:
        """Entries of each vector, int64 ``[n]``."""
        return np.diff(self.starts)

    def cut(self, start: int, stop: int) -> SparseVectors:
        """The vectors from ``start`` up to ``stop``."""
        starts = self.starts[start : stop + 1]
        entries = slice(int(starts[0]), int(starts[-1]))
        return SparseVectors(starts - starts[0], self.indices[entries], self.values[entries])

    def take(self, at: Sequence[int] | Int64) -> SparseVectors:
        """The vectors at ``at``, in that order."""
        places = np.asarray(at, dtype=np.int64)
        counts = self.counts[places]
        starts = np.zeros(len(places) + 1, dtype=np.int64)
        np.cumsum(counts, out=starts[1:])
        entries = np.arange(int(starts[-1])) + np.repeat(self.starts[places] - starts[:-1], counts)
        return SparseVectors(starts, self.indices[entries], self.values[entries])

    def and_then(self, others: SparseVectors) -> SparseVectors:
        """These, and ``others`` after them."""
        return SparseVectors.of(
            np.concatenate([self.counts, others.counts]),
            np.concatenate([self.indices, others.indices]),
            np.concatenate([self.values, others.values]),
        )

    def normalized(self, path: str, rows: Int64 | None = None) -> SparseVectors:
        """The same with the entries of each vector by ascending dimension, and without those of weight 0.

        Raises InvalidVector, naming ``{path}[i]`` (``{path}[rows[i]]`` if ``rows`` are given), where a weight is not
        finite, a dimension is there twice, there are more than 65,536 entries, or the L2 norm is above 1e19;
        InvalidArgument where the columns do not fit each other.
        """
        if len(self.indices) != len(self.values) or int(self.starts[-1]) != len(self.values):
            raise InvalidArgument(
                "columns differ in length",
                field=path,
                expected=f"{int(self.starts[-1])} indices and values",
                received=f"{len(self.indices)} and {len(self.values)}",
            )
        counts, of = self.counts, np.repeat(np.arange(len(self)), self.counts)
        most = int(counts.max(initial=0))
        if most > MAX_ENTRIES:
            raise _invalid(
                "too many entries", path, rows, int(counts.argmax()), f"<= {MAX_ENTRIES} entries", f"{most} entries"
            )
        if not np.isfinite(self.values).all():
            at = int(np.flatnonzero(~np.isfinite(self.values))[0])
            raise _invalid(
                "a weight is not finite",
                path,
                rows,
                int(of[at]),
                "finite float32 values",
                f"{self.values[at]} at dimension {self.indices[at]}",
            )
        places = of.astype(np.uint64) << np.uint64(32) | self.indices
        indices, values = self.indices, self.values
        if np.any(places[1:] <= places[:-1]):
            order = np.argsort(places, kind="stable")
            places, indices, values = places[order], indices[order], values[order]
            repeats = np.flatnonzero(places[1:] == places[:-1])
            if len(repeats):
                at = int(repeats[0])
                raise _invalid(
                    "a dimension is there twice", path, rows, int(of[at]), "different dimensions", str(indices[at])
                )
        there = values != 0
        if not there.all():
            of, indices, values = of[there], indices[there], values[there]
            counts = np.bincount(of, minlength=len(self))
        squares = np.bincount(of, weights=np.square(values, dtype=np.float64), minlength=len(self))
        if squares.max(initial=0.0) > MAX_NORM**2:
            row = int(squares.argmax())
            norm = f"{float(np.sqrt(squares[row])):g}"
            raise _invalid(
                "a vector is too long to be scored", path, rows, row, f"an L2 norm of at most {MAX_NORM:g}", norm
            )
        return SparseVectors.of(counts, indices, values)


@dataclass(frozen=True, slots=True)
class SparseColumn:
    """The sparse vectors of one field for some rows of a batch.

    ``rows`` (int64, ascending) are the positions in the batch of the rows that carry one; None: every row does, in
    order. ``model``: the embedding model that they come from, where it is stated.
    """

    data: SparseVectors
    rows: Int64 | None = None
    model: str | None = None

    def cut(self, start: int, stop: int) -> SparseColumn:
        """The vectors of the rows from ``start`` up to ``stop``, as a column of those rows alone."""
        if self.rows is None:
            return replace(self, data=self.data.cut(start, stop))
        low, high = (int(i) for i in np.searchsorted(self.rows, (start, stop)))
        return replace(self, data=self.data.cut(low, high), rows=self.rows[low:high] - start)

    def at(self, positions: Int64) -> SparseColumn:
        """The vectors of the rows at ``positions``, different ones, as a column of those rows in that order."""
        if self.rows is None:
            return replace(self, data=self.data.take(positions))
        carried = np.flatnonzero(np.isin(positions, self.rows))
        return replace(self, data=self.data.take(np.searchsorted(self.rows, positions[carried])), rows=carried)

    def get(self, row: int) -> SparseVector | None:
        """The vector of one row; None where it carries none."""
        if self.rows is None:
            return self.data[row]
        at = int(np.searchsorted(self.rows, row))
        return self.data[at] if at < len(self.rows) and self.rows[at] == row else None

    def sizes(self, n: int) -> Int64:
        """Bytes of the entries of each of ``n`` rows, int64 ``[n]``."""
        sizes = np.zeros(n, dtype=np.int64)
        sizes[slice(None) if self.rows is None else self.rows] = 8 * self.data.counts
        return sizes


@dataclass(frozen=True, slots=True)
class Sparse:
    """A leg: the points whose sparse vectors have a dimension in common with ``vectors`` (one for each query), by dot
    product.

    ``using`` names the sparse field, None: the only one there is. ``model``, ``weight``, ``depth``
    and ``filter`` as in Near.
    """

    vectors: SparseVectors
    using: str | None = None
    weight: float = 1.0
    depth: int | None = None
    filter: Filter | None = None
    model: str | None = None

    @property
    def queries(self) -> int:
        """How many queries this leg holds."""
        return len(self.vectors)

    def cut(self, start: int, stop: int) -> Sparse:
        """The queries from ``start`` up to ``stop``."""
        return replace(self, vectors=self.vectors.cut(start, stop))

    def take(self, queries: Sequence[int]) -> Sparse:
        """Some of the queries."""
        return replace(self, vectors=self.vectors.take(queries))


def _invalid(message: str, path: str, rows: Int64 | None, i: int, expected: str, received: str) -> InvalidVector:
    row = i if rows is None else int(rows[i])
    return InvalidVector(message, field=f"{path}[{row}]", expected=expected, received=received)
