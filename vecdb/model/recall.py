"""Recall: which share of the true nearest neighbours searches by graph find, as it was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from vecdb.errors import InvalidArgument
from vecdb.model.filter import Filter
from vecdb.model.point import Float32

RECALL_K = 10
"""Recall is kept in statistics at so many hits, those of a search that names no limit."""
MAX_RECALL_K = 100
MAX_RECALL_QUERIES = 100_000


@dataclass(frozen=True, slots=True)
class Recall:
    """Recall@k of searches without a filter, by how widely graphs are walked.

    ``by_ef``: for each ef, ascending, the mean share of the true ``k`` nearest that is found. Measured at
    ``measured_at_ms`` (milliseconds since 1970) by ``queries`` queries, ``stored`` of which were stored vectors, for
    want of others. ``vectors``: how many live vectors, those of graphs, it speaks of.
    """

    k: int
    queries: int
    stored: int
    vectors: int
    measured_at_ms: int
    by_ef: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class RecallRequest:
    """Measure the recall@k of searches with ``ef``, or with ``target_recall``, None: of such as name neither.

    ``vectors``, float32 ``[q, dim]``, are what is searched for; None: ``count`` queries, at random among those asked
    lately, or stored vectors where these are too few. ``skip`` of them were measured before: the same ``seed`` draws
    the same again.
    """

    using: str | None = None
    k: int = RECALL_K
    ef: int | None = None
    target_recall: float | None = None
    filter: Filter | None = None
    vectors: Float32 | None = None
    count: int = 0
    skip: int = 0
    seed: int = 0

    def validate(self) -> None:
        """Check what needs no schema, and no search checks. Raises InvalidArgument."""
        if not 1 <= self.k <= MAX_RECALL_K:
            raise InvalidArgument("k out of range", field="k", expected=f"1..{MAX_RECALL_K}", received=str(self.k))
        if not 0 <= self.count <= MAX_RECALL_QUERIES:
            raise InvalidArgument(
                "too many queries", field="count", expected=f"0..{MAX_RECALL_QUERIES}", received=str(self.count)
            )
        if not 0 <= self.seed < 2**63:
            raise InvalidArgument("seed out of range", field="seed", expected="0..2^63 - 1", received=str(self.seed))
        if not 0 <= self.skip <= MAX_RECALL_QUERIES:
            raise InvalidArgument(
                "out of range", field="skip", expected=f"0..{MAX_RECALL_QUERIES}", received=str(self.skip)
            )


@dataclass(frozen=True, slots=True)
class SegmentRecall:
    """Of one segment: how many true neighbours it holds (``wanted``), and how many of them were ``found``.

    ``ef``: how widely its graph was walked; None where it was scanned, which finds all.
    """

    segment: int
    wanted: int
    found: int
    ef: int | None

    @property
    def recall(self) -> float:
        """The share found; 1 where there was nothing to find."""
        return self.found / self.wanted if self.wanted else 1.0


@dataclass(frozen=True, slots=True)
class MeasuredRecall:
    """What searches found of the true ``k`` nearest of ``queries`` queries, ``stored`` of which were stored vectors.

    A stored vector does not count among its own neighbours. ``took_ms``: all searches, the exact ones too.
    """

    k: int
    queries: int = 0
    stored: int = 0
    segments: Sequence[SegmentRecall] = field(default_factory=tuple)
    took_ms: float = 0.0

    @property
    def recall(self) -> float:
        """The share of the true neighbours that was found; NaN where there were none to find."""
        wanted = sum(segment.wanted for segment in self.segments)
        return sum(segment.found for segment in self.segments) / wanted if wanted else float(np.nan)

    def __add__(self, other: MeasuredRecall) -> MeasuredRecall:
        """Both together."""
        segments = {segment.segment: segment for segment in self.segments}
        for more in other.segments:
            known = segments.get(more.segment)
            if known is not None:
                more = replace(more, wanted=more.wanted + known.wanted, found=more.found + known.found)
            segments[more.segment] = more
        return MeasuredRecall(
            self.k,
            self.queries + other.queries,
            self.stored + other.stored,
            tuple(segments.values()),
            self.took_ms + other.took_ms,
        )
