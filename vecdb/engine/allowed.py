"""From the bodies that may be answered to the vectors that may be.

Most vectors belong to the body of their own row. The others were adopted by an edit that left the vector alone:
those few are followed to the row that has them in this view.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vecdb.engine.lookup import Lookup
from vecdb.engine.segment import Part, Segment, UInt64
from vecdb.engine.view import View
from vecdb.index.contract import Mask
from vecdb.model.point import Int64

NOBODY = np.uint64(2**64 - 1)


def vectors_of(lookup: Lookup, view: View, field_id: int, bodies: Sequence[Mask | None]) -> list[Mask | None]:
    """By segment, which vectors of a field belong to the ``bodies`` given by segment; None where there is no field."""
    out: list[Mask | None] = []
    for segment, living in zip(view.segments, bodies, strict=True):
        part = segment.parts.get(field_id)
        if part is None:
            out.append(None)
            continue
        living = np.ones(len(segment), dtype=np.bool_) if living is None else living
        allowed = living if part.same_rows else _own(segment, part, living)
        moved = part.moved()
        if len(moved):
            allowed = allowed.copy()
            segments, ordinals = view.locate(owner_rows(lookup, view, part, moved))
            allowed[moved] = False
            for index in np.unique(segments[segments >= 0]).tolist():
                where = segments == index
                mask = bodies[index]
                allowed[moved[where]] = True if mask is None else mask[ordinals[where]]
        out.append(allowed)
    return out


def owner_rows(lookup: Lookup, view: View, part: Part, ordinals: Int64) -> UInt64:
    """The row that has each vector at ``view``; 2^64 - 1 where none has."""
    rows = part.owner_rows(ordinals)
    for i in np.flatnonzero(rows >= np.uint64(view.row_bound)).tolist():
        back = lookup.step_back(view, int(rows[i]))
        rows[i] = NOBODY if back is None else np.uint64(back)
    return rows


def _own(segment: Segment, part: Part, living: Mask) -> Mask:
    """Which slots are those of living bodies of the same number."""
    at, found = part.own_bodies(segment)
    return found & living[at] if len(living) else found
