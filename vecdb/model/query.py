"""A search: legs, a fusion, and what the answer should carry. All of it columns over q queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb.errors import InvalidArgument
from vecdb.model import fusion as fusions
from vecdb.model.filter import Attribute, Filter, Key, Scalar
from vecdb.model.fusion import Fusion, Rrf
from vecdb.model.highlight import Highlight, Snippet
from vecdb.model.keyword import Keyword
from vecdb.model.modifier import MAX_MODIFIERS, Mmr, Modifier
from vecdb.model.point import Float32, Points, Select
from vecdb.model.sparse import Sparse

MAX_WINDOW = 10_000  # offset + limit
MAX_EF = 10_000
MAX_LEGS = 16
MAX_EXAMPLES = 1_000  # of one query
MAX_GROUP_SIZE = 100
DEFAULT_GROUP_SIZE = 3


@dataclass(frozen=True, slots=True)
class Examples:
    """Points to be near to, at least one, and to be far from, by id.

    The vector searched for is the mean of the positive ones; with negative ones twice that mean less theirs. Under
    cosine all are normalized first.
    """

    positive: Sequence[str]
    negative: Sequence[str] = ()


NO_VECTORS = np.zeros((0, 0), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Near:
    """A leg: nearest neighbours of ``vectors``, float32 ``[q, dim]``, one row for each query.

    ``examples``, one entry for each query, stand in their place: the engine reads the vectors, and leaves the examples
    out of the hits. ``using`` names the vector field, None: the collection's default. ``weight`` > 0 and ``depth``
    (hits this leg gives the fusion, None: chosen) matter when there are several legs; ``filter`` narrows this alone.
    """

    vectors: Float32
    using: str | None = None
    weight: float = 1.0
    depth: int | None = None
    filter: Filter | None = None
    model: str | None = None
    examples: Sequence[Examples] | None = None

    @property
    def queries(self) -> int:
        """How many queries this leg holds."""
        return len(self.vectors if self.examples is None else self.examples)

    def cut(self, start: int, stop: int) -> Near:
        """The queries from ``start`` up to ``stop``."""
        if self.examples is not None:
            return replace(self, examples=self.examples[start:stop])
        return replace(self, vectors=self.vectors[start:stop])

    def take(self, queries: Sequence[int]) -> Near:
        """Some of the queries, whose examples were read."""
        return replace(self, vectors=self.vectors[queries])


Leg = Near | Keyword | Sparse


@dataclass(frozen=True, slots=True)
class GroupBy:
    """Gather hits by the value at ``key`` (a path), ``size`` (1..100) of each group.

    Values are equal as in filters: 1 and 1.0 are one group, 1 and true two. A point without a value is in no group, one
    with an array in that of each element.
    """

    key: Key
    size: int = DEFAULT_GROUP_SIZE

    def validate(self) -> None:
        """Raise InvalidArgument for what cannot be grouped by."""
        if isinstance(self.key, Attribute):
            raise InvalidArgument(
                "every point has its own",
                field="group_by.key",
                expected="a path of the payload",
                received=self.key.value,
            )
        if not 1 <= self.size <= MAX_GROUP_SIZE:
            raise InvalidArgument(
                "group size out of range",
                field="group_by.size",
                expected=f"1..{MAX_GROUP_SIZE}",
                received=str(self.size),
            )


@dataclass(frozen=True, slots=True)
class GroupCounts:
    """The groups of one query, best first: their ``values``, and how many ``hits`` each has, int64 ``[groups]``."""

    values: Sequence[Scalar]
    hits: Sequence[int]


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One search of q queries: every leg holds q rows, and the answer q runs of hits.

    ``filter`` narrows all legs of every query, ``query_filters`` (one for each query, None: nothing) each query alone.
    ``ef`` None takes the default; ``target_recall`` (above 0, up to 1) instead of it lets each graph be walked as
    widely as was measured to be enough; ``exact`` scans instead of walking the graph; ``min_score`` keeps only hits
    whose score (of the leg, or fused) is at least that. offset + limit <= 10,000. With ``group_by``
    ``limit`` is the number of groups, and ``offset`` must be 0. ``modifiers`` change the scores that were found, in
    order; ``mmr`` then chooses hits that differ, and not together with groups; ``highlight`` tells where words stand.
    """

    legs: Sequence[Leg]
    fusion: Fusion = Rrf()
    filter: Filter | None = None
    limit: int = 10
    offset: int = 0
    ef: int | None = None
    exact: bool = False
    min_score: float | None = None
    select: Select = Select()
    explain: bool = False
    query_filters: Sequence[Filter | None] | None = None
    group_by: GroupBy | None = None
    highlight: Highlight | None = None
    modifiers: Sequence[Modifier] = ()
    mmr: Mmr | None = None
    target_recall: float | None = None

    @property
    def queries(self) -> int:
        """How many queries this request holds."""
        return self.legs[0].queries if self.legs else 0

    @property
    def most_hits(self) -> int:
        """How many hits a query can have."""
        return self.limit * (1 if self.group_by is None else self.group_by.size)

    def cut(self, start: int, stop: int) -> SearchRequest:
        """The queries from ``start`` up to ``stop``."""
        filters = None if self.query_filters is None else self.query_filters[start:stop]
        return replace(self, legs=[leg.cut(start, stop) for leg in self.legs], query_filters=filters)

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
        if self.target_recall is not None:
            if not 0 < self.target_recall <= 1:
                raise InvalidArgument(
                    "target_recall out of range",
                    field="target_recall",
                    expected="above 0, up to 1",
                    received=str(self.target_recall),
                )
            if self.ef is not None:
                raise InvalidArgument(
                    "say how widely to search, or how well",
                    field="target_recall",
                    expected="ef or target_recall",
                    received="both",
                )
        if self.min_score is not None and not np.isfinite(self.min_score):
            raise InvalidArgument(
                "min_score is not finite", field="min_score", expected="a finite number", received=str(self.min_score)
            )
        fusions.validate(self.fusion)
        if self.query_filters is not None and len(self.query_filters) != self.queries:
            raise InvalidArgument(
                "not one filter for each query",
                field="query_filters",
                expected=str(self.queries),
                received=str(len(self.query_filters)),
            )
        if self.highlight is not None:
            self.highlight.validate()
        if len(self.modifiers) > MAX_MODIFIERS:
            raise InvalidArgument(
                "too many modifiers",
                field="modifiers",
                expected=f"<= {MAX_MODIFIERS}",
                received=str(len(self.modifiers)),
            )
        for i, modifier in enumerate(self.modifiers):
            modifier.validate(f"modifiers[{i}]")
        if self.mmr is not None:
            self.mmr.validate()
            if self.group_by is not None:
                raise InvalidArgument(
                    "hits are in groups or made to differ", field="mmr", expected="mmr or group_by", received="both"
                )
        if self.group_by is not None:
            self.group_by.validate()
            if self.most_hits > MAX_WINDOW:
                raise InvalidArgument(
                    "too many hits in groups",
                    field="group_by.size",
                    expected=f"limit * size <= {MAX_WINDOW}",
                    received=str(self.most_hits),
                )
            if self.offset:
                raise InvalidArgument(
                    "groups cannot be skipped", field="offset", expected="0 with group_by", received=str(self.offset)
                )
        for i, leg in enumerate(self.legs):
            if leg.queries != self.queries:
                raise InvalidArgument(
                    "legs hold different numbers of queries",
                    field=f"legs[{i}]",
                    expected=str(self.queries),
                    received=str(leg.queries),
                )
            if isinstance(leg, Keyword):
                leg.validate(f"legs[{i}].keyword")
            elif isinstance(leg, Near):
                for j, examples in enumerate(leg.examples or ()):
                    _check_examples(examples, f"legs[{i}].near.examples.queries[{j}]")
            if not (np.isfinite(leg.weight) and leg.weight > 0):
                raise InvalidArgument(
                    "weight must be positive", field=f"legs[{i}].weight", expected="> 0", received=str(leg.weight)
                )
            if leg.depth is not None and not 1 <= leg.depth <= MAX_WINDOW:
                raise InvalidArgument(
                    "depth out of range", field=f"legs[{i}].depth", expected=f"1..{MAX_WINDOW}", received=str(leg.depth)
                )


@dataclass(frozen=True, slots=True)
class LegColumns:
    """By hit: its rank in one leg uint32 ``[n]``, from 1 (0: not among what the leg gave), and its score there, NaN."""

    ranks: NDArray[np.uint32]
    scores: Float32

    def cut(self, start: int, stop: int) -> LegColumns:
        """The hits from ``start`` up to ``stop``."""
        return LegColumns(self.ranks[start:stop], self.scores[start:stop])

    def at(self, positions: NDArray[np.int64]) -> LegColumns:
        """The hits at ``positions``, in that order."""
        return LegColumns(self.ranks[positions], self.scores[positions])


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """Hits of q queries, one run after another.

    ``counts`` int64 ``[q]``; every other column has ``counts.sum()`` entries, best first within a
    query. ``distances`` is None for a fused search. ``points`` holds ids, versions and what was selected. ``groups``,
    by query: the hits are then those of one group after another. ``legs``: with several, what each says of the hits.
    ``snippets``, by hit: where a highlight was asked for.
    """

    counts: NDArray[np.int64]
    scores: Float32
    distances: Float32 | None
    points: Points
    seq: int
    took_ms: float
    explain: dict[str, Any] | None = None
    warnings: list[str] = field(default_factory=list)
    groups: Sequence[GroupCounts] | None = None
    legs: Sequence[LegColumns] | None = None
    snippets: Sequence[Sequence[Snippet]] | None = None


def _check_examples(examples: Examples, path: str) -> None:
    if not examples.positive:
        raise InvalidArgument("no example to be near to", field=f"{path}.positive", expected=">= 1 id", received="none")
    named = len(examples.positive) + len(examples.negative)
    if named > MAX_EXAMPLES:
        raise InvalidArgument("too many examples", field=path, expected=f"<= {MAX_EXAMPLES} ids", received=str(named))
