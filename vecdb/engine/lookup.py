"""Reading points by row and by id, at a view.

A pointer names the newest committed row of an id, which a reader's view may not have reached yet. Each
body names the row it replaced, so the reader walks back to the row that its view shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from vecdb.engine.judge import facts_of, judge
from vecdb.engine.prepare import FieldIds
from vecdb.engine.view import View
from vecdb.errors import DataLoss
from vecdb.index.postings.weights import decoded
from vecdb.model.filter import Filter, matches
from vecdb.model.point import Points, Select, VectorColumn
from vecdb.model.sparse import SparseColumn
from vecdb.storage import codec, keys
from vecdb.storage.codec import NO_ROW, Body, Pointer
from vecdb.storage.kv import KV, prefix_end

SCROLL_BYTES = 8 << 20
READ_ROWS = 128


class Lookup:
    """Reads one collection's rows from the store."""

    def __init__(self, kv: KV, collection: int, dims: Mapping[int, int]) -> None:
        self._kv = kv
        self._collection = collection
        self._dims = dims

    def bodies(self, rows: Sequence[int]) -> list[Body]:
        """The bodies of rows that a view shows. Raises DataLoss when one is missing."""
        values = self._kv.get_many([keys.body(self._collection, row) for row in rows])
        out = []
        for row, value in zip(rows, values, strict=True):
            if value is None:
                raise DataLoss(f"row {row} has no body", field="bodies", expected="a body", received="nothing")
            out.append(codec.decode_body(value))
        return out

    def raw_bodies(self, rows: Sequence[int]) -> list[bytes | None]:
        """The encoded bodies, None where missing."""
        return self._kv.get_many([keys.body(self._collection, row) for row in rows])

    def step_back(self, view: View, row: int) -> int | None:
        """The row of the same point that ``view`` shows, starting from a row it may not have reached."""
        while row >= view.row_bound:
            value = self._kv.get(keys.body(self._collection, row))
            if value is None:
                return None
            row = codec.body_links(value)[1]
            if row == NO_ROW:
                return None
        return row if bool(view.alive(np.array([row], dtype=np.uint64))[0]) else None

    def row_of(self, view: View, pointer: Pointer | None) -> int | None:
        """The row a pointer means at ``view``, expired or not; None when the point is not there."""
        if pointer is None:
            return None
        if pointer.row < view.row_bound:
            if not pointer.deleted:
                return pointer.row
            return pointer.row if pointer.seq > view.seq else None
        return self.step_back(view, pointer.row)

    def rows_of(self, view: View, ids: Sequence[str]) -> list[int | None]:
        """The row of each id that ``view`` shows."""
        values = self._kv.get_many([keys.pointer(self._collection, i) for i in ids])
        rows = [self.row_of(view, None if v is None else codec.decode_pointer(v)) for v in values]
        if not view.expiring:
            return rows
        there = [row for row in rows if row is not None]
        seen = dict(zip(there, view.seen(np.array(there, dtype=np.uint64)).tolist(), strict=True))
        return [row if row is not None and seen[row] else None for row in rows]

    def get(self, view: View, ids: Sequence[str], select: Select, fields: FieldIds, scope: Filter | None) -> Points:
        """Points in the order asked, without the missing ones and those outside the scope."""
        rows = [row for row in self.rows_of(view, ids) if row is not None]
        return self._points(rows, select, fields, scope)

    def exists(self, view: View, ids: Sequence[str], fields: FieldIds, scope: Filter | None) -> list[bool]:
        """For each id whether the view and the scope have it."""
        rows = self.rows_of(view, ids)
        if scope is None:
            return [row is not None for row in rows]
        there = [row for row in rows if row is not None]
        inside = dict(zip(there, (judge(scope, v, fields) for v in self.raw_bodies(there)), strict=True))
        return [row is not None and inside[row] for row in rows]

    def rows_after(self, view: View, after: str | None) -> Iterator[int]:
        """The rows of the points with ids after ``after`` (None: from the first), in id order; also of expired ones."""
        prefix = keys.pointer_prefix(self._collection)
        start = prefix if after is None else keys.pointer(self._collection, after) + b"\0"
        for _, value in self._kv.scan(start, prefix_end(prefix)):
            row = self.row_of(view, codec.decode_pointer(value))
            if row is not None:
                yield row

    def first_points(self, rows: Sequence[int], select: Select, fields: FieldIds) -> Points:
        """The points of the first of ``rows``, which a view shows: as many as stay about 8 MiB, one at least."""
        size = 0
        for start in range(0, len(rows), READ_ROWS):
            for at, raw in enumerate(self.raw_bodies(rows[start : start + READ_ROWS]), start):
                if at and size > SCROLL_BYTES:
                    return self._points(list(rows[:at]), select, fields, None)
                size += len(raw or b"")
                if select.vectors and raw is not None:
                    size += self.vector_bytes(codec.decode_body(raw))
        return self._points(list(rows), select, fields, None)

    def columns(
        self, bodies: Sequence[Body], rows: Sequence[int], select: Select, fields: FieldIds
    ) -> tuple[list[bytes | None] | None, dict[str, list[str | None]] | None, dict[str, VectorColumn] | None]:
        """(payloads, texts, vectors) of bodies, as selected."""
        payloads = [body.payload for body in bodies] if select.payload else None
        texts = None
        if select.texts:
            texts = {}
            for name, field_id in fields.texts.items():
                column = [body.texts.get(field_id) for body in bodies]
                if any(text is not None for text in column):
                    texts[name] = column
        vectors = self._vectors(bodies, rows, fields) if select.vectors else None
        return payloads, texts, vectors

    def sparse(self, bodies: Sequence[Body], select: Select, fields: FieldIds) -> dict[str, SparseColumn] | None:
        """The sparse vectors of bodies, by field, if vectors are selected. Raises DataLoss."""
        if not select.vectors:
            return None
        out = {}
        for name, number in fields.sparse.items():
            held = [(i, raw) for i, body in enumerate(bodies) if (raw := body.sparse.get(number)) is not None]
            if held:
                out[name] = SparseColumn(decoded([raw for _, raw in held]), np.array([i for i, _ in held]))
        return out

    def _points(self, rows: list[int], select: Select, fields: FieldIds, scope: Filter | None) -> Points:
        bodies = self.bodies(rows)
        if scope is not None:
            keep = [matches(scope, facts_of(body, fields)) for body in bodies]
            rows = [row for row, k in zip(rows, keep, strict=True) if k]
            bodies = [body for body, k in zip(bodies, keep, strict=True) if k]
        payloads, texts, vectors = self.columns(bodies, rows, select, fields)
        versions = np.array([body.seq for body in bodies], dtype=np.uint64)
        sparse = self.sparse(bodies, select, fields)
        return Points([body.id for body in bodies], versions, payloads, texts, vectors, sparse)

    def _vectors(self, bodies: Sequence[Body], rows: Sequence[int], fields: FieldIds) -> dict[str, VectorColumn]:
        out = {}
        for name, field_id in fields.vectors.items():
            where = [i for i, body in enumerate(bodies) if field_id in body.slots]
            slots = [bodies[i].slots[field_id] for i in where]
            wanted = [rows[i] if slot == NO_ROW else slot for i, slot in zip(where, slots, strict=True)]
            values = self._kv.get_many([keys.vector(self._collection, slot, field_id) for slot in wanted])
            for slot, value in zip(wanted, values, strict=True):
                if value is None or len(value) != 4 * self._dims[field_id]:
                    raise DataLoss(
                        f"row {slot} has no vector, or one of a wrong size",
                        field=name,
                        expected=f"{4 * self._dims[field_id]} bytes",
                        received="nothing" if value is None else str(len(value)),
                    )
            if values:
                data = np.frombuffer(b"".join(v for v in values if v is not None), dtype="<f4")
                column = data.reshape(len(values), -1).astype(np.float32, copy=False)
                out[name] = VectorColumn(column, np.array(where, dtype=np.int64))
        return out

    def vector_bytes(self, body: Body) -> int:
        """What its vectors take, but for those of dropped fields."""
        return sum(4 * self._dims.get(field_id, 0) for field_id in body.slots)
