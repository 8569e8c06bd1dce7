"""A search: legs, a fusion, and what the answer should carry. All of it columns over q queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb.errors import InvalidArgument
from vecdb.model.filter import Filter
from vecdb.model.point import Float32, Points, Select

MAX_WINDOW = 10_000  # offset + limit
MAX_EF = 10_000
MAX_LEGS = 16
DEFAULT_RRF_K = 60


@dataclass(frozen=True, slots=True)
class Near:
    """A leg: nearest neighbours of ``vectors``, float32 ``[q, dim]``, one row for each query.

    ``using`` names the vector field; ``weight`` > 0 and ``depth`` (hits this leg gives the fusion,
    None: chosen) matter when there are several legs; ``filter`` narrows this leg alone.
    """

    vectors: Float32
    using: str = ""
    weight: float = 1.0
    depth: int | None = None
    filter: Filter | None = None
    model: str | None = None


Leg = Near


@dataclass(frozen=True, slots=True)
class Rrf:
    """Weighted reciprocal rank fusion (Cormack, Clarke and Buettcher 2009): sum of w / (k + rank).

    The sum is divided by its maximum, so a fused score is in (0, 1].
    """

    k: int = DEFAULT_RRF_K


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One search of q queries: every leg holds q rows, and the answer q runs of hits.

    ``ef`` None takes the default; ``exact`` scans instead of walking the graph; ``min_score`` keeps
    only hits whose score (of the leg, or fused) is at least that. offset + limit <= 10,000.
    """

    legs: Sequence[Leg]
    fusion: Rrf = Rrf()
    filter: Filter | None = None
    limit: int = 10
    offset: int = 0
    ef: int | None = None
    exact: bool = False
    min_score: float | None = None
    select: Select = Select()
    explain: bool = False

    @property
    def queries(self) -> int:
        """How many queries this request holds."""
        return len(self.legs[0].vectors) if self.legs else 0

    def validate(self) -> None:
        """Check everything that needs no schema. Raises InvalidArgument."""
        if not 1 <= len(self.legs) <= MAX_LEGS:
            raise InvalidArgument(
                "wrong number of legs", field="legs", expected=f"1..{MAX_LEGS}", received=str(len(self.legs))
            )
        if self.limit < 1:
            raise InvalidArgument("limit is too small", field="limit", expected=">= 1", received=str(self.limit))
        if self.offset < 0:
            raise InvalidArgument("offset is negative", field="offset", expected=">= 0", received=str(self.offset))
        if self.offset + self.limit > MAX_WINDOW:
            raise InvalidArgument(
                "the window is too deep; page with scroll instead",
                field="limit",
                expected=f"offset + limit <= {MAX_WINDOW}",
                received=str(self.offset + self.limit),
            )
        if self.ef is not None and not 1 <= self.ef <= MAX_EF:
            raise InvalidArgument("ef out of range", field="ef", expected=f"1..{MAX_EF}", received=str(self.ef))
        if self.min_score is not None and not np.isfinite(self.min_score):
            raise InvalidArgument(
                "min_score is not finite", field="min_score", expected="a finite number", received=str(self.min_score)
            )
        if self.fusion.k < 1:
            raise InvalidArgument(
                "fusion k is too small", field="fusion.k", expected=">= 1", received=str(self.fusion.k)
            )
        for i, leg in enumerate(self.legs):
            if len(leg.vectors) != self.queries:
                raise InvalidArgument(
                    "legs hold different numbers of queries",
                    field=f"legs[{i}].vectors",
                    expected=str(self.queries),
                    received=str(len(leg.vectors)),
                )
            if not (np.isfinite(leg.weight) and leg.weight > 0):
                raise InvalidArgument(
                    "weight must be positive", field=f"legs[{i}].weight", expected="> 0", received=str(leg.weight)
                )
            if leg.depth is not None and not 1 <= leg.depth <= MAX_WINDOW:
                raise InvalidArgument(
                    "depth out of range", field=f"legs[{i}].depth", expected=f"1..{MAX_WINDOW}", received=str(leg.depth)
                )


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """Hits of q queries, one run after another.

    ``counts`` int64 ``[q]``; every other column has ``counts.sum()`` entries, best first within a
    query. ``distances`` is None for a fused search. ``points`` holds ids, versions and what was selected.
    """

    counts: NDArray[np.int64]
    scores: Float32
    distances: Float32 | None
    points: Points
    seq: int
    took_ms: float
    explain: dict[str, Any] | None = None
    warnings: list[str] = field(default_factory=list)
