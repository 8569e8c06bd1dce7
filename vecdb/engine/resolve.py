"""Turn a prepared batch into rows: which are new, which die, which vectors are kept.

Runs on the committer's thread, in commit order, against the store (which holds every earlier batch of
this group too). The result names rows only, never a predicate, so that replay needs no decisions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import orjson

from vecdb.engine.growing import NewRows, expiries
from vecdb.engine.judge import judge
from vecdb.engine.patching import patched
from vecdb.engine.prepare import (
    DeleteExpired,
    FieldIds,
    PreparedBatch,
    PreparedOperation,
    PreparedPut,
    PreparedWhere,
    check_payload_size,
    out_of_scope,
)
from vecdb.engine.segment import UInt64
from vecdb.engine.text_index import NewTexts
from vecdb.errors import ConditionFailed, PointExists
from vecdb.index.columns.flatten import Chunk, flatten
from vecdb.index.columns.growing import NewColumns, Share
from vecdb.index.contract import Mask
from vecdb.index.postings.growing import Share as TextShare
from vecdb.model.filter import Facts, Filter, matches
from vecdb.model.point import FOR_EVER, Clear, Condition, DeleteIds, Float32, Int64, PutMode, UpdateWhere
from vecdb.model.schema import Schema
from vecdb.storage import codec, keys
from vecdb.storage.codec import NO_ROW, SPARSE, TEXT, Change, Pointer
from vecdb.storage.kv import KV, Batch, prefix_end

READ_KEYS = 4_096
"""Keys asked of the store at once: a list-get lets other threads run, making its lists does not."""


@dataclass(slots=True)
class _Draft:
    """A point as the batch will leave it. Vectors come from ``put`` at ``position``, others are kept.

    ``kept`` and ``placed`` go by the keys of slots: they speak of texts, too. ``texts`` has all of these, and sparse
    vectors, which are kept as texts are.
    ``expires_at``: milliseconds since 1970, 0: never.
    """

    put: PreparedPut
    position: int
    texts: dict[int, str | bytes]
    payload: bytes | None
    kept: dict[int, int]  # key -> slot row that is adopted
    placed: dict[int, tuple[PreparedPut, int]]  # key -> vector or text given by an earlier operation of the batch
    expires_at: int


class _Old(NamedTuple):
    """The newest committed version of an id before this batch.

    ``there``: alive, not expired, and inside the caller's scope. ``hidden``: the same, but outside of it.
    """

    pointer: Pointer
    there: bool
    hidden: bool


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
    """Resolves one batch of one collection. ``scope`` limits what it may see and change.

    ``max_payload_bytes`` bounds what updates make of payloads.
    """

    def __init__(
        self,
        kv: KV,
        collection: int,
        fields: FieldIds,
        schema: Schema,
        scope: Filter | None,
        max_payload_bytes: int,
    ) -> None:
        self._kv = kv
        self._collection = collection
        self._fields = fields
        self._known = {*fields.vectors.values(), *(TEXT | n for n in (*fields.texts.values(), *fields.sparse.values()))}
        """Bodies name the vectors of dropped fields for ever."""
        self._scope = scope
        self._has_columns = schema.payload_columns
        self._ttl_ms = schema.ttl_ms  # of points written without one; 0: they stay
        self._max_payload_bytes = max_payload_bytes
        self._seq = 0
        self._now_ms = 0
        self._next_row = 0
        self._old: dict[str, _Old] = {}
        self._pending: dict[str, _Draft | None] = {}

    def resolve(
        self, batch: PreparedBatch, *, seq: int, commit: int, first_row: int, time_ms: int, request_id: bytes
    ) -> Resolved:
        """Apply the operations in order. Raises PointExists, ConditionFailed, InvalidArgument; nothing was written.

        ``time_ms`` is the moment of the commit: what has expired by then is not there.
        """
        self._seq, self._now_ms, self._next_row = seq, time_ms, first_row
        count = sum(self._apply(op) for op in batch.operations)
        return self._finish(seq, commit, first_row, time_ms, request_id, count)

    # -- operations, in order

    def _apply(self, op: PreparedOperation) -> int:
        """Carry out one operation on what the ones before it left; how many points it wrote or deleted."""
        if isinstance(op, Clear):
            return self._clear()
        if isinstance(op, DeleteExpired):
            return self._delete_expired(op.ids)
        if isinstance(op, PreparedWhere):
            ids = self._matching(op)
            return self._delete(ids) if op.change is None else self._update_matching(ids, op.change)
        self._look_up(op.ids)
        if op.condition is not None:
            self._require(op.condition, op.ids)
        return self._delete(op.ids) if isinstance(op, DeleteIds) else self._put(op)

    def _look_up(self, ids: Sequence[str], inside: Mapping[str, int] | None = None) -> None:
        """Read the pointers of ids not seen yet; judge by time and scope. ``inside``: rows known to be of the scope."""
        fresh = [i for i in dict.fromkeys(ids) if i not in self._old]
        values = self._read([keys.pointer(self._collection, i) for i in fresh])
        found = [(i, codec.decode_pointer(v)) for i, v in zip(fresh, values, strict=True) if v is not None]
        known, scoped = inside or {}, self._scope is not None
        doubtful = [(i, p) for i, p in found if not p.deleted and (p.expires or (scoped and known.get(i) != p.row))]
        expired: set[str] = set()
        outside: set[str] = set()
        bodies = self._read([keys.body(self._collection, p.row) for _, p in doubtful])
        for (i, pointer), raw in zip(doubtful, bodies, strict=True):
            if pointer.expires and codec.body_expiry(raw or b"") <= self._now_ms:
                expired.add(i)
            elif self._scope is not None and not judge(self._scope, raw, self._fields):
                outside.add(i)
        for i, pointer in found:
            there = not pointer.deleted and i not in expired
            self._old[i] = _Old(pointer, there and i not in outside, there and i in outside)

    def _read(self, wanted: list[bytes]) -> Iterator[bytes | None]:
        for start in range(0, len(wanted), READ_KEYS):
            yield from self._kv.get_many(wanted[start : start + READ_KEYS])

    def _exists(self, point_id: str) -> bool:
        if point_id in self._pending:
            return self._pending[point_id] is not None
        old = self._old.get(point_id)
        return old is not None and old.there

    def _hidden(self, point_id: str) -> bool:
        """Alive, but outside the scope: it may be neither seen nor replaced."""
        old = self._old.get(point_id)
        return old is not None and old.hidden

    def _delete(self, ids: Sequence[str]) -> int:
        """Delete points that were looked up."""
        gone = [i for i in dict.fromkeys(ids) if self._exists(i)]
        self._pending.update(dict.fromkeys(gone))
        return len(gone)

    def _clear(self) -> int:
        prefix = keys.pointer_prefix(self._collection)
        everything = [keys.pointer_id(key) for key, _ in self._kv.scan(prefix, prefix_end(prefix))]
        self._look_up(everything)
        return self._delete(everything + list(self._pending))

    def _delete_expired(self, ids: Sequence[str]) -> int:
        self._look_up(ids)
        known = ((i, self._old[i]) for i in ids if i in self._old)
        gone = [i for i, old in known if not (old.there or old.hidden or old.pointer.deleted)]
        self._pending.update(dict.fromkeys(gone))
        return len(gone)

    # -- conditions

    def _require(self, condition: Condition, ids: Sequence[str]) -> None:
        """Raise ConditionFailed at the first id, as they come, of which the condition does not hold."""
        versions = condition.versions
        matching = self._matching_of(condition.filter, ids) if condition.filter is not None else set()
        for i, point_id in enumerate(ids):
            version = self._version(point_id)
            wanted = versions[i if len(versions) > 1 else 0] if versions else version
            if version and condition.absent:
                raise _lost(i, point_id, "none", version)
            if not version and condition.exists:
                raise _lost(i, point_id, "a point", version)
            if version != wanted:
                raise _lost(i, point_id, str(wanted or "none"), version)
            if condition.filter is not None and point_id not in matching:
                raise _lost(i, point_id, "a point that matches", version)

    def _version(self, point_id: str) -> int:
        """The version of a point that was looked up, 0 when it does not exist; one just written is of this write."""
        if point_id in self._pending:
            return 0 if self._pending[point_id] is None else self._seq
        old = self._old.get(point_id)
        return 0 if old is None or not old.there else old.pointer.seq

    def _matching_of(self, filter: Filter, ids: Sequence[str]) -> set[str]:
        """Those of ids (looked up) that exist and match."""
        there = [i for i in dict.fromkeys(ids) if self._exists(i)]
        stored = [i for i in there if i not in self._pending]
        bodies = self._read([keys.body(self._collection, self._old[i].pointer.row) for i in stored])
        found = {i for i, raw in zip(stored, bodies, strict=True) if judge(filter, raw, self._fields)}
        drafts = ((i, self._pending[i]) for i in there if i in self._pending)
        return found | {i for i, d in drafts if d is not None and matches(filter, self._facts(i, d))}

    # -- points by filter

    def _matching(self, op: PreparedWhere) -> list[str]:
        """Ids of the points that match, as the batch has left them so far.

        Whether a row matches never changes, so those found at a view are right for as long as they are the newest of
        their ids. What they cannot tell is in the rows written since.
        """
        assert op.found is not None
        newest = dict(zip(op.found.ids, op.found.rows, strict=True))
        filter = op.filter if self._scope is None else self._scope & op.filter
        since = range(op.found.view.row_bound, self._next_row)
        for row, raw in zip(since, self._read([keys.body(self._collection, row) for row in since]), strict=True):
            if raw is not None and judge(filter, raw, self._fields):
                newest[codec.decode_body(raw).id] = row
        self._look_up(list(newest), newest)
        stored = [i for i, row in newest.items() if i not in self._pending and self._shows(i, row)]
        drafts = [i for i, d in self._pending.items() if d is not None and matches(op.filter, self._facts(i, d))]
        return stored + drafts

    def _shows(self, point_id: str, row: int) -> bool:
        old = self._old.get(point_id)
        return old is not None and old.there and old.pointer.row == row

    def _update_matching(self, ids: list[str], change: UpdateWhere) -> int:
        stored = self._bodies(ids)
        for point_id in ids:
            draft = self._pending.get(point_id) or stored[point_id]
            payload = patched(draft.payload, change.payload, change.payload_mode, change.unset)
            expires_at = self._expiry(change.ttl_ms, draft.expires_at)
            updated = _Draft(draft.put, draft.position, draft.texts, payload, draft.kept, draft.placed, expires_at)
            self._take(point_id, updated, repr(point_id))
        return len(ids)

    # -- points by id

    def _put(self, op: PreparedPut) -> int:
        """Write points that were looked up."""
        if op.mode is PutMode.UPDATE:
            return self._update(op)
        for i, point_id in enumerate(op.ids):
            if self._hidden(point_id) or (op.mode is PutMode.INSERT and self._exists(point_id)):
                raise PointExists(
                    "the id is taken", field=f"ids[{i}]", expected="an id that does not exist", received=repr(point_id)
                )
        positions = {point_id: i for i, point_id in enumerate(op.ids)}  # the last of equal ids wins
        otherwise = self._expiry(self._ttl_ms, 0)
        for point_id, i in positions.items():
            self._pending.pop(point_id, None)  # rows follow the order of the last write
            expires_at = self._expiry(op.ttl_at(i), otherwise) if op.ttl_ms else otherwise
            self._pending[point_id] = _Draft(op, i, op.texts_at(i), op.payload_at(i), {}, {}, expires_at)
        return len(positions)

    def _expiry(self, ttl_ms: int, otherwise: int) -> int:
        """When a point expires that is given a time to live; ``otherwise`` when it is given none."""
        return 0 if ttl_ms == FOR_EVER else otherwise if ttl_ms == 0 else self._now_ms + ttl_ms

    def _update(self, op: PreparedPut) -> int:
        present = {f: dict(zip(v.rows.tolist(), range(len(v.rows)), strict=True)) for f, v in op.vectors.items()}
        here = [i for i, point_id in enumerate(op.ids) if self._exists(point_id)]
        bodies = self._bodies([op.ids[i] for i in here])
        for i in here:
            point_id = op.ids[i]
            draft = self._pending.get(point_id) or bodies[point_id]
            texts = op.texts_at(i)
            given = {*(f for f, rows in present.items() if i in rows), *(TEXT | number for number in texts)}
            placed = {f: origin for f, origin in draft.placed.items() if f not in given}
            placed.update({f: (draft.put, draft.position) for f in _carried(draft) if f not in given})
            updated = _Draft(
                op,
                i,
                draft.texts | texts,
                patched(draft.payload, op.payload_at(i), op.patch.mode, op.patch.unset),
                {f: slot for f, slot in draft.kept.items() if f not in given},
                placed,
                self._expiry(op.ttl_at(i), draft.expires_at),
            )
            self._take(point_id, updated, f"ids[{i}]")
        return len({op.ids[i] for i in here})

    def _take(self, point_id: str, updated: _Draft, where: str) -> None:
        """Accept what an update made of a point. Raises InvalidArgument, naming ``where``."""
        if updated.payload is not None:
            check_payload_size(updated.payload, where, self._max_payload_bytes)
        if self._scope is not None and not matches(self._scope, self._facts(point_id, updated)):
            raise out_of_scope(where)
        self._pending[point_id] = updated

    def _facts(self, point_id: str, draft: _Draft) -> Facts:
        """What a filter may ask of a point as the batch has left it so far."""
        vectors = {*draft.kept, *draft.placed, *_carried(draft)}
        return Facts(
            point_id,
            self._seq,
            None if draft.payload is None else orjson.loads(draft.payload),
            {
                name: text
                for name, number in self._fields.texts.items()
                if isinstance(text := draft.texts.get(number), str)
            },
            {name for name, number in self._fields.vectors.items() if number in vectors},
        )

    def _bodies(self, ids: list[str]) -> dict[str, _Draft]:
        """Drafts of the stored versions of ids, keeping all their vectors."""
        stored = [i for i in dict.fromkeys(ids) if i not in self._pending]
        rows = [self._old[i].pointer.row for i in stored]
        values = self._read([keys.body(self._collection, row) for row in rows])
        out = {}
        for point_id, row, value in zip(stored, rows, values, strict=True):
            body = codec.decode_body(value or b"")
            written = body.written
            kept = {f: row if slot == NO_ROW else slot for f, slot in body.slots.items() if f in self._known}
            for number in written:
                kept.setdefault(TEXT | number, row)
            out[point_id] = _Draft(_NOTHING, -1, written, body.payload, kept, {}, body.expires_at)
        return out

    # -- the outcome

    def _finish(self, seq: int, commit: int, first_row: int, time_ms: int, request_id: bytes, count: int) -> Resolved:
        drafts = [(point_id, draft) for point_id, draft in self._pending.items() if draft is not None]
        # What is pending was visible, absent or expired before: whatever row it had, it has no longer.
        replaced = {i: old for i in self._pending if (old := self._old.get(i)) is not None and not old.pointer.deleted}
        killed = sorted(old.pointer.row for old in replaced.values())
        adopted, released = self._slots(drafts, first_row, list(replaced.values()))
        sources = _sources(drafts)
        stored = _gather(sources)
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
                expires_at=draft.expires_at,
                slots=codec.encode_slots(slots),
                has_sparse=max(draft.texts, default=0) >= SPARSE,
            )
            ids.append(point_id)
            bodies.append(body)
            body_bytes += len(body)
            pointers.append(
                (
                    keys.pointer(self._collection, point_id),
                    codec.encode_pointer(first_row + i, seq, adopted=bool(draft.kept), expires=draft.expires_at > 0),
                )
            )
        for point_id, gone in replaced.items():
            if self._pending[point_id] is None:
                pointers.append(
                    (
                        keys.pointer(self._collection, point_id),
                        codec.encode_pointer(gone.pointer.row, seq, deleted=True, adopted=gone.pointer.adopted),
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
        seqs = np.full(len(drafts), seq, dtype=np.uint64)
        columns = _columns(drafts, own) if self._has_columns else None
        ends = expiries([draft.expires_at for _, draft in drafts])
        texts = _new_texts(sources, numbers)
        rows = NewRows(numbers, seqs, ids, ready, body_bytes, columns, ends, texts)
        return Resolved(change, rows, bodies, raw, pointers, len(drafts) - len(killed))

    def _slots(
        self, drafts: list[tuple[str, _Draft]], first_row: int, replaced: list[_Old]
    ) -> tuple[dict[int, tuple[UInt64, UInt64]], dict[int, UInt64]]:
        """Slots the new rows adopt, and slots of other rows that die with the killed ones."""
        kept: dict[int, tuple[list[int], list[int]]] = {}
        for row, (_, draft) in enumerate(drafts, first_row):
            for field_id, slot in draft.kept.items():
                slots, rows = kept.setdefault(field_id, ([], []))
                slots.append(slot)
                rows.append(row)
        adopted = {}
        for field_id, (slots, rows) in kept.items():
            order = np.argsort(np.array(slots, dtype=np.uint64), kind="stable")
            adopted[field_id] = (np.array(slots, dtype=np.uint64)[order], np.array(rows, dtype=np.uint64)[order])
        released: dict[int, list[int]] = {}
        foreign = [old.pointer.row for old in replaced if old.pointer.adopted]
        for value in self._read([keys.body(self._collection, row) for row in foreign]):
            for field_id, slot in codec.decode_body(value or b"").slots.items():
                if slot != NO_ROW and field_id in self._known:
                    released.setdefault(field_id, []).append(slot)
        kept_on = {f: set(slots.tolist()) for f, (slots, _) in adopted.items()}
        left = {f: [slot for slot in slots if slot not in kept_on.get(f, ())] for f, slots in released.items()}
        return adopted, {f: np.array(sorted(slots), dtype=np.uint64) for f, slots in left.items() if slots}


_NOTHING = PreparedPut(PutMode.UPDATE, (), {}, {}, None, None)


def _lost(position: int, point_id: str, expected: str, version: int) -> ConditionFailed:
    return ConditionFailed(
        f"a condition on point {point_id!r} does not hold",
        field=f"ids[{position}]",
        expected=expected,
        received=str(version or "none"),
    )


def _carried(draft: _Draft) -> list[int]:
    """Keys of the fields for which the draft's own operation gave a vector or a text."""
    put = draft.put
    vectors = [f for f, v in put.vectors.items() if _index_of(v.rows, draft.position) is not None]
    return vectors + [TEXT | number for number, column in put.texts.items() if column[draft.position] is not None]


def _index_of(rows: Int64, position: int) -> int | None:
    at = int(np.searchsorted(rows, position))
    return at if at < len(rows) and rows[at] == position else None


@dataclass(frozen=True, slots=True)
class _Sources:
    """Where the new rows have their vectors and texts from: a put, new rows, and their positions in the put.

    ``puts``: what the rows' own operations gave. ``placed``: by key too, what operations before gave.
    """

    puts: dict[int, tuple[PreparedPut, list[int], list[int]]]
    placed: dict[tuple[int, int], tuple[PreparedPut, list[int], list[int]]]


def _sources(drafts: list[tuple[str, _Draft]]) -> _Sources:
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
    return _Sources(puts, sources)


def _gather(sources: _Sources) -> dict[int, tuple[Int64, Float32, Float32]]:
    """By field: positions among the new rows that carry a new vector, raw and ready vectors."""
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

    for put, new, positions in sources.puts.values():
        for field_id in put.vectors:
            take(field_id, put, new, positions)
    for (key, _), (put, new, positions) in sources.placed.items():
        if key < TEXT:
            take(key, put, new, positions)
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


def _new_texts(sources: _Sources, numbers: UInt64) -> dict[int, NewTexts]:
    """By key, what the new rows, of these numbers, bring in text fields."""
    found: dict[int, list[tuple[PreparedPut, Int64, Int64]]] = {}  # key -> put, new rows, positions in the put
    for put, new, positions in sources.puts.values():
        for number, column in put.texts.items():
            there = np.fromiter((column[position] is not None for position in positions), np.bool_, len(positions))
            if there.any():
                rows, taken = np.array(new, dtype=np.int64)[there], np.array(positions, dtype=np.int64)[there]
                found.setdefault(TEXT | number, []).append((put, rows, taken))
    for (key, _), (put, new, positions) in sources.placed.items():
        if key >= TEXT:
            rows, taken = np.array(new, dtype=np.int64), np.array(positions, dtype=np.int64)
            found.setdefault(key, []).append((put, rows, taken))
    return {key: _texts_of(key, pieces, numbers) for key, pieces in found.items()}


def _texts_of(key: int, pieces: list[tuple[PreparedPut, Int64, Int64]], numbers: UInt64) -> NewTexts:
    rows = np.sort(np.concatenate([new for _, new, _ in pieces]))
    shares = []
    analyzer = None
    for put, new, positions in pieces:
        texts = put.postings.get(key ^ TEXT)
        if texts is None:
            return NewTexts(numbers[rows])
        analyzer = texts.analyzer  # one batch is analyzed by one
        order = np.argsort(positions, kind="stable")
        positions, places = positions[order], np.searchsorted(rows, new[order])
        for start, chunk in texts.chunks:
            low, high = np.searchsorted(positions, (start, start + len(chunk)))
            if low < high:
                shares.append(TextShare(chunk, positions[low:high] - start, places[low:high]))
    return NewTexts(numbers[rows], shares, analyzer)


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
            if field_id >= TEXT:
                continue
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
