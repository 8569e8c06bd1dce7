"""Turn a prepared batch into rows: which are new, which die, which vectors are kept.

Runs on the committer's thread, in commit order, against the store (which holds every earlier batch of
this group too). The result names rows only, never a predicate, so that replay needs no decisions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import orjson

from vecdb.engine.judge import judge
from vecdb.engine.prepare import FieldIds, PreparedBatch, PreparedPut, out_of_scope
from vecdb.engine.segment import NewRows, UInt64
from vecdb.errors import PointExists
from vecdb.index.columns.flatten import Chunk, flatten
from vecdb.index.columns.growing import NewColumns, Share
from vecdb.index.contract import Mask
from vecdb.model.filter import Facts, Filter, matches
from vecdb.model.point import Clear, DeleteIds, Float32, Int64, PutMode
from vecdb.storage import codec, keys
from vecdb.storage.codec import NO_ROW, Change, Pointer
from vecdb.storage.kv import KV, Batch, prefix_end


@dataclass(slots=True)
class _Draft:
    """A point as the batch will leave it. Vectors come from ``put`` at ``position``, others are kept."""

    put: PreparedPut
    position: int
    texts: dict[int, str]
    payload: bytes | None
    kept: dict[int, int]  # field -> slot row that is adopted
    placed: dict[int, tuple[PreparedPut, int]]  # field -> vector given by an earlier operation of the batch


@dataclass(frozen=True, slots=True)
class _Old:
    """The newest committed version of an id before this batch."""

    pointer: Pointer
    visible: bool  # alive and inside the caller's scope


@dataclass(frozen=True, slots=True)
class Resolved:
    """A batch ready to be written: the log record, the rows for memory, and the bytes of each row."""

    change: Change
    rows: NewRows
    bodies: list[bytes]
    stored: dict[int, tuple[Int64, Float32]]  # field -> positions among the new rows, raw vectors
    pointers: list[tuple[bytes, bytes]]
    live_delta: int

    def put_rows(self, batch: Batch, collection: int, start: int, end: int) -> None:
        """Put the bodies and vectors of rows start..end (positions) into ``batch``."""
        first = self.change.first_row
        for i in range(start, end):
            batch.put(keys.body(collection, first + i), self.bodies[i])
        for field_id, (positions, vectors) in self.stored.items():
            low, high = np.searchsorted(positions, (start, end))
            size = 4 * vectors.shape[1]
            raw = np.ascontiguousarray(vectors[low:high], dtype="<f4").tobytes()
            for j, position in enumerate(positions[low:high].tolist()):
                batch.put(keys.vector(collection, first + position, field_id), raw[j * size : (j + 1) * size])


class Resolver:
    """Resolves one batch of one collection. ``scope`` limits what it may see and change."""

    def __init__(
        self, kv: KV, collection: int, fields: FieldIds, scope: Filter | None, has_columns: bool = True
    ) -> None:
        self._kv = kv
        self._collection = collection
        self._fields = fields
        self._known = set(fields.vectors.values())  # bodies name the vectors of dropped fields for ever
        self._scope = scope
        self._has_columns = has_columns
        self._old: dict[str, _Old] = {}
        self._pending: dict[str, _Draft | None] = {}

    def resolve(
        self, batch: PreparedBatch, *, seq: int, commit: int, first_row: int, time_ms: int, request_id: bytes
    ) -> Resolved:
        """Apply the operations in order. Raises PointExists and InvalidArgument; nothing was written."""
        count = 0
        for op in batch.operations:
            if isinstance(op, Clear):
                count += self._clear()
            elif isinstance(op, DeleteIds):
                count += self._delete(op)
            else:
                count += self._put(op)
        return self._finish(seq, commit, first_row, time_ms, request_id, count)

    # -- operations, in order

    def _look_up(self, ids: list[str]) -> None:
        """Read the pointers of ids not seen yet, and judge them by the scope."""
        fresh = [i for i in dict.fromkeys(ids) if i not in self._old]
        values = self._kv.get_many([keys.pointer(self._collection, i) for i in fresh])
        found = [(i, codec.decode_pointer(v)) for i, v in zip(fresh, values, strict=True) if v is not None]
        live = [(i, p) for i, p in found if not p.deleted]
        outside: set[str] = set()
        if self._scope is not None and live:
            bodies = self._kv.get_many([keys.body(self._collection, p.row) for _, p in live])
            for (i, _), body in zip(live, bodies, strict=True):
                if not judge(self._scope, body, self._fields):
                    outside.add(i)
        for i, pointer in found:
            self._old[i] = _Old(pointer, not pointer.deleted and i not in outside)

    def _exists(self, point_id: str) -> bool:
        if point_id in self._pending:
            return self._pending[point_id] is not None
        old = self._old.get(point_id)
        return old is not None and old.visible

    def _hidden(self, point_id: str) -> bool:
        """Alive, but outside the scope: it may be neither seen nor replaced."""
        old = self._old.get(point_id)
        return old is not None and not old.visible and not old.pointer.deleted

    def _delete(self, op: DeleteIds) -> int:
        self._look_up(list(op.ids))
        gone = [i for i in dict.fromkeys(op.ids) if self._exists(i)]
        self._pending.update(dict.fromkeys(gone))
        return len(gone)

    def _clear(self) -> int:
        prefix = keys.pointer_prefix(self._collection)
        everything = [keys.pointer_id(key) for key, _ in self._kv.scan(prefix, prefix_end(prefix))]
        return self._delete(DeleteIds(list(dict.fromkeys(everything + list(self._pending)))))

    def _put(self, op: PreparedPut) -> int:
        self._look_up(list(op.ids))
        if op.mode is PutMode.UPDATE:
            return self._update(op)
        for i, point_id in enumerate(op.ids):
            if self._hidden(point_id) or (op.mode is PutMode.INSERT and self._exists(point_id)):
                raise PointExists(
                    "the id is taken", field=f"ids[{i}]", expected="an id that does not exist", received=repr(point_id)
                )
        positions = {point_id: i for i, point_id in enumerate(op.ids)}  # the last of equal ids wins
        for point_id, i in positions.items():
            self._pending.pop(point_id, None)  # rows follow the order of the last write
            self._pending[point_id] = _Draft(op, i, op.texts_at(i), op.payload_at(i), {}, {})
        return len(positions)

    def _update(self, op: PreparedPut) -> int:
        present = {f: dict(zip(v.rows.tolist(), range(len(v.rows)), strict=True)) for f, v in op.vectors.items()}
        here = [i for i, point_id in enumerate(op.ids) if self._exists(point_id)]
        bodies = self._bodies([op.ids[i] for i in here])
        for i in here:
            point_id = op.ids[i]
            draft = self._pending.get(point_id) or bodies[point_id]
            given = {f for f, rows in present.items() if i in rows}
            placed = {f: origin for f, origin in draft.placed.items() if f not in given}
            placed.update({f: (draft.put, draft.position) for f in _carried(draft) if f not in given})
            payload = op.payload_at(i)
            updated = _Draft(
                op,
                i,
                draft.texts | op.texts_at(i),
                draft.payload if payload is None else payload,
                {f: slot for f, slot in draft.kept.items() if f not in given},
                placed,
            )
            if self._scope is not None and not matches(self._scope, self._facts(point_id, updated)):
                raise out_of_scope(f"ids[{i}]")
            self._pending[point_id] = updated
        return len({op.ids[i] for i in here})

    def _facts(self, point_id: str, draft: _Draft) -> Facts:
        """What a filter may ask of a point as the batch has left it so far; it has no version yet."""
        vectors = {*draft.kept, *draft.placed, *_carried(draft)}
        return Facts(
            point_id,
            0,
            None if draft.payload is None else orjson.loads(draft.payload),
            {name: draft.texts[number] for name, number in self._fields.texts.items() if number in draft.texts},
            {name for name, number in self._fields.vectors.items() if number in vectors},
        )

    def _bodies(self, ids: list[str]) -> dict[str, _Draft]:
        """Drafts of the stored versions of ids, keeping all their vectors."""
        stored = [i for i in dict.fromkeys(ids) if i not in self._pending]
        rows = [self._old[i].pointer.row for i in stored]
        values = self._kv.get_many([keys.body(self._collection, row) for row in rows])
        out = {}
        for point_id, row, value in zip(stored, rows, values, strict=True):
            body = codec.decode_body(value or b"")
            kept = {f: row if slot == NO_ROW else slot for f, slot in body.slots.items() if f in self._known}
            out[point_id] = _Draft(_NOTHING, -1, body.texts, body.payload, kept, {})
        return out

    # -- the outcome

    def _finish(self, seq: int, commit: int, first_row: int, time_ms: int, request_id: bytes, count: int) -> Resolved:
        drafts = [(point_id, draft) for point_id, draft in self._pending.items() if draft is not None]
        killed = sorted(old.pointer.row for i in self._pending if (old := self._old.get(i)) is not None and old.visible)
        adopted, released = self._slots(drafts, first_row)
        stored = _gather(drafts)
        bodies, pointers, ids = [], [], []
        body_bytes = 0
        own = _own_slots(drafts, stored)
        for i, (point_id, draft) in enumerate(drafts):
            old = self._old.get(point_id)
            slots = own[i] if not draft.kept else own[i] | draft.kept
            body = codec.encode_body(
                codec.encode_tail(point_id, draft.texts, draft.payload),
                has_payload=draft.payload is not None,
                id_bucket=codec.bucket(point_id),
                seq=seq,
                previous=NO_ROW if old is None else old.pointer.row,
                expires_at=0,
                slots=codec.encode_slots(slots),
            )
            ids.append(point_id)
            bodies.append(body)
            body_bytes += len(body)
            pointers.append(
                (
                    keys.pointer(self._collection, point_id),
                    codec.encode_pointer(first_row + i, seq, adopted=bool(draft.kept)),
                )
            )
        for point_id, draft_or_none in self._pending.items():
            old = self._old.get(point_id)
            if draft_or_none is None and old is not None and old.visible:
                pointers.append(
                    (
                        keys.pointer(self._collection, point_id),
                        codec.encode_pointer(old.pointer.row, seq, deleted=True, adopted=old.pointer.adopted),
                    )
                )
        change = Change(
            seq=seq,
            commit=commit,
            time_ms=time_ms,
            request_id=request_id,
            first_row=first_row,
            added=len(drafts),
            count=count,
            killed=np.array(killed, dtype=np.uint64),
            adopted=adopted,
            released=released,
        )
        numbers = np.arange(first_row, first_row + len(drafts), dtype=np.uint64)
        ready = {f: (numbers[positions], ready) for f, (positions, _, ready) in stored.items()}
        raw = {f: (positions, raw) for f, (positions, raw, _) in stored.items()}
        columns = _columns(drafts, own) if self._has_columns else None
        rows = NewRows(numbers, np.full(len(drafts), seq, dtype=np.uint64), ids, ready, body_bytes, columns)
        return Resolved(change, rows, bodies, raw, pointers, len(drafts) - len(killed))

    def _slots(
        self, drafts: list[tuple[str, _Draft]], first_row: int
    ) -> tuple[dict[int, tuple[UInt64, UInt64]], dict[int, UInt64]]:
        """Slots the new rows adopt, and slots of other rows that die with the killed ones."""
        kept: dict[int, list[tuple[int, int]]] = {}
        for i, (_, draft) in enumerate(drafts):
            for field_id, slot in draft.kept.items():
                kept.setdefault(field_id, []).append((slot, first_row + i))
        adopted = {}
        for field_id, pairs in kept.items():
            table = np.array(sorted(pairs), dtype=np.uint64)
            adopted[field_id] = (table[:, 0].copy(), table[:, 1].copy())
        released: dict[int, list[int]] = {}
        foreign = [
            old.pointer.row
            for i in self._pending
            if (old := self._old.get(i)) is not None and old.visible and old.pointer.adopted
        ]
        for value in self._kv.get_many([keys.body(self._collection, row) for row in foreign]):
            for field_id, slot in codec.decode_body(value or b"").slots.items():
                taken = adopted.get(field_id)
                if slot != NO_ROW and field_id in self._known and (taken is None or slot not in taken[0]):
                    released.setdefault(field_id, []).append(slot)
        return adopted, {f: np.array(sorted(slots), dtype=np.uint64) for f, slots in released.items()}


_NOTHING = PreparedPut(PutMode.UPDATE, (), {}, {}, None, None)


def _carried(draft: _Draft) -> list[int]:
    """Fields for which the draft's own operation gave a vector."""
    return [f for f, v in draft.put.vectors.items() if _index_of(v.rows, draft.position) is not None]


def _index_of(rows: Int64, position: int) -> int | None:
    at = int(np.searchsorted(rows, position))
    return at if at < len(rows) and rows[at] == position else None


def _gather(drafts: list[tuple[str, _Draft]]) -> dict[int, tuple[Int64, Float32, Float32]]:
    """By field: positions among the new rows that carry a new vector, raw and ready vectors."""
    sources: dict[tuple[int, int], tuple[PreparedPut, list[int], list[int]]] = {}
    puts: dict[int, tuple[PreparedPut, list[int], list[int]]] = {}
    for i, (_, draft) in enumerate(drafts):
        entry = puts.setdefault(id(draft.put), (draft.put, [], []))
        entry[1].append(i)
        entry[2].append(draft.position)
        for field_id, (put, position) in draft.placed.items():
            placed = sources.setdefault((field_id, id(put)), (put, [], []))
            placed[1].append(i)
            placed[2].append(position)
    pieces: dict[int, list[tuple[Int64, Float32, Float32]]] = {}

    def take(field_id: int, put: PreparedPut, new: list[int], positions: list[int]) -> None:
        vectors = put.vectors[field_id]
        if len(positions) == len(vectors.rows) == len(put.ids) and positions == list(range(len(positions))):
            pieces.setdefault(field_id, []).append((np.array(new, dtype=np.int64), vectors.raw, vectors.ready))
            return
        at = np.searchsorted(vectors.rows, positions)
        inside = np.minimum(at, max(len(vectors.rows) - 1, 0))
        there = (at < len(vectors.rows)) & (vectors.rows[inside] == positions) if len(vectors.rows) else at < 0
        chosen = inside[there]
        if len(chosen):
            pieces.setdefault(field_id, []).append(
                (np.array(new, dtype=np.int64)[there], vectors.raw[chosen], vectors.ready[chosen])
            )

    for put, new, positions in puts.values():
        for field_id in put.vectors:
            take(field_id, put, new, positions)
    for (field_id, _), (put, new, positions) in sources.items():
        take(field_id, put, new, positions)
    out = {}
    for field_id, some in pieces.items():
        if len(some) == 1 and bool(np.all(some[0][0][1:] > some[0][0][:-1])):
            out[field_id] = some[0]
            continue
        order = np.argsort(np.concatenate([p[0] for p in some]), kind="stable")
        out[field_id] = (
            np.concatenate([p[0] for p in some])[order],
            np.concatenate([p[1] for p in some])[order],
            np.concatenate([p[2] for p in some])[order],
        )
    return out


def _columns(drafts: list[tuple[str, _Draft]], own: list[dict[int, int]]) -> NewColumns:
    """What columns take of the new rows. A payload that its put did not give as it is now is parsed here."""
    puts: dict[int, tuple[Chunk, list[int], list[int]]] = {}
    others: list[int] = []
    vectors: dict[int, Mask] = {}
    for i, (_, draft) in enumerate(drafts):
        if draft.payload is not None:
            chunk = draft.put.columns
            if chunk is None or draft.payload is not draft.put.payload_at(draft.position):
                others.append(i)
            else:
                _, rows, positions = puts.setdefault(id(draft.put), (chunk, [], []))
                rows.append(i)
                positions.append(draft.position)
        for field_id in (*own[i], *draft.kept):
            if field_id not in vectors:
                vectors[field_id] = np.zeros(len(drafts), dtype=np.bool_)
            vectors[field_id][i] = True
    shares = []
    for chunk, rows, positions in puts.values():
        if positions == list(range(chunk.n)) and len(rows) == len(drafts):
            shares.append(Share(chunk))
        else:
            shares.append(Share(chunk, np.array(positions, dtype=np.int64), np.array(rows, dtype=np.int64)))
    if others:
        payloads = [drafts[i][1].payload for i in others]
        chunk = flatten([None if payload is None else orjson.loads(payload) for payload in payloads])
        shares.append(Share(chunk, np.arange(len(others), dtype=np.int64), np.array(others, dtype=np.int64)))
    return NewColumns(shares, vectors)


def _own_slots(
    drafts: list[tuple[str, _Draft]], stored: dict[int, tuple[Int64, Float32, Float32]]
) -> list[dict[int, int]]:
    """For each new row the fields whose vector is stored under the row itself."""
    if all(len(positions) == len(drafts) for positions, _, _ in stored.values()):
        return [dict.fromkeys(stored, NO_ROW)] * len(drafts)
    own: list[dict[int, int]] = [{} for _ in drafts]
    for field_id, (positions, _, _) in stored.items():
        for position in positions.tolist():
            own[position][field_id] = NO_ROW
    return own
