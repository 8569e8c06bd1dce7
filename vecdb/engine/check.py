"""Verify everything derived against the truth. The same code serves tests and ``vecdb check``.

Runs between commits on a collection whose queue is empty at that moment, so the store and memory can be
compared; what was written but not yet published is waited for by the caller.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from vecdb.engine import catalog, text_check
from vecdb.engine.collection import Collection, dying_slots
from vecdb.engine.column_check import differences
from vecdb.engine.segment import ALIVE, NEVER, Segment
from vecdb.engine.view import TextCounts
from vecdb.index import metric
from vecdb.index.contract import Mask
from vecdb.storage import codec, keys
from vecdb.storage.codec import NO_ROW, TEXT
from vecdb.storage.kv import KV, prefix_end

COMPARE_ROWS = 4_096


def check_collection(collection: Collection) -> list[str]:
    """What is wrong with one loaded collection; empty when all is well. Raises CollectionNotFound, Evicted."""
    collection.check_open()
    with collection.publish_lock:
        if collection.seq != collection.committed.seq:
            return []  # writes are between the two threads; the next check sees them
        return _Check(collection).run()


def check_nothing_else(kv: KV) -> list[str]:
    """Keys of no collection, nor of one that was dropped and is still to be purged; aliases that stand for none."""
    known = {keys.collection_number(key) for kind in (b"c", b"x") for key, _ in kv.scan(kind, prefix_end(kind))}
    strays: Counter[str] = Counter()
    for kind in (b"h", b"g", b"t", b"p", b"b", b"v", b"l"):
        for key, _ in kv.scan(kind, prefix_end(kind)):
            if keys.collection_number(key) not in known:
                strays[kind.decode()] += 1
    problems = [f"{n} keys of kind {kind!r} belong to no collection" for kind, n in strays.items()]
    entries, aliases, _ = catalog.read(kv)
    called = {entry.number: entry.name for entry, _ in entries}
    problems += [f"alias {alias!r} stands for no collection" for alias, n in aliases.items() if n not in called]
    return problems + [f"{name!r} is a collection and an alias" for name in sorted(aliases.keys() & called.values())]


class _Check:
    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._number = collection.number
        self._kv = collection.kv
        self._problems: list[str] = []

    def run(self) -> list[str]:
        live = self._pointers()
        self._bodies(live)
        self._segments(live)
        return [f"collection {self._collection.entry.name!r}: {problem}" for problem in self._problems]

    def _say(self, problem: str) -> None:
        if len(self._problems) < 100:
            self._problems.append(problem)

    def _pointers(self) -> dict[int, codec.Body]:
        """Living rows with their bodies, as the pointers tell."""
        live: dict[int, codec.Body] = {}
        start, end = keys.pointer_prefix(self._number), keys.pointer_prefix(self._number + 1)
        for key, value in self._kv.scan(start, end):
            pointer, point_id = codec.decode_pointer(value), keys.pointer_id(key)
            if pointer.row >= self._collection.committed.next_row:
                self._say(f"id {point_id!r} points to row {pointer.row}, beyond the counter")
            if pointer.deleted:
                continue
            raw = self._kv.get(keys.body(self._number, pointer.row))
            if raw is None:
                self._say(f"id {point_id!r} points to row {pointer.row}, which has no body")
                continue
            body = codec.decode_body(raw)
            if body.id != point_id or body.seq != pointer.seq:
                self._say(f"row {pointer.row} is {body.id!r} of {body.seq}, its pointer {point_id!r} of {pointer.seq}")
            if pointer.adopted != any(slot != NO_ROW for slot in body.slots.values()):
                self._say(f"row {pointer.row}: the pointer is wrong about adopted slots")
            if pointer.expires != (body.expires_at > 0):
                self._say(f"row {pointer.row}: the pointer is wrong about its time to live")
            live[pointer.row] = body
        expected = self._collection.committed.live
        if len(live) != expected or self._collection.live != expected:
            self._say(f"{len(live)} live pointers, {expected} in the head, {self._collection.live} in memory")
        return live

    def _slots(self, body: codec.Body) -> list[tuple[int, int]]:
        """The vectors of a body, but for those of fields that were dropped."""
        return [(field_id, slot) for field_id, slot in body.slots.items() if field_id in self._collection.fields]

    def _bodies(self, live: dict[int, codec.Body]) -> None:
        """Every stored row is live, or garbage that is still to be deleted; none lies beyond the counter.

        Slices of a commit that failed do, until the next commit or opening deletes them.
        """
        collection = self._collection
        end_row = collection.committed.next_row if collection.strays else keys.LAST_ROW
        doomed: set[int] = set()
        doomed_slots: dict[int, set[int]] = {f: set() for f in collection.fields}
        for garbage in collection.garbage:
            doomed.update(garbage.rows.tolist())
            for field_id, slots in garbage.slots.items():
                doomed_slots.setdefault(field_id, set()).update(slots.tolist())
        kept = keys.log(self._number, collection.listed_seq + 1), keys.log(self._number, keys.LAST_ROW)
        for change in (codec.decode_change(value) for _, value in self._kv.scan(*kept)):
            doomed.update(change.killed.tolist())
            for field_id in collection.fields:
                doomed_slots[field_id].update(dying_slots(change, field_id).tolist())
        for key, _ in self._kv.scan(keys.body(self._number, 0), keys.body(self._number, end_row)):
            row = keys.body_row(key)
            if row not in live and row not in doomed:
                self._say(f"row {row} is dead, and nothing will delete it")
        used = {(f, row if slot == NO_ROW else slot) for row, body in live.items() for f, slot in self._slots(body)}
        stored = set()
        start, end = keys.vector_from(self._number, 0), keys.vector_from(self._number, end_row)
        for key, _ in self._kv.scan(start, end):
            row, field_id = keys.vector_row_field(key)
            if field_id in collection.entry.shape.dropping:
                continue
            stored.add((field_id, row))
            if (field_id, row) not in used and row not in doomed_slots.get(field_id, ()):
                self._say(f"vector {row}/{field_id} is used by no living row, and nothing will delete it")
        for field_id, row in sorted(used - stored):
            self._say(f"vector {row}/{field_id} is missing")

    def _segments(self, live: dict[int, codec.Body]) -> None:
        """Each living row is in exactly one segment, alive; each vector in exactly one part, alive and equal."""
        collection = self._collection
        seen: Counter[int] = Counter()
        seen_slots: Counter[tuple[int, int]] = Counter()
        seen_texts: Counter[tuple[int, int]] = Counter()
        bound = -1
        for segment in collection.view.segments:
            seen_texts.update((key, slot) for key in collection.texts for slot in _living_slots(segment, key))
            if segment.first_row < bound:
                self._say(f"segment {segment.number} overlaps the one before it")
            bound = segment.end_row
            alive = segment.died == ALIVE
            if int(np.count_nonzero(~alive)) != segment.dead:
                self._say(f"segment {segment.number} counts {segment.dead} dead, has {np.count_nonzero(~alive)}")
            rows = segment.rows[alive].tolist()
            seen.update(rows)
            ids = segment.ids.take(np.flatnonzero(alive).astype(np.int64))
            for row, point_id, seq in zip(rows, ids, segment.seqs[alive].tolist(), strict=True):
                body = live.get(row)
                if body is None:
                    self._say(f"segment {segment.number} shows dead row {row}")
                elif body.id != point_id or body.seq != seq:
                    self._say(f"segment {segment.number} calls row {row} {point_id!r} of {seq}")
            self._expiry(segment, alive, live)
            self._parts(segment, live, seen_slots)
            self._columns(segment, live)
        for row in live:
            if seen[row] != 1:
                self._say(f"live row {row} is in {seen[row]} segments")
            for field_id, slot in self._slots(live[row]):
                place = (field_id, row if slot == NO_ROW else slot)
                if seen_slots[place] != 1:
                    self._say(f"vector {place[1]}/{place[0]} of live row {row} is in {seen_slots[place]} segments")
        if sum(seen_slots.values()) != sum(len(self._slots(body)) for body in live.values()):
            self._say("segments show vectors that no living row has")
        for key in collection.texts:
            for slot, row in text_check.slots_of(live, key).items():
                if (n := seen_texts.pop((key, slot), 0)) != 1:
                    self._say(f"text {slot}/{key ^ TEXT} of live row {row} is in {n} segments")
        if seen_texts:
            self._say("segments show texts that no living row has")
        for key, counts in collection.view.texts.items():
            parts = [segment.parts[key] for segment in collection.view.segments if key in segment.parts]
            told = TextCounts(sum(len(part) - part.dead for part in parts), sum(part.terms or 0 for part in parts))
            if counts != told:
                self._say(f"the view tells {counts} of text field {key ^ TEXT}, its parts {told}")

    def _expiry(self, segment: Segment, alive: Mask, live: dict[int, codec.Body]) -> None:
        """Each living row expires when its body says, and none before the segment says."""
        n = int(np.count_nonzero(alive))
        expires = np.full(n, NEVER) if segment.expires is None else segment.expires[alive]
        for row, moment in zip(segment.rows[alive].tolist(), expires.tolist(), strict=True):
            if row in live and moment != (live[row].expires_at or NEVER):
                self._say(f"segment {segment.number} lets row {row} expire at {moment}")
        if expires.min(initial=NEVER) < segment.earliest:
            self._say(f"segment {segment.number} expires before {segment.earliest}")

    def _columns(self, segment: Segment, live: dict[int, codec.Body]) -> None:
        """What columns say of living rows is what their bodies say."""
        if segment.columns is None:
            return
        if len(segment.columns) != len(segment):
            self._say(f"segment {segment.number} has {len(segment)} rows, its columns {len(segment.columns)}")
            return
        alive = np.array([row in live for row in segment.rows.tolist()], dtype=np.bool_)
        ordinals = np.flatnonzero(alive).astype(np.int64)
        bodies = [live[row] for row in segment.rows[alive].tolist()]
        for difference in differences(segment.columns, ordinals, bodies):
            self._say(f"the columns of segment {segment.number} {difference}")

    def _parts(self, segment: Segment, live: dict[int, codec.Body], seen: Counter[tuple[int, int]]) -> None:
        for field_id, part in segment.parts.items():
            if field_id in self._collection.entry.shape.dropping:
                continue
            if field_id >= TEXT:
                for difference in text_check.differences(part, field_id, live):
                    self._say(f"text part {segment.number}/{field_id ^ TEXT} {difference}")
                continue
            alive = np.flatnonzero(part.died == ALIVE).astype(np.int64)
            if len(part) - len(alive) != part.dead:
                self._say(f"part {segment.number}/{field_id} counts {part.dead} dead, has {len(part) - len(alive)}")
            slots = part.slots[alive].tolist()
            seen.update((field_id, slot) for slot in slots)
            for slot, owner in zip(slots, part.owner_rows(alive).tolist(), strict=True):
                body = live.get(owner)
                if body is None or body.slots.get(field_id) != (NO_ROW if owner == slot else slot):
                    self._say(f"part {segment.number}/{field_id}: slot {slot} does not belong to row {owner}")
            for start in range(0, len(alive), COMPARE_ROWS):
                some = alive[start : start + COMPARE_ROWS]
                self._compare(segment, field_id, some)

    def _compare(self, segment: Segment, field_id: int, ordinals: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
        """The prepared vectors are those of the truth, bit for bit."""
        part, field = segment.parts[field_id], self._collection.fields[field_id]
        slots = part.slots[ordinals].tolist()
        raw = self._kv.get_many([keys.vector(self._number, slot, field_id) for slot in slots])
        if any(value is None or len(value) != 4 * field.dim for value in raw):
            return  # said already
        truth = np.frombuffer(b"".join(v for v in raw if v is not None), dtype="<f4").reshape(-1, field.dim)
        wrong = np.any(metric.prepare(field.metric, truth) != part.take(ordinals), axis=1)
        for i in np.flatnonzero(wrong).tolist():
            self._say(f"part {segment.number}/{field_id}: the vector of slot {slots[i]} differs from the truth")


def _living_slots(segment: Segment, key: int) -> list[int]:
    part = segment.parts.get(key)
    found: list[int] = [] if part is None else part.slots[part.died == ALIVE].tolist()
    return found
