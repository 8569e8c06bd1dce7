"""From what columns know to what matches: two masks, joined as the filter joins its conditions.

Three values of logic as two masks: surely true, and possibly true. A negation swaps and complements them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import numpy as np

from vecdb.index.columns.contract import Bounds, Entries, UInt64
from vecdb.index.columns.flatten import UInt32, fits
from vecdb.index.columns.limits import MAX_STEPS
from vecdb.index.columns.selector import Members, Selector, selector_of
from vecdb.index.columns.values import no_values
from vecdb.index.contract import Mask
from vecdb.model.filter import And, Comparator, Compare, Exists, Filter, HasVector, In, Not, Or, Path, Prefix, Text

Condition = Compare | In | Exists | Prefix | Text | HasVector
AtPath = Compare | In | Exists | Prefix

_COMPARED: dict[Comparator, Callable[[UInt64, np.uint64], Any]] = {
    Comparator.EQ: np.equal,
    Comparator.GT: np.greater,
    Comparator.GTE: np.greater_equal,
    Comparator.LT: np.less,
    Comparator.LTE: np.less_equal,
}

Rows = Literal["present", "arrays", "long", "unknown"]
"""Bodies that hold anything at a path, an array there, a string that is left out; whose values are not all known."""


class PathColumn(Protocol):
    """What is known of one path of a segment. Masks are fresh."""

    limit: int
    """Strings of more bytes may be left out."""

    def picked(self, selector: Selector) -> Mask:
        """Bodies with an entry that is picked."""

    def rows(self, which: Rows) -> Mask | None:
        """Bodies of that kind; None when there are none."""


def joined(filter: Filter, judge: Callable[[Condition], Bounds], n: int) -> Bounds:
    """The bounds of a filter over ``n`` bodies, given those of its conditions."""
    match filter:
        case And():
            return _all(filter.parts, judge, n, np.logical_and, True)
        case Or():
            return _all(filter.parts, judge, n, np.logical_or, False)
        case Not():
            surely, possibly = joined(filter.part, judge, n)
            if surely is possibly:
                return exactly(~surely)
            return ~possibly, ~surely
        case _:
            return judge(filter)


def exactly(mask: Mask) -> Bounds:
    """Bounds without doubt."""
    return mask, mask


def nothing(n: int) -> Bounds:
    """No body matches."""
    return exactly(np.zeros(n, dtype=np.bool_))


def at_path(column: PathColumn | None, spilled: Mask | None, condition: AtPath, path: Path, n: int) -> Bounds:
    """The bounds of a condition on a path; ``column`` is that of its first ``MAX_STEPS`` keys, None without one.

    ``spilled``: bodies with paths that have no column; None without any.
    """
    if not path:  # the payload itself
        return np.zeros(n, dtype=np.bool_), np.ones(n, dtype=np.bool_)
    if column is None:
        return nothing(n) if spilled is None else (np.zeros(n, dtype=np.bool_), spilled)
    unknown = column.rows("unknown")
    if len(path) > MAX_STEPS:
        return _between(np.zeros(n, dtype=np.bool_), column.rows("present"), unknown)
    if isinstance(condition, Exists):
        present = column.rows("present")
        return _between(np.zeros(n, dtype=np.bool_) if present is None else present, unknown)
    if isinstance(condition, Compare) and isinstance(condition.value, tuple):
        return _between(np.zeros(n, dtype=np.bool_), _whole_arrays(column, condition.value), unknown)
    selector = selector_of(condition)
    long = column.rows("long") if selector.reaches_long(column.limit) else None
    return _between(column.picked(selector), long, unknown)


def no_entries(path: Path, spilled: UInt32, n: int) -> Entries:
    """The entries at a path without a column; of ``n`` bodies the ``spilled`` may have some."""
    nobody = np.zeros(0, dtype=np.int64)
    unknown = np.arange(n) if not path or len(path) > MAX_STEPS else spilled.astype(np.int64)
    return Entries(nobody, nobody, no_values(), unknown)


def of_version(condition: Compare | In, seqs: UInt64) -> Mask:
    """Bodies whose version, ``seqs`` (uint64 ``[n]``), meets a condition."""
    if isinstance(condition, In):
        return np.isin(seqs, np.array([v for v in condition.values if _is_version(v)], dtype=np.uint64))
    value = condition.value
    assert isinstance(value, int)
    below = condition.comparator in (Comparator.LT, Comparator.LTE)
    if value < 0:
        return np.full(len(seqs), not below and condition.comparator is not Comparator.EQ)
    return np.asarray(_COMPARED[condition.comparator](seqs, np.uint64(value)))


def _is_version(value: object) -> bool:
    return isinstance(value, int) and value >= 0


def _between(surely: Mask, *doubtful: Mask | None) -> Bounds:
    """Bounds from what is sure and what may match beside it."""
    possibly = surely
    for mask in doubtful:
        if mask is not None:
            possibly = possibly | mask
    return surely, possibly


def _whole_arrays(column: PathColumn, value: tuple[Any, ...]) -> Mask | None:
    """Bodies with an array that has each scalar of ``value``."""
    arrays = column.rows("arrays")
    for element in value:
        if arrays is not None and _in_columns(element, column.limit):
            arrays &= column.picked(Members((element,)))
    return arrays if arrays is not None and arrays.any() else None


def _in_columns(value: object, limit: int) -> bool:
    """Whether a value that is somewhere certainly has an entry there."""
    if isinstance(value, str):
        return fits(value, limit)
    if isinstance(value, bool) or value is None:
        return True
    return -(2**63) <= value < 2**64 if isinstance(value, int) else isinstance(value, float) and math.isfinite(value)


def _all(
    parts: Sequence[Filter],
    judge: Callable[[Condition], Bounds],
    n: int,
    join: Callable[[Mask, Mask], Mask],
    empty: bool,
) -> Bounds:
    if not parts:
        return exactly(np.full(n, empty))
    surely, possibly = joined(parts[0], judge, n)
    for part in parts[1:]:
        more_surely, more_possibly = joined(part, judge, n)
        exact = surely is possibly and more_surely is more_possibly
        possibly = join(possibly, more_possibly)
        surely = possibly if exact else join(surely, more_surely)
    return surely, possibly
