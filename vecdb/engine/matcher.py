"""Which rows of a segment pass a filter: from its columns, and from the bodies of the rows that columns leave open.

A mask says nothing about deaths, so that of a segment that takes no more rows stays true for as long as the segment
is there, and may be kept. Masks of single conditions are kept (the parts of the outermost ``$and``): a scope or a
tenant is the same in query after query, while the rest of a filter seldom is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vecdb.engine.judge import judge
from vecdb.engine.kept import Kept
from vecdb.engine.lookup import Lookup
from vecdb.engine.prepare import FieldIds
from vecdb.engine.segment import Segment
from vecdb.engine.view import View
from vecdb.index.contract import Mask
from vecdb.model.context import CallContext
from vecdb.model.filter import And, Comparator, Compare, Filter, Key, to_dict
from vecdb.model.point import Int64

READ_ROWS = 1024


@dataclass(slots=True)
class Verified:
    """What makes a filter slow: the conditions that columns left open, and how many bodies were read for them."""

    rows: int = 0
    conditions: list[Filter] = field(default_factory=list)

    def add(self, conditions: Sequence[Filter], rows: int) -> None:
        """Note that ``rows`` bodies were read to judge ``conditions``."""
        self.rows += rows
        self.conditions += [c for c in conditions if rows and c not in self.conditions]

    def told(self) -> dict[str, Any]:
        """The same, as an explained search says it."""
        if not self.rows:
            return {"read_from_rows": 0}
        return {"read_from_rows": self.rows, "not_in_columns": [to_dict(condition) for condition in self.conditions]}


class Matcher:
    """The masks of one collection, by segment and filter. Any thread may use it."""

    def __init__(self, lookup: Lookup, fields: FieldIds, kept: Kept) -> None:
        self._lookup = lookup
        self._fields = fields
        self._kept = kept
        self._owner = kept.owner()

    def forget(self, segments: Collection[int]) -> None:
        """Let go of what was kept of segments, by their numbers, that are gone."""
        self._kept.forget(self._owner, segments)

    def bodies(
        self,
        context: CallContext,
        view: View,
        filter: Filter | None,
        verified: Verified | None = None,
        within: Sequence[Mask] | None = None,
    ) -> list[Mask | None]:
        """By segment, the bodies that live at ``view``, pass, and lie ``within`` (None: all); None where all do.

        Raises DeadlineExceeded.
        """
        out: list[Mask | None] = []
        for segment in view.segments:
            living = view.living(segment)
            if filter is None:
                out.append(living)
                continue
            passing = self.passing(context, segment, filter, verified)
            out.append(passing if living is None else passing & living)
        if within is None:
            return out
        return [inside if mask is None else mask & inside for mask, inside in zip(out, within, strict=True)]

    def count(self, context: CallContext, view: View, filter: Filter | None) -> int:
        """How many living points pass."""
        if filter is None and not view.expiring:
            return view.live
        masks = self.bodies(context, view, filter)
        return sum(
            len(segment) if mask is None else int(np.count_nonzero(mask))
            for segment, mask in zip(view.segments, masks, strict=True)
        )

    def passing(self, context: CallContext, segment: Segment, filter: Filter, verified: Verified | None = None) -> Mask:
        """Bool by ordinal: does the body pass, dead or alive; not to be written to. Raises DeadlineExceeded."""
        n = len(segment)
        known: Mask | None = self._kept.get(self._owner, segment.number, filter)
        if known is not None and len(known) >= n:
            return known[:n]
        possibly: Mask | None = None
        surely: Mask | None = None
        left: list[Filter] = []  # conditions that columns do not answer whole
        for condition in _conditions(filter):
            sure, possible = self._bounds(segment, condition)
            possibly = possible if possibly is None else possibly & possible
            if sure is not possible:
                surely = sure if surely is None else surely & sure
                left.append(condition)
        if possibly is None:
            return np.ones(n, dtype=np.bool_)
        if surely is None:
            return possibly
        possibly, surely = possibly.copy(), surely.copy()  # masks of conditions may be kept
        if known is not None:  # the rows of a growing segment that were judged before
            possibly[: len(known)] = known
            surely[: len(known)] = True
        where = np.flatnonzero(possibly & ~surely)
        possibly[where] = self._judged(context, segment, left[0] if len(left) == 1 else And(tuple(left)), where)
        if verified is not None:
            verified.add(left, len(where))
        self._kept.put(possibly.nbytes, possibly, self._owner, segment.number, filter)
        return possibly

    def _bounds(self, segment: Segment, condition: Filter) -> tuple[Mask, Mask]:
        """(surely, possibly); one and the same object where columns answer it whole."""
        n = len(segment)
        if segment.columns is None:
            return np.zeros(n, dtype=np.bool_), np.ones(n, dtype=np.bool_)
        known: Mask | None = self._kept.get(self._owner, segment.number, condition)
        if known is not None and len(known) == n:
            return known, known
        sure, possible = segment.columns.bounds(condition, self._fields.vectors)
        if sure is possible and segment.state != "growing":
            self._kept.put(sure.nbytes, sure, self._owner, segment.number, condition)
        return sure, possible

    def _judged(self, context: CallContext, segment: Segment, filter: Filter, where: Int64) -> Mask:
        """Judge bodies by reading them; one that is gone is dead to every view, and does not pass."""
        out = np.zeros(len(where), dtype=np.bool_)
        for start in range(0, len(where), READ_ROWS):
            context.check("filtering")
            rows = segment.rows[where[start : start + READ_ROWS]].tolist()
            raw = self._lookup.raw_bodies(rows)
            out[start : start + len(rows)] = [judge(filter, body, self._fields) for body in raw]
        return out


def _conditions(filter: Filter) -> list[Filter]:
    """The parts of the outermost ``And``, nested ones taken apart; bounds of one value stay together: an interval."""
    out: list[Filter] = []
    intervals: dict[Key, list[Filter]] = {}
    for part in _parts(filter):
        if isinstance(part, Compare) and part.comparator is not Comparator.EQ:
            intervals.setdefault(part.key, []).append(part)
        else:
            out.append(part)
    return out + [some[0] if len(some) == 1 else And(tuple(some)) for some in intervals.values()]


def _parts(filter: Filter) -> Iterator[Filter]:
    if isinstance(filter, And):
        for part in filter.parts:
            yield from _parts(part)
    else:
        yield filter
