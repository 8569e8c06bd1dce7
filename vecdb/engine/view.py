"""A view: what a reader sees. Immutable, held without a lock for as long as the reader likes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from vecdb.engine.segment import NEVER, Segment, UInt64
from vecdb.index.contract import Mask
from vecdb.model.point import Int64


@dataclass(frozen=True, slots=True)
class TextCounts:
    """How many texts of a field live, and how many terms they have together."""

    texts: int
    terms: int


@dataclass(frozen=True, slots=True, weakref_slot=True)
class View:
    """A collection at sequence ``seq``: its segments by ascending rows, rows below ``row_bound``.

    ``live`` counts the live points. While a view is referenced, the bodies and files it needs are kept.
    ``texts``: by key of a text field what lives in it; a field is left out while some of its postings are not known.

    A reader looks at one moment, ``now_ms``: what has expired by then it does not see, though ``live`` and ``texts``
    count it.
    The view of the collection itself is of no moment; ``at`` gives one, and holds the other by ``original``.
    """

    seq: int
    row_bound: int
    live: int
    segments: Sequence[Segment]
    starts: UInt64 = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    earliest: int = NEVER
    texts: Mapping[int, TextCounts] = field(default_factory=dict)
    now_ms: int = -1
    original: View | None = None

    @staticmethod
    def of(
        seq: int, row_bound: int, live: int, segments: Sequence[Segment], texts: Mapping[int, TextCounts] | None = None
    ) -> View:
        """A view over ``segments`` (ascending, disjoint row intervals)."""
        starts = np.array([s.first_row for s in segments], dtype=np.uint64)
        earliest = min((s.earliest for s in segments), default=NEVER)
        return View(seq, row_bound, live, segments, starts, earliest, texts or {})

    def at(self, now_ms: int) -> View:
        """The view as it is at a moment (milliseconds since 1970); itself while nothing in it has expired."""
        return self if now_ms < self.earliest else replace(self, now_ms=now_ms, original=self)

    @property
    def expiring(self) -> bool:
        """Whether some of what lives here may have expired."""
        return self.now_ms >= self.earliest

    def living(self, segment: Segment) -> Mask | None:
        """Which bodies of one of the segments are seen; None when all are."""
        alive = segment.alive(self.seq)
        expired = segment.expired(self.now_ms, self.seq) if self.expiring else None
        if expired is None:
            return alive
        return ~expired if alive is None else alive & ~expired

    def seen(self, rows: UInt64) -> Mask:
        """Which of ``rows``, all alive in this view, have not expired."""
        out = np.ones(len(rows), dtype=np.bool_)
        if self.expiring:
            segments, ordinals = self.locate(rows)
            for index in np.unique(segments[segments >= 0]).tolist():
                expires = self.segments[index].expires
                if expires is not None:
                    where = segments == index
                    out[where] = expires[ordinals[where]] > self.now_ms
        return out

    def by_segment(self, rows: UInt64) -> Iterator[tuple[int, Int64]]:
        """(segment index, positions in ``rows``) for each segment whose interval holds some of them."""
        if not len(rows) or not len(self.segments):
            return
        owner = np.searchsorted(self.starts, rows, side="right") - 1
        for index in np.unique(owner):
            if index >= 0:
                yield int(index), np.flatnonzero(owner == index)

    def locate(self, rows: UInt64) -> tuple[Int64, Int64]:
        """Segment index and body ordinal of each row; segment -1 where no segment has it (long dead)."""
        segments = np.full(len(rows), -1, dtype=np.int64)
        ordinals = np.zeros(len(rows), dtype=np.int64)
        for index, where in self.by_segment(rows):
            found_at, found = self.segments[index].find(rows[where])
            segments[where[found]] = index
            ordinals[where[found]] = found_at[found]
        return segments, ordinals

    def alive(self, rows: UInt64) -> Mask:
        """Which of ``rows`` live in this view."""
        out = rows < np.uint64(self.row_bound)
        segments, ordinals = self.locate(rows)
        for i in np.flatnonzero(out):
            index = segments[i]
            out[i] = index >= 0 and self.segments[index].died[ordinals[i]] > np.uint64(self.seq)
        return out
