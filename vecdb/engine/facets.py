"""Count the living points that pass a filter by the values they have, exactly, at a view."""

from __future__ import annotations

from typing import Any

import numpy as np

from vecdb.engine.matcher import Matcher
from vecdb.engine.values import Values
from vecdb.engine.view import View
from vecdb.model.context import CallContext
from vecdb.model.facet import Facet, FacetRequest, FacetValue
from vecdb.model.filter import Filter, Scalar
from vecdb.model.order import rank


class Facets:
    """Counts by value over one collection. Any thread may use it."""

    def __init__(self, matcher: Matcher, values: Values) -> None:
        self._matcher = matcher
        self._values = values

    def count(self, context: CallContext, view: View, request: FacetRequest, filter: Filter | None) -> Facet:
        """The values at a path of the points that pass ``filter``."""
        counts: dict[tuple[type, Any], int] = {}  # 1, 1.0 and True are equal in Python, and three values here
        present = living = 0
        for segment, mask in zip(view.segments, self._matcher.bodies(context, view, filter), strict=True):
            context.check("counting a segment")
            held = self._values.at(segment, request.path)
            living += len(segment) if mask is None else int(np.count_nonzero(mask))
            counted = held.ordinals if mask is None else held.ordinals[mask[held.ordinals]]
            codes = held.codes if mask is None else held.codes[mask[held.ordinals]]
            present += int(np.count_nonzero(np.diff(counted, prepend=-1)))
            by_code = np.bincount(codes, minlength=len(held.values))
            there = np.flatnonzero(by_code)
            for value, count in zip(held.values.take(there), by_code[there].tolist(), strict=True):
                about = (type(value), value)
                counts[about] = counts.get(about, 0) + count
        found = [FacetValue(value, count) for (_, value), count in counts.items()]
        found.sort(key=lambda each: (-each.count, *_exactly(each.value)))
        least, greatest = _bounds([each.value for each in found])
        return Facet(found[: request.limit], len(found), present, living - present, least, greatest)


def _exactly(value: Scalar) -> tuple[Any, ...]:
    """An order of all values: that of ``rank``, then 1 before 1.0."""
    return (*rank(value), isinstance(value, float))


def _bounds(values: list[Scalar]) -> tuple[Scalar, Scalar]:
    """The least and greatest number, else string, else None twice."""
    for kind in (2, 3):
        some = [value for value in values if rank(value)[0] == kind]
        if some:
            return min(some, key=_exactly), max(some, key=_exactly)
    return None, None
