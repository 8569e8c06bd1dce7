"""Points in the order of their ids, a page at a time, at a view.

Without a filter the pointers of the store are read in order. With one, either those, each judged by the mask of its
segment, or, where few points match, the ids of all that do are put in order: whichever looks at fewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np

from vecdb.engine.lookup import Lookup
from vecdb.engine.matcher import Matcher
from vecdb.engine.prepare import FieldIds
from vecdb.engine.segment import UInt64
from vecdb.engine.view import View
from vecdb.index.contract import Mask
from vecdb.model.context import CallContext
from vecdb.model.filter import Filter
from vecdb.model.point import Points, Select

READ_POINTERS = 1024


class Scrolling:
    """Walks over one collection by id. Any thread may use it."""

    def __init__(self, lookup: Lookup, matcher: Matcher, fields: FieldIds) -> None:
        self._lookup = lookup
        self._matcher = matcher
        self._fields = fields

    def page(
        self, context: CallContext, view: View, after: str | None, limit: int, select: Select, filter: Filter | None
    ) -> tuple[Points, bool]:
        """Up to ``limit`` points that pass, with ids after ``after`` (None: from the first), and whether that was all.

        Fewer where more would take over 8 MiB, so that an answer always fits a message.
        """
        if filter is None and not view.expiring:
            rows = list(islice(self._lookup.rows_after(view, after), limit + 1))
        else:
            masks = self._matcher.bodies(context, view, filter)
            matching = _matching(view, masks)
            if len(matching) ** 2 <= limit * view.live:
                rows = self._sorted(view, matching, after, limit + 1)
            else:
                rows = self._judged(context, view, masks, after, limit + 1)
        context.check("reading a page")
        points = self._lookup.first_points(rows[:limit], select, self._fields)
        return points, len(points) == len(rows)

    def _sorted(self, view: View, matching: UInt64, after: str | None, count: int) -> list[int]:
        """The first ``count`` rows of those that match, after an id."""
        segments, ordinals = view.locate(matching)
        ids: list[tuple[str, int]] = []
        for index in np.unique(segments).tolist():
            where = segments == index
            names = view.segments[index].ids.take(ordinals[where])
            ids += zip(names, matching[where].tolist(), strict=True)
        if after is not None:
            ids = [each for each in ids if each[0] > after]  # code points stand in the order of UTF-8 bytes
        return [row for _, row in sorted(ids)[:count]]

    def _judged(
        self, context: CallContext, view: View, masks: Sequence[Mask | None], after: str | None, count: int
    ) -> list[int]:
        """The first ``count`` rows after an id that their masks let through."""
        found: list[int] = []
        walk = self._lookup.rows_after(view, after)
        while len(found) < count and (some := list(islice(walk, READ_POINTERS))):
            context.check("scrolling")
            rows = np.array(some, dtype=np.uint64)
            segments, ordinals = view.locate(rows)
            keep = segments >= 0
            for index in np.unique(segments[keep]).tolist():
                mask = masks[index]
                if mask is not None:
                    where = segments == index
                    keep[where] = mask[ordinals[where]]
            found += rows[keep].tolist()
        return found[:count]


def _matching(view: View, masks: Sequence[Mask | None]) -> UInt64:
    """The rows that masks let through."""
    rows = [
        segment.rows if mask is None else segment.rows[mask] for segment, mask in zip(view.segments, masks, strict=True)
    ]
    return np.concatenate([np.zeros(0, dtype=np.uint64), *rows])
