"""Approximate search with hnswlib (Malkov and Yashunin 2016): the only file that imports it.

Where hnswlib cannot be imported ``available`` says why, and the engine searches exactly.

*Spaces.* Euclidean is hnswlib's squared L2; cosine is its inner product of our own normalized vectors, and dot
that of the vectors times 2^12 (see _SCALE). The inner product is no metric, and a graph of it links mostly to
long rows: short ones, which no query without a filter wants, may be out of reach. The textbook cure, one more
coordinate √(B² - ‖v‖²) that makes it an L2 (Bachrach et al. 2014), was measured and is far worse where norms
differ (docs/decisions/0002-graph-adapter.md).

*Equal vectors are linked once.* Rows whose neighbours are all copies of each other lead nowhere: with 10,000 copies
of one vector among 10,000 others, recall fell below 0.5 at any ef. So a copy of a row that is there already gets no
links, and ``candidates`` adds it wherever the first of its kind is found.

*ef belongs to the call.* hnswlib searches with the larger of its own ef and the k asked for, so its ef is
set to 1 once and the wanted ef is asked for as k.

*Never searched while written.* A builder owns its graph; ``finish`` hands it over for good.

*Threads.* hnswlib releases the GIL in ``add_items`` and ``knn_query``, and holds it in ``save_index``,
``load_index`` and ``get_items``; ``pause_s`` tells for how long the last save or load stopped every thread.
On Linux a save goes to anonymous memory under the GIL, then to disk without it.

The file and how vectors are read from it: ``hnswfile``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from vecdb.errors import DataLoss, Internal
from vecdb.index import flat
from vecdb.index import metric as scoring
from vecdb.index.contract import Mask
from vecdb.index.copies import Seen, hashed, same_bits
from vecdb.index.hnswfile import Layout, Rows, scratch, write
from vecdb.model.point import Float32, Int64
from vecdb.model.schema import Metric

log = logging.getLogger(__name__)

DEFAULT_EF = 96
"""Candidates of a search that names no ef: recall@10 of 0.968 to 0.997 on five real sets (decision 0002)."""

_SCALE = np.float32(2.0**12)
"""Dot only: what vectors are multiplied with in the graph, on disk, and exactly undone when they are read.

hnswlib compares 1 - a·b, in which the product of two short vectors would drown in the 1.
"""
_UNSCALE = np.float32(2.0**-12)
_SEED = 100
_CHUNK = 1_024  # rows inserted between two looks at ``cancel``
_ROW_OVERHEAD = 100  # bytes hnswlib keeps for a row beside vector and links: mutex 40, hash node 40, pointers, level
_ANSWER_ENTRIES = 1 << 20  # queries x k' of one call of hnswlib: 12 bytes each, and some copies
_LEAK_LIMIT = 16 << 20  # bytes; see HnswIndex._walk_alone


class _Graph(Protocol):
    """The part of ``hnswlib.Index`` that is used."""

    def init_index(self, max_elements: int, M: int, ef_construction: int, random_seed: int) -> None: ...
    def add_items(self, data: Float32, ids: NDArray[np.uint64], num_threads: int) -> None: ...
    def get_items(self, ids: NDArray[np.uint64]) -> Float32: ...
    def knn_query(self, data: Float32, k: int, num_threads: int) -> tuple[NDArray[np.uint64], Float32]: ...
    def save_index(self, path_to_index: str) -> None: ...
    def load_index(self, path_to_index: str, max_elements: int) -> None: ...
    def resize_index(self, new_size: int) -> None: ...
    def set_ef(self, ef: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether hnswlib can be used, and when not, why."""

    ok: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.ok


@cache
def available() -> Availability:
    """Try to import hnswlib, once. Whatever goes wrong is a reason, never an exception."""
    try:
        _hnswlib()
    except Exception as error:  # noqa: BLE001 - a broken build may raise anything while it is imported
        return Availability(False, f"hnswlib cannot be imported: {type(error).__name__}: {error}")
    return Availability(True)


class HnswBuilder:
    """A private graph that grows; see ``contract.IndexBuilder``.

    ``m`` and ``ef_construction`` are those of the field, ``capacity`` the rows expected (it grows by
    doubling). One thread at a time; a build with threads=1 is deterministic.
    """

    def __init__(
        self, metric: Metric, dim: int, m: int = 16, ef_construction: int = 200, capacity: int = 1_024
    ) -> None:
        self._metric: Metric = metric
        self._dim = dim
        self._m = m
        self._ef_construction = ef_construction
        self._capacity = max(capacity, _CHUNK)
        self._count = 0
        self._seen = Seen()
        self._copies: list[tuple[Int64, Int64]] = []  # ordinals, and of what; those that the graph does not hold
        self._graph: _Graph | None = _new_graph(metric, dim)
        self._graph.init_index(self._capacity, m, ef_construction, _SEED)
        self._graph.set_ef(1)
        self.pause_s = 0.0
        """Seconds the last ``save`` (or ``from_index``) held the GIL."""

    @classmethod
    def from_index(cls, path: Path, metric: Metric, dim: int, count: int, capacity: int) -> HnswBuilder:
        """A builder that starts with the rows of a saved graph, their links kept (nothing is inserted again).

        The caller has verified the checksum. Raises DataLoss when the header does not fit.
        """
        layout = Layout.read(path, dim, count)
        builder = cls.__new__(cls)
        builder._metric, builder._dim = metric, dim
        builder._m, builder._ef_construction = layout.m, layout.ef_construction
        builder._capacity = max(capacity, count, _CHUNK)
        builder._count = count
        builder._seen, builder._copies = Seen(), []
        rows = layout.map()
        firsts = rows.firsts()
        for start in range(0, len(firsts), _CHUNK):
            builder._seen.add(hashed(rows.take(firsts[start : start + _CHUNK])), firsts[start : start + _CHUNK])
        builder._graph, builder.pause_s = _load(path, metric, dim, builder._capacity)
        return builder

    def __len__(self) -> int:
        return self._count

    def add(self, vectors: Float32, threads: int, cancel: Callable[[], bool]) -> bool:
        """See ``contract.IndexBuilder.add``; ``cancel`` is looked at every 1,024 rows."""
        if len(vectors) == 0:
            return not cancel()
        graph = self._owned()
        needed = self._count + len(vectors)
        if needed > self._capacity:
            self._capacity = max(needed, 2 * self._capacity)
            graph.resize_index(self._capacity)
        for start in range(0, len(vectors), _CHUNK):
            if cancel():
                return False
            chunk = np.ascontiguousarray(_scaled(self._metric, vectors[start : start + _CHUNK]))
            ordinals = np.arange(self._count, self._count + len(chunk), dtype=np.int64)
            linked = self._not_copies(graph, chunk, ordinals)
            if len(linked):
                graph.add_items(chunk[linked], ordinals[linked].astype(np.uint64), threads)
            self._count += len(chunk)
        return True

    def save(self, path: Path) -> None:
        """See ``contract.IndexBuilder.save``."""
        none = np.empty(0, np.int64)
        ordinals, firsts = (np.concatenate(column) for column in zip((none, none), *self._copies, strict=True))
        with scratch(path) as (name, saved):
            started = time.perf_counter()
            self._owned().save_index(name)
            self.pause_s = time.perf_counter() - started
            write(saved, path, ordinals, firsts)

    def finish(self, path: Path) -> HnswIndex:
        """The same graph as a searchable index, reading its vectors from ``path``, where ``save`` has written them."""
        layout = Layout.read(path, self._dim, self._count)
        graph, self._graph = self._owned(), None
        return HnswIndex(graph, self._metric, layout, self._capacity, self.pause_s)

    def nbytes(self) -> int:
        """Anonymous bytes held (an estimate: what hnswlib allocates, pages never touched left out)."""
        return _graph_bytes(self._count, self._capacity, self._dim, self._m) + self._seen.nbytes()

    def _not_copies(self, graph: _Graph, chunk: Float32, ordinals: Int64) -> Int64:
        """Rows of the chunk to link, int64 ascending; the others equal a linked row, bit for bit, and are noted."""
        hashes = hashed(chunk)
        firsts = self._seen.find(hashes)
        _, at, group = np.unique(hashes, return_index=True, return_inverse=True)
        at = at[group]  # the first row of the chunk with the same hash
        known = firsts >= 0
        twin = ~known & (at != np.arange(len(chunk)))
        self._seen.add(hashes[~known & ~twin], ordinals[~known & ~twin])
        if not known.any() and not twin.any():
            return np.arange(len(chunk))
        firsts[twin] = ordinals[at[twin]]
        equal = np.zeros(len(chunk), np.bool_)
        equal[twin] = same_bits(chunk[twin], chunk[at[twin]])
        if known.any():
            labels, which = np.unique(firsts[known], return_inverse=True)
            equal[known] = same_bits(chunk[known], graph.get_items(labels.astype(np.uint64))[which])
        self._copies.append((ordinals[equal], firsts[equal]))
        return np.flatnonzero(~equal)

    def _owned(self) -> _Graph:
        if self._graph is None:
            raise Internal("the builder was finished")
        return self._graph


class HnswIndex:
    """A finished graph and the map of its file; see ``contract.VectorIndex``.

    Made by ``load`` or ``HnswBuilder.finish``.
    """

    kind = "hnsw"

    def __init__(self, graph: _Graph, metric: Metric, layout: Layout, capacity: int, pause_s: float) -> None:
        self._graph: _Graph | None = graph
        self._metric: Metric = metric
        self._dim = layout.dim
        self._m = layout.m
        self._count = layout.count
        self._capacity = capacity
        self._file_bytes = layout.file_bytes
        self._rows = layout.map()
        self._linked = self._rows.linked
        self._copies = self._rows.copies
        self._squares: Float32 | None = None
        self._leaked = 0
        self.pause_s = pause_s
        """Seconds the load (or the save before ``finish``) held the GIL."""

    @classmethod
    def load(cls, path: Path, metric: Metric, dim: int, count: int) -> HnswIndex:
        """Load a graph whose checksum the caller has verified. Raises DataLoss when the header does not fit."""
        layout = Layout.read(path, dim, count)
        graph, pause_s = _load(path, metric, dim, count)
        return cls(graph, metric, layout, count, pause_s)

    def __len__(self) -> int:
        return self._count

    @property
    def leaked_bytes(self) -> int:
        """Bytes hnswlib has lost in walks that met fewer rows than asked for; see ``_walk_alone``."""
        return self._leaked

    def candidates(
        self, queries: Float32, n: int, ef: int, allowed: Mask | None, threads: int = 1
    ) -> tuple[Int64, Float32]:
        """See ``contract.VectorIndex.candidates``.

        Without ``allowed`` a row shorter than min(len, max(n, ef)) means that its walk ended in a part of the
        graph that is not connected to the rest. Never raises for such a row.
        """
        graph = self._graph
        if graph is None:
            raise Internal("the index was closed")
        most = max(n, ef)
        k = min(self._linked, most)
        if k <= 0 or len(queries) == 0:
            return flat.padding(len(queries), 0)
        if self._leaked > _LEAK_LIMIT:
            return self.exact(queries, n, allowed)
        at_once = max(1, _ANSWER_ENTRIES // k)
        if len(queries) > at_once:
            starts = range(0, len(queries), at_once)
            return flat.stack([self.candidates(queries[i : i + at_once], n, ef, allowed, threads) for i in starts])
        asked = _scaled(self._metric, queries)
        try:
            labels, distances = graph.knn_query(asked, k, threads)
        except RuntimeError:
            self._count_leak(len(queries), k)
            ordinals, distances = self._walk_alone(graph, asked, k)
        else:
            ordinals = labels.view(np.int64)
        # hnswlib's distance is the squared L2, or 1 - a·b
        similarities = -distances if self._metric == "euclidean" else np.float32(1.0) - distances
        if self._metric == "dot":
            similarities *= _UNSCALE * _UNSCALE
        if (copies := self._copies) is not None:
            return copies.put_in(ordinals, similarities, allowed, most)
        if allowed is not None:
            return _drop(ordinals, similarities, allowed)
        return ordinals, similarities

    def exact(self, queries: Float32, k: int, allowed: Mask | None) -> tuple[Int64, Float32]:
        """See ``contract.VectorIndex.exact`` and ``flat.top``; the vectors are read from the map."""
        rows = self._rows
        chosen, allowed = (None, None) if allowed is None else flat.sparse(allowed)
        if rows.ordinal is not None and rows.position is not None:
            chosen = None if chosen is None else rows.position[chosen].astype(np.int64)
            allowed = None if allowed is None else allowed[rows.ordinal]
        asked, squares = _scaled(self._metric, queries), self._squared_norms(rows)
        positions, similarities = flat.top(self._metric, asked, rows.vectors, k, allowed, squares, chosen)
        if self._metric == "dot":
            similarities *= _UNSCALE * _UNSCALE
        if rows.ordinal is None:
            return positions, similarities
        return np.where(positions < 0, -1, rows.ordinal[positions].astype(np.int64)), similarities

    def vectors(self, ordinals: Int64) -> Float32:
        """Prepared vectors float32 ``[len(ordinals), dim]``, read from the map."""
        vectors = self._rows.take(ordinals)
        if self._metric == "dot":
            vectors *= _UNSCALE
        return vectors

    def nbytes(self) -> tuple[int, int]:
        """(anonymous, mapped) bytes."""
        own = _graph_bytes(self._count, self._capacity, self._dim, self._m) + self._rows.nbytes()
        return own + (0 if self._squares is None else self._squares.nbytes), self._file_bytes

    def close(self) -> None:
        """Let go of graph and map; both go when the last search that uses them returns."""
        self._graph = None
        self._rows = Rows(np.empty((0, self._dim), np.float32), None, None, None)
        self._copies = self._squares = None

    def _walk_alone(self, graph: _Graph, queries: Float32, k: int) -> tuple[Int64, Float32]:
        """Each query by itself, asking for half as much until the walk finds that many.

        hnswlib refuses a whole batch when one walk ends with fewer than k rows ("Cannot return the results
        in a contiguous 2D array"), and loses the 16 k bytes per query of its answer: such losses are counted,
        and past _LEAK_LIMIT the index answers by scanning, so that memory stays bounded.
        """
        ordinals, distances = flat.padding(len(queries), k)
        distances = -distances
        width = 0
        for row in range(len(queries)):
            size = k
            while size > 0:
                try:
                    labels, found = graph.knn_query(queries[row : row + 1], size, 1)
                except RuntimeError:
                    self._count_leak(1, size)
                    size //= 2
                    continue
                ordinals[row, :size] = labels.view(np.int64)
                distances[row, :size] = found
                width = max(width, size)
                break
        return ordinals[:, :width], distances[:, :width]

    def _count_leak(self, queries: int, k: int) -> None:
        before, self._leaked = self._leaked, self._leaked + 16 * k * queries
        if before <= _LEAK_LIMIT < self._leaked:
            log.warning(
                "a graph of %d rows has parts that cannot be reached; it is searched exactly from now on", self._count
            )

    def _squared_norms(self, rows: Rows) -> Float32 | None:
        if self._metric == "cosine":
            return None
        squares = self._squares
        if squares is None:  # two threads may both compute it; the values are the same
            squares = self._squares = scoring.squares(rows.vectors)
        return squares


def _hnswlib() -> Any:
    import hnswlib

    return hnswlib


def _new_graph(metric: Metric, dim: int) -> _Graph:
    return cast(_Graph, _hnswlib().Index("l2" if metric == "euclidean" else "ip", dim))


def _scaled(metric: Metric, vectors: Float32) -> Float32:
    return vectors * _SCALE if metric == "dot" else vectors


def _graph_bytes(count: int, capacity: int, dim: int, m: int) -> int:
    """Anonymous bytes of a graph: rows, upper links (one row in m has a layer more), per-row bookkeeping."""
    row = 4 + 8 * m + 4 * dim + 8
    upper = (4 + 4 * m) // max(1, m - 1)
    return count * (row + upper) + capacity * _ROW_OVERHEAD


def _load(path: Path, metric: Metric, dim: int, capacity: int) -> tuple[_Graph, float]:
    """Load a verified file; returns the graph and the seconds the GIL was held."""
    graph = _new_graph(metric, dim)
    started = time.perf_counter()
    try:
        graph.load_index(str(path), capacity)
    except RuntimeError as error:
        raise DataLoss(f"{path.name} cannot be loaded as a graph: {error}") from error
    pause_s = time.perf_counter() - started
    graph.set_ef(1)
    return graph, pause_s


def _drop(ordinals: Int64, similarities: Float32, allowed: Mask) -> tuple[Int64, Float32]:
    """Leave only allowed ordinals, moved together to the left; the width is that of the longest row."""
    keep = allowed[ordinals] & (ordinals >= 0)
    if len(ordinals) == 1:
        return ordinals[:, keep[0]], similarities[:, keep[0]]
    query, column = np.nonzero(keep)
    return flat.padded(query, ordinals[query, column], similarities[query, column], len(ordinals))
