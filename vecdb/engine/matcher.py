"""Which rows of a segment pass a filter, verified from the rows themselves.

Exact and undeclared, but it reads bodies: right for a scope on small collections, and the reference for
filter columns. Bodies never change, so a segment's answer is kept and only new rows are judged; kills
are not in it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np

from vecdb.engine.judge import judge
from vecdb.engine.lookup import Lookup
from vecdb.engine.prepare import FieldIds
from vecdb.engine.segment import Segment
from vecdb.engine.view import View
from vecdb.index.contract import Mask
from vecdb.model.filter import Filter

CACHED_MASKS = 256
READ_ROWS = 1024


class Matcher:
    """Masks by segment and filter; at most ``CACHED_MASKS`` are kept."""

    def __init__(self, lookup: Lookup, fields: FieldIds) -> None:
        self._lookup = lookup
        self._fields = fields
        self._cache: OrderedDict[tuple[int, Filter], Mask] = OrderedDict()
        self._lock = threading.Lock()

    def passing(self, segment: Segment, filter: Filter) -> Mask:
        """Bool by ordinal: does the body match; nothing about whether it is alive."""
        key = (segment.number, filter)
        with self._lock:
            known = self._cache.get(key, np.zeros(0, dtype=np.bool_))
        if len(known) < len(segment):
            fresh = segment.rows[len(known) :].tolist()
            judged = [
                judge(filter, raw, self._fields)
                for start in range(0, len(fresh), READ_ROWS)
                for raw in self._lookup.raw_bodies(fresh[start : start + READ_ROWS])
            ]
            known = np.concatenate([known, np.array(judged, dtype=np.bool_)])
            with self._lock:
                self._cache[key] = known
                self._cache.move_to_end(key)
                while len(self._cache) > CACHED_MASKS:
                    self._cache.popitem(last=False)
        return known[: len(segment)]

    def bodies(self, view: View, filters: list[Filter]) -> list[Mask | None]:
        """By segment, the living bodies that pass every filter; None where all of them do."""
        out: list[Mask | None] = []
        for segment in view.segments:
            mask = segment.alive(view.seq)
            for filter in filters:
                passing = self.passing(segment, filter)
                mask = passing if mask is None else mask & passing
            out.append(mask)
        return out

    def count(self, view: View, filters: list[Filter]) -> int:
        """How many living points pass every filter."""
        if not filters:
            return view.live
        masks = self.bodies(view, filters)
        return sum(
            len(segment) if mask is None else int(np.count_nonzero(mask))
            for segment, mask in zip(view.segments, masks, strict=True)
        )
