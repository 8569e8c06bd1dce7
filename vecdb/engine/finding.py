"""Points that a write means by a filter, found in two steps.

The caller's thread looks at a view, with all that makes filters fast. The committer, one thread for everybody, then
judges only the rows written since (``Resolver``), so that the outcome is that of writes done one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vecdb.engine.matcher import Matcher
from vecdb.engine.view import View
from vecdb.model.context import CallContext
from vecdb.model.filter import Filter, both


@dataclass(frozen=True, slots=True)
class Found:
    """Ids and rows of the points of a scope that matched at a view, which is held until the write is done."""

    view: View
    ids: list[str]
    rows: list[int]


def find(context: CallContext, view: View, matcher: Matcher, filter: Filter) -> Found:
    """What matches at ``view``, by ascending rows. Raises DeadlineExceeded."""
    ids: list[str] = []
    rows: list[int] = []
    masks = matcher.bodies(context, view, both(context.scope, filter))
    for segment, mask in zip(view.segments, masks, strict=True):
        ordinals = np.arange(len(segment)) if mask is None else np.flatnonzero(mask)
        ids += segment.ids.take(ordinals.astype(np.int64))
        rows += segment.rows[ordinals].tolist()
    return Found(view, ids, rows)
