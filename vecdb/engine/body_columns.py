"""Columns from stored bodies: where there are none yet, or to compare with those there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import orjson

from vecdb.index.columns.flatten import flatten
from vecdb.index.columns.growing import ColumnsSoFar, GrowingColumns, NewColumns, Share
from vecdb.model.point import Int64
from vecdb.storage import codec
from vecdb.storage.codec import TEXT, Body

READ_ROWS = 1_024

ReadBodies = Callable[[Sequence[int]], Sequence[bytes | None]]
"""Encoded bodies by row; None for one that is gone."""


def columns_of(bodies: Sequence[Body | None]) -> NewColumns:
    """What columns take of these bodies; nothing of None."""
    payloads = [None if b is None or b.payload is None else orjson.loads(b.payload) for b in bodies]
    slots = [{} if body is None else body.slots for body in bodies]
    fields = {field_id for some in slots for field_id in some if field_id < TEXT}
    vectors = {f: np.array([f in some for some in slots], dtype=np.bool_) for f in fields}
    return NewColumns([Share(flatten(payloads))], vectors)


def read_columns(rows: Sequence[int], read: ReadBodies, more: Callable[[], None]) -> ColumnsSoFar:
    """The columns of rows, read from their bodies; ``more`` is called before each read, and may raise.

    For a merge alone: they do not know ids and versions.
    """
    growing = GrowingColumns()
    for start in range(0, len(rows), READ_ROWS):
        more()
        some = rows[start : start + READ_ROWS]
        growing.append(columns_of([None if raw is None else codec.decode_body(raw) for raw in read(some)]), len(some))
    return growing.upto(len(rows), _NoIds(), np.zeros(len(rows), dtype=np.uint64))


class _NoIds:
    def take(self, ordinals: Int64) -> list[str]:
        raise NotImplementedError("these columns are only merged")
