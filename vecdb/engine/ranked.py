"""Ranked hits as columns, whatever kind of leg found them: what narrows them, their bodies, their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb.engine.allowed import owner_rows
from vecdb.engine.lookup import Lookup
from vecdb.engine.segment import UInt64
from vecdb.engine.view import View
from vecdb.index.contract import Mask
from vecdb.model.point import Float32, Int64
from vecdb.model.query import LegColumns

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What may be answered, beside what scope and filters say.

    ``bodies``: by segment, those that may (None: all). ``without``: by query, rows that may not (None: none).
    """

    bodies: Sequence[Mask] | None = None
    without: Sequence[UInt64] | None = None

    @property
    def spare(self) -> int:
        """Hits to find beyond those wanted, so that enough are left without ``without``."""
        return max(map(len, self.without or ()), default=0)

    def left(self, ranked: Ranked, need: int) -> Ranked:
        """Of each query's hits the first ``need`` that are not among ``without``."""
        return ranked if self.without is None else ranked.without(self.without).window(0, need)

    def of(self, queries: Sequence[int]) -> Narrowing:
        """The same for some of the queries."""
        return self if self.without is None else Narrowing(self.bodies, [self.without[query] for query in queries])


EVERYTHING = Narrowing()


@dataclass(frozen=True, slots=True)
class Ranked:
    """Ranked bodies of q queries, one run after another: rows, their segment indexes and ordinals, best first.

    ``counts`` int64 ``[q]``; the other columns have ``counts.sum()`` entries. ``distances`` is None where hits have
    none. ``legs``: what each leg says of the hits, once they are fused. ``warnings``: what a person should be told of
    how they were found.
    """

    counts: Int64
    rows: UInt64
    segments: Int64
    ordinals: Int64
    scores: Float32
    distances: Float32 | None
    legs: tuple[LegColumns, ...] | None = None
    warnings: tuple[str, ...] = ()

    @property
    def queries(self) -> Int64:
        """The query of each hit, by its number."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    @property
    def places(self) -> Int64:
        """The place of each hit among those of its query, from 0."""
        return np.arange(len(self.rows)) - np.repeat(np.cumsum(self.counts) - self.counts, self.counts)

    def take(self, at: Int64, counts: Int64) -> Ranked:
        """The hits at positions ``at``, of which each query has so many as ``counts`` says."""
        return Ranked(
            counts,
            self.rows[at],
            self.segments[at],
            self.ordinals[at],
            self.scores[at],
            None if self.distances is None else self.distances[at],
            None if self.legs is None else tuple(LegColumns(leg.ranks[at], leg.scores[at]) for leg in self.legs),
            self.warnings,
        )

    def keep(self, keep: Flags) -> Ranked:
        """Those of ``keep``, bool by entry."""
        kept = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(keep, dtype=np.int64)])
        ends = np.cumsum(self.counts)
        return self.take(np.flatnonzero(keep), kept[ends] - kept[ends - self.counts])

    def window(self, start: int, stop: int) -> Ranked:
        """Of each query the hits from place ``start`` up to ``stop``."""
        if start == 0 and (not len(self.counts) or int(self.counts.max()) <= stop):
            return self
        places = self.places
        return self.keep((places >= start) & (places < stop))

    def at_least(self, min_score: float | None) -> Ranked:
        """Those with a score of at least ``min_score``; None: all."""
        return self if min_score is None else self.keep(self.scores.astype(np.float64) >= min_score)

    def without(self, rows: Sequence[UInt64]) -> Ranked:
        """Of each query what is not among its ``rows``."""
        ends = np.cumsum(self.counts).tolist()
        keep = np.ones(len(self.rows), dtype=np.bool_)
        for gone, end, count in zip(rows, ends, self.counts.tolist(), strict=True):
            keep[end - count : end] = ~np.isin(self.rows[end - count : end], gone)
        return self.keep(keep)

    def each(self) -> list[Ranked]:
        """The hits of each query by themselves."""
        ends = np.cumsum(self.counts).tolist()
        runs = zip(ends, self.counts.tolist(), strict=True)
        return [self.take(np.arange(end - count, end), np.array([count])) for end, count in runs]

    def sorted(self, view: View, need: int | None = None) -> Ranked:
        """The same in order, score, then id bytes; of each query the first ``need`` (None: all)."""
        at = by_score_and_id(view, self.segments, self.ordinals, self.scores, self.queries, need)
        ranked = self.take(at, self.counts)
        return ranked if need is None else ranked.window(0, need)


_NONE = np.zeros(0, dtype=np.int64)
NOTHING = Ranked(_NONE, _NONE.astype(np.uint64), _NONE, _NONE, _NONE.astype(np.float32), None)
"""The answer to no queries."""


def in_order(found: Sequence[Ranked], queries: Sequence[int]) -> Ranked:
    """The hits of ``found`` one after another, whose queries are numbered ``queries``, by these."""
    if not found:
        return NOTHING
    counts = np.concatenate([ranked.counts for ranked in found])
    starts = np.cumsum(counts) - counts
    order = np.argsort(queries)
    counts, starts = counts[order], starts[order]
    at = np.repeat(starts - (np.cumsum(counts) - counts), counts) + np.arange(int(counts.sum()))
    return end_to_end(found).take(at, counts)


def end_to_end(found: Sequence[Ranked]) -> Ranked:
    """The queries of ``found``, all alike in what their hits have, one after another."""
    if len(found) < 2:
        return found[0] if found else NOTHING

    def column(name: str) -> Any:
        return np.concatenate([getattr(ranked, name) for ranked in found])

    distances = None if any(ranked.distances is None for ranked in found) else column("distances")
    by_query = [ranked.legs for ranked in found if ranked.legs is not None]
    legs = [
        LegColumns(np.concatenate([leg.ranks for leg in each]), np.concatenate([leg.scores for leg in each]))
        for each in zip(*by_query, strict=True)
    ]
    warnings = tuple(dict.fromkeys(warning for ranked in found for warning in ranked.warnings))
    return Ranked(
        column("counts"),
        column("rows"),
        column("segments"),
        column("ordinals"),
        column("scores"),
        distances,
        tuple(legs) if by_query else None,
        warnings,
    )


def by_segment(segments: Int64) -> Iterator[tuple[int, Any]]:
    """(segment index, where it stands in ``segments``) for each that does; much quicker than np.unique for a few."""
    found = set(segments.tolist())
    if len(found) == 1:
        yield found.pop(), slice(None)
        return
    for index in sorted(found):
        yield index, np.flatnonzero(segments == index)


def owners(
    lookup: Lookup, view: View, key: int, part_segments: Int64, part_ordinals: Int64
) -> tuple[UInt64, Int64, Int64]:
    """The bodies that slots of the part ``key`` belong to: rows, segment indexes, ordinals (-1: none in this view)."""
    rows = np.empty(len(part_segments), dtype=np.uint64)
    segments, ordinals = part_segments, part_ordinals
    for index, where in by_segment(part_segments):
        part = view.segments[index].parts[key]
        if part.same_rows and part.owners is None:
            rows[where] = part.slots[part_ordinals[where]]
            continue
        if segments is part_segments:
            segments, ordinals = part_segments.copy(), part_ordinals.copy()
        owning = owner_rows(lookup, view, part, part_ordinals[where])
        segments[where], ordinals[where] = view.locate(owning)
        rows[where] = owning
    return rows, segments, ordinals


def ids_of(view: View, segments: Int64, ordinals: Int64) -> list[str]:
    """The ids of bodies at (segment index, ordinal)."""
    out = [""] * len(segments)
    for index, where in by_segment(segments):
        some = view.segments[index].ids.take(ordinals[where])
        if isinstance(where, slice):
            out[where] = some
            continue
        for i, point_id in zip(where.tolist(), some, strict=True):
            out[i] = point_id
    return out


def first_and_ties(scores: Float32, need: int) -> Int64:
    """Where the ``need`` (> 0) highest scores stand, and those equal to the last of them; in order of place."""
    if len(scores) <= need:
        return np.arange(len(scores))
    return np.flatnonzero(scores >= np.partition(scores, len(scores) - need)[len(scores) - need])


def by_score_and_id(
    view: View,
    segments: Int64,
    ordinals: Int64,
    scores: Float32,
    queries: Int64 | None = None,
    need: int | None = None,
) -> Int64:
    """The order of hits, given as bodies: query (ascending; None: all of one), score, then id bytes.

    The order of code points is that of UTF-8 bytes. Only ids of equal scores are read, and where ``need`` is given,
    only of those that may be among the first ``need`` of their query: it is these that stand in order.
    """
    if queries is None:
        queries = np.zeros(len(scores), dtype=np.int64)
    order = np.lexsort((-scores, queries))
    falling = scores[order]
    tied = (np.diff(falling) == 0) & (np.diff(queries) == 0)
    if need is not None and tied.any():
        start, end = (np.searchsorted(queries, queries, side=side) for side in ("left", "right"))
        tied &= (falling >= falling[np.minimum(start + need, end) - 1])[1:]
    where = np.flatnonzero(np.append(tied, False) | np.append(False, tied))
    if len(where):
        some = order[where]
        ids, values, of = ids_of(view, segments[some], ordinals[some]), scores[some].tolist(), queries[some].tolist()
        order[where] = some[sorted(range(len(ids)), key=lambda i: (of[i], -values[i], ids[i]))]
    return order
