"""Count the living points that pass a filter by the values they have, exactly, at a view."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

import numpy as np

from vecdb.engine.matcher import Matcher
from vecdb.engine.values import Values
from vecdb.engine.view import View
from vecdb.index.columns.contract import Values as InOrder
from vecdb.model.context import CallContext
from vecdb.model.facet import Facet, FacetRequest, FacetValue
from vecdb.model.filter import Filter, Scalar
from vecdb.model.order import NUMBER, STRING, rank
from vecdb.model.point import Int64


class Facets:
    """Counts by value over one collection. Any thread may use it."""

    def __init__(self, matcher: Matcher, values: Values) -> None:
        self._matcher = matcher
        self._values = values

    def count(self, context: CallContext, view: View, request: FacetRequest, filter: Filter | None) -> Facet:
        """The values at a path of the points that pass ``filter``."""
        parts: list[_Counted] = []
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
            if len(there):
                parts.append(_Counted(held.values, there, by_code[there]))
        if len(parts) == 1:
            distinct, values = len(parts[0].codes), _most(parts[0], request.limit)
        else:
            distinct, values = _merged(parts, request.limit)
        least, greatest = _bounds(parts)
        return Facet(values, distinct, present, living - present, least, greatest)


@dataclass(frozen=True, slots=True)
class _Counted:
    """The values met in a segment: their ``codes`` (ascending) in ``values``, and ``counts``, both int64 ``[n]``."""

    values: InOrder
    codes: Int64
    counts: Int64


def _most(part: _Counted, limit: int) -> list[FacetValue]:
    """The values of most points; of equal counts the first."""
    order = np.argsort(-part.counts, kind="stable")[:limit]
    return list(map(FacetValue, part.values.take(part.codes[order]), part.counts[order].tolist()))


def _merged(parts: list[_Counted], limit: int) -> tuple[int, list[FacetValue]]:
    """How many values several segments have together, and those of most points."""
    counts: dict[tuple[type, Any], int] = {}  # 1, 1.0 and True are equal in Python, and three values here
    for part in parts:
        for value, count in zip(part.values.take(part.codes), part.counts.tolist(), strict=True):
            about = (type(value), value)
            counts[about] = counts.get(about, 0) + count
    most = heapq.nsmallest(limit, counts.items(), key=lambda each: (-each[1], *_exactly(each[0][1])))
    return len(counts), [FacetValue(value, count) for (_, value), count in most]


def _exactly(value: Scalar) -> tuple[Any, ...]:
    """An order of all values: that of ``rank``, then 1 before 1.0."""
    return (*rank(value), isinstance(value, float))


def _bounds(parts: list[_Counted]) -> tuple[Scalar, Scalar]:
    """The least and greatest number, else string, else None twice."""
    for kind in (NUMBER, STRING):
        ends: list[Scalar] = []
        for part in parts:
            first, stop = (bisect_left(part.values, k, key=lambda value: rank(value)[0]) for k in (kind, kind + 1))
            low, high = np.searchsorted(part.codes, (first, stop))
            if low < high:
                ends += part.values.take(part.codes[[low, high - 1]])
        if ends:
            return min(ends, key=_exactly), max(ends, key=_exactly)
    return None, None
