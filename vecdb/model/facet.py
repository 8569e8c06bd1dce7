"""Facets: which values points have, and how many have each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from vecdb.errors import InvalidArgument
from vecdb.model.filter import Attribute, Key, Scalar
from vecdb.model.table import table

DEFAULT_VALUES = 100
MAX_VALUES = 10_000


@dataclass(frozen=True, slots=True)
class FacetValue:
    """A value, and how many points have it; in an array it counts once."""

    value: Scalar
    count: int


@dataclass(frozen=True, slots=True, repr=False)
class Facet:
    """The values of the points that match, those of most points first; it prints as a table.

    1, 1.0, "1" and true are four values. ``distinct``: how many values there are, also those that ``values`` leaves
    out. ``present`` and ``missing``: points with a value, and without. ``min`` and ``max``: the least and greatest
    number; where there is none, string; None where there is neither.
    """

    values: Sequence[FacetValue]
    distinct: int
    present: int
    missing: int
    min: Scalar = None
    max: Scalar = None

    def __repr__(self) -> str:
        columns = {
            "value": [orjson.dumps(held.value).decode() for held in self.values],
            "count": [str(held.count) for held in self.values],
        }
        lines = [table(columns)] if self.values else []
        hidden = self.distinct - len(self.values)
        if hidden:
            lines.append(f"... and {hidden} more")
        lines.append(f"{self.distinct} values, {self.present} points with one, {self.missing} without")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class FacetRequest:
    """Which values to count: at a path of the payload; ``limit`` of them, 1..10,000. Raises InvalidArgument."""

    key: Key
    limit: int = DEFAULT_VALUES

    def __post_init__(self) -> None:
        if isinstance(self.key, Attribute):
            raise InvalidArgument(
                "every point has its own", field="key", expected="a path of the payload", received=self.key.value
            )
        if not 1 <= self.limit <= MAX_VALUES:
            raise InvalidArgument(
                "limit out of range", field="limit", expected=f"1..{MAX_VALUES}", received=str(self.limit)
            )

    @property
    def path(self) -> tuple[str, ...]:
        """The key."""
        assert isinstance(self.key, tuple)
        return self.key
