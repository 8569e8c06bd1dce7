"""Points in the order of a value, a page at a time, at a view.

Each segment's bodies are kept in that order (``values.Order``), so a page begins with a search for the place where
the page before ended, and reads on from there: of each segment its few best, then the best of those.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vecdb.engine.lookup import Lookup
from vecdb.engine.matcher import Matcher
from vecdb.engine.prepare import FieldIds
from vecdb.engine.values import Order, Values
from vecdb.engine.view import View
from vecdb.index.contract import Mask
from vecdb.model.context import CallContext
from vecdb.model.filter import Filter
from vecdb.model.order import OrderBy, Place, place_of, rank
from vecdb.model.point import Int64, Points, Select

READ_PLACES = 4096


@dataclass(frozen=True, slots=True)
class OrderedPoints:
    """A page of points in the order ``by``, their ``places``, and whether none come after them."""

    by: OrderBy
    points: Points
    places: list[Place]
    end: bool

    def cursor(self, count: int) -> bytes:
        """The cursor of the page after the first ``count`` points; empty for none."""
        return self.places[count - 1].cursor(self.by) if count else b""


class Ordering:
    """Walks over one collection by value. Any thread may use it."""

    def __init__(self, lookup: Lookup, matcher: Matcher, values: Values, fields: FieldIds) -> None:
        self._lookup = lookup
        self._matcher = matcher
        self._values = values
        self._fields = fields

    def page(
        self,
        context: CallContext,
        view: View,
        by: OrderBy,
        cursor: bytes,
        limit: int,
        select: Select,
        filter: Filter | None,
    ) -> OrderedPoints:
        """Up to ``limit`` points that pass ``filter``, after ``cursor`` (empty: from the first).

        Fewer where more would take over 8 MiB. Raises InvalidArgument for a cursor of another order.
        """
        after = place_of(cursor, by) if cursor else None
        masks = self._matcher.bodies(context, view, filter)
        found: list[tuple[Place, int]] = []
        for segment, mask in zip(view.segments, masks, strict=True):
            context.check("ordering a segment")
            if len(segment):
                order = self._values.order(segment, by)
                at = _next(order, mask, after, limit + 1)
                found += zip(order.places(at), segment.rows[order.ordinals[at]].tolist(), strict=True)
        found.sort(key=lambda each: each[0].id)  # sorting is stable, also when reversed
        with_value = sorted((e for e in found if e[0].present), key=lambda e: rank(e[0].value), reverse=by.descending)
        ranked = [*with_value, *(each for each in found if not each[0].present)]
        context.check("reading a page")
        points = self._lookup.first_points([row for _, row in ranked[:limit]], select, self._fields)
        return OrderedPoints(by, points, [place for place, _ in ranked[: len(points)]], len(points) == len(ranked))


def _next(order: Order, mask: Mask | None, after: Place | None, count: int) -> Int64:
    """Positions in ``order`` of the first ``count`` allowed bodies after a place."""
    start = 0 if after is None else order.after(after)
    if mask is None:
        return np.arange(start, min(start + count, len(order.ordinals)))
    found: list[Int64] = [np.zeros(0, dtype=np.int64)]
    missing, width = count, max(count, READ_PLACES)
    while missing > 0 and start < len(order.ordinals):
        allowed = start + np.flatnonzero(mask[order.ordinals[start : start + width]])[:missing]
        found.append(allowed)
        missing -= len(allowed)
        start += width
        width *= 2
    return np.concatenate(found)
