"""Open a collection: load what is sealed, read the rest from the truth, replay the kills in between.

The order: drop rows beyond the committed counter; verify and load sealed segments with their tombstones;
read the bodies and vectors of rows that no sealed segment has; stamp the kills of log records that the
tombstones do not cover. A damaged or missing derived file costs only time: its rows are read from the
truth and indexed again.
"""

from __future__ import annotations

import contextlib
import logging
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vecdb.engine import manifest as manifests
from vecdb.engine import sealing
from vecdb.engine.body_columns import columns_of
from vecdb.engine.collection import Collection
from vecdb.engine.commit import drop_rows_from
from vecdb.engine.growing import Growing, NewRows, expiries
from vecdb.engine.segment import Segment, UInt64
from vecdb.errors import Cancelled, DataLoss
from vecdb.failpoint import hit
from vecdb.index import metric
from vecdb.model.point import Float32, WriteResult
from vecdb.storage import codec, files, keys
from vecdb.storage.codec import NO_ROW, TEXT, Body

log = logging.getLogger(__name__)

READ_ROWS = 2_048
ANALYZED_CHARACTERS = 64 << 20
"""Of texts that are analyzed before a collection opens: more than writes leave unsealed, if vectors are not tiny.

So much takes about 16 s with the interpreter to itself (48 million, Chinese and English, 11.4 s; 14 million of English
3.5 s). Left for later it competes with all other calls, and who searches by words waits several times as long: more
than a minute in the soak. More than that, as of a large segment that was damaged, is analyzed after opening.
"""


@dataclass(slots=True)
class _OwnTexts:
    """Rows read again that have a text of their own, by key, ascending; and how long the living texts are."""

    rows: dict[int, list[int]] = field(default_factory=dict)
    characters: int = 0

    def note(self, row: int, body: Body, alive: bool) -> None:
        for number, text in body.written.items():
            if TEXT | number not in body.slots:
                self.rows.setdefault(TEXT | number, []).append(row)
            if alive:
                self.characters += len(text)


@dataclass(slots=True)
class _Adoptions:
    """Slots of other rows that living bodies use, by key: (slot, row)."""

    pairs: dict[int, list[tuple[int, int]]] = field(default_factory=dict)

    def note(self, row: int, slots: dict[int, int]) -> None:
        for field_id, slot in slots.items():
            if slot != NO_ROW:
                self.pairs.setdefault(field_id, []).append((slot, row))

    def of(self, field_id: int) -> tuple[UInt64, UInt64]:
        """(slots, rows), ascending by slot then row."""
        table = np.array(sorted(self.pairs.get(field_id, [])), dtype=np.uint64).reshape(-1, 2)
        return table[:, 0], table[:, 1]


def recover(collection: Collection, root: Path) -> None:
    """Fill an empty Collection from the store and its segment folders, and publish its first view.

    Raises DataLoss where the truth itself is damaged.
    """
    number, kv = collection.number, collection.kv
    if kv.failure() is None:  # else nothing is written before it is opened again
        drop_rows_from(kv, number, collection.committed.next_row)
    manifest = manifests.load(kv, number)
    collection.next_segment = manifest.next_segment
    changes = [codec.decode_change(value) for _, value in kv.scan(keys.log(number, 0), keys.log(number, keys.LAST_ROW))]
    sealed, damaged = _load_sealed(collection, manifest, root)
    hit("load.before_replay")
    later = [change for change in changes if change.seq > manifest.seq]
    dead = np.unique(np.concatenate([manifest.tail_dead, *[change.killed for change in later]]))
    texts = _OwnTexts()
    segments, growing = _read_unsealed(collection, manifest, sealed, damaged, dead, texts)
    with collection.publish_lock:
        collection.segments = sorted(sealed + segments, key=lambda s: s.first_row)
        collection.growing = growing
        head = collection.committed
        collection.seq, collection.row_bound, collection.live = head.seq, head.next_row, head.live
        for change in later:
            collection.stamp(change)
        collection.listed_seq = manifest.garbage_seq
        collection.retention.start(manifest.garbage_seq)
        for change in changes:
            collection.note(change)
        collection.retention.let_go_to(_horizon(collection, manifest, changes))
        collection.covered_seq = manifest.seq
        for change in changes:
            if change.request_id:
                result = WriteResult(change.seq, change.count)
                collection.requests.remember(change.request_id, change.time_ms / 1000, result)
        collection.publish()
    if collection.entry.indexing == "auto" and texts.characters <= ANALYZED_CHARACTERS:
        _analyze(collection)
    hit("load.after_replay")


def _horizon(collection: Collection, manifest: manifests.Manifest, changes: list[codec.Change]) -> int:
    """The last write of which something was deleted, which the change feed cannot tell any more.

    Dead rows are deleted write by write, and of each write the first row first.
    """
    if not changes:
        return collection.committed.seq
    killing = [change for change in changes if len(change.killed)]

    def is_whole(change: codec.Change) -> bool:
        return collection.kv.get(keys.body(collection.number, int(change.killed[0]))) is not None

    gone = bisect_left(killing, True, key=is_whole)
    last = killing[gone - 1].seq if gone else 0
    return max(changes[0].seq - 1, manifest.garbage_seq, last)


def _analyze(collection: Collection) -> None:
    """Make the postings of what was read again, so that the first search by words need not.

    Given up when the collection is to be let go of, and for a text that is gone: who searches is told.
    """
    texts, view = collection.reading.texts, collection.view

    def check() -> None:
        if collection.closing or collection.evicted or collection.dropped:
            raise Cancelled("the collection is let go of")

    with contextlib.suppress(Cancelled, DataLoss):
        for segment in view.segments:
            for key, part in segment.parts.items():
                if part.text is not None and segment.state != "sealed" and texts.analyzer(key) is not None:
                    with part.text.making:
                        texts.make(part, part.text, key, view.seq, check)
    with collection.publish_lock:
        collection.publish()


def _load_sealed(
    collection: Collection, manifest: manifests.Manifest, root: Path
) -> tuple[list[Segment], list[tuple[int, int]]]:
    """Sealed segments, and the row intervals of those whose files are damaged or missing."""
    sealed: list[Segment] = []
    damaged: list[tuple[int, int]] = []
    for i, entry in enumerate(manifest.segments):
        value = collection.kv.get(keys.tombstones(collection.number, entry["number"]))
        tombstones = None if value is None else codec.decode_tombstones(value)
        try:
            segment, pause_s = sealing.load(root, collection.number, entry, collection.fields, tombstones)
        except (files.Damaged, DataLoss, OSError) as error:
            log.warning(
                "collection %r: segment %s cannot be used and is built again: %s",
                collection.entry.name,
                entry["number"],
                error,
            )
            damaged.append((int(entry["first_row"]), int(entry["end_row"])))
            continue
        if "texts" not in entry:
            _find_texts(collection, segment, sealing.folder_of(root, collection.number, segment.number))
        collection.longest_pause_s = max(collection.longest_pause_s, pause_s)
        sealed.append(segment)
        collection.load_progress = (i + 1) / (len(manifest.segments) + 1)
    return sealed, damaged


def _find_texts(collection: Collection, segment: Segment, folder: Path) -> None:
    """Give a segment of a release that had no parts of texts such parts, from its bodies; the next manifest has them.

    No text of it had been adopted when that release wrote it, and no body that a later write killed is deleted before
    a manifest is written: each row owns its text, and one without a body is dead.
    """
    number = collection.number
    with_text: dict[int, set[int]] = {key: set() for key in collection.texts}
    there: set[int] = set()
    start, end = keys.body(number, segment.first_row), keys.body(number, segment.end_row)
    for body_key, value in collection.kv.scan(start, end):
        row = keys.body_row(body_key)
        there.add(row)
        for field_number in codec.decode_body(value).texts:
            if TEXT | field_number in with_text:
                with_text[TEXT | field_number].add(row)
    rows = segment.rows.tolist()
    for key, texts in with_text.items():
        kept = np.array([row in texts or row not in there for row in rows], dtype=np.bool_)
        sealing.add_texts(segment, folder, key, kept)


def _read_unsealed(
    collection: Collection,
    manifest: manifests.Manifest,
    sealed: list[Segment],
    damaged: list[tuple[int, int]],
    dead: UInt64,
    texts: _OwnTexts,
) -> tuple[list[Segment], Growing]:
    """Rows without a sealed segment, as frozen segments and the growing one, their dead marked."""
    read: list[Growing] = []
    adoptions = _Adoptions()
    damaged_dead = [_dead_by_pointer(collection, *interval) for interval in damaged]
    dead = np.unique(np.concatenate([dead, *damaged_dead]))
    for first, end in sorted(manifest.unsealed + damaged):
        some = _read_interval(collection, first, end, dead, adoptions, texts)
        read += some[:-1] if len(some) > 1 and some[-1].empty else some  # the rows after it are another's
    read += _read_interval(collection, manifest.tail_row, collection.committed.next_row, dead, adoptions, texts)
    covered = max((int(entry["first_row"]) for entry in manifest.segments), default=0)
    if any(first < covered for first, _ in manifest.unsealed + damaged):
        _note_all_adoptions(collection, adoptions)
    _restore_texts(collection, sealed, read, adoptions, texts)
    *full, growing = read
    segments = [_frozen(one) for one in full if not one.empty]
    for segment in segments:
        segment.damaged = any(first <= segment.first_row < end for first, end in damaged)
    for segment in [*segments, growing.segment()]:
        _bury(segment, dead, adoptions)
    return segments, growing


def _read_interval(
    collection: Collection, first: int, end: int, dead: UInt64, adoptions: _Adoptions, texts: _OwnTexts
) -> list[Growing]:
    """Read rows first..end into growing segments, all full but the last; without the slots of their texts."""
    read = [collection.new_growing(collection.take_number(), first)]
    for rows in _chunks(collection, first, end, dead, adoptions, texts):
        read[-1].append(rows)
        if collection.is_full(read[-1]):
            read.append(collection.new_growing(collection.take_number(), read[-1].segment().end_row))
    return read


def _restore_texts(
    collection: Collection, sealed: list[Segment], read: list[Growing], adoptions: _Adoptions, texts: _OwnTexts
) -> None:
    """Give each segment that was read again the slots of its texts.

    They are those of its rows, and those that a living row has adopted of one whose body is gone: unlike a vector such
    a slot leaves no other trace.
    """
    layout: list[Segment | Growing] = sorted([*sealed, *read], key=lambda segment: segment.first_row)
    starts = np.array([segment.first_row for segment in layout], dtype=np.uint64)
    for key in collection.texts:
        slots = np.unique(np.concatenate([np.array(texts.rows.get(key, ()), dtype=np.uint64), adoptions.of(key)[0]]))
        owner = np.maximum(np.searchsorted(starts, slots, side="right") - 1, 0)
        for i, segment in enumerate(layout):
            if isinstance(segment, Growing):
                segment.restore_texts(key, slots[owner == i])


def _chunks(
    collection: Collection, first: int, end: int, dead: UInt64, adoptions: _Adoptions, texts: _OwnTexts
) -> Iterator[NewRows]:
    number = collection.number
    vectors = _vector_chunks(collection, first, end)
    waiting = next(vectors, None)
    rows: list[int] = []
    seqs: list[int] = []
    ids: list[str] = []
    bodies: list[Body] = []
    size = 0

    def flush(bound: int) -> NewRows:
        nonlocal waiting, rows, seqs, ids, bodies, size
        taken: dict[int, list[tuple[int, bytes]]] = {}
        while waiting is not None and waiting[0] < bound:
            taken.setdefault(waiting[1], []).append((waiting[0], waiting[2]))
            waiting = next(vectors, None)
        columns = {f: _column(collection, f, pairs) for f, pairs in taken.items() if f in collection.fields}
        held = columns_of(bodies) if collection.has_columns else None
        ends = expiries([body.expires_at for body in bodies])
        out = NewRows(np.array(rows, dtype=np.uint64), np.array(seqs, dtype=np.uint64), ids, columns, size, held, ends)
        rows, seqs, ids, bodies, size = [], [], [], [], 0
        return out

    killed = set(dead[(dead >= first) & (dead < end)].tolist())
    for key, value in collection.kv.scan(keys.body(number, first), keys.body(number, end)):
        body = codec.decode_body(value)
        row = keys.body_row(key)
        rows.append(row)
        seqs.append(body.seq)
        ids.append(body.id)
        bodies.append(body)
        size += len(value)
        if row not in killed:
            adoptions.note(row, body.slots)
        texts.note(row, body, row not in killed)
        if len(rows) == READ_ROWS:
            yield flush(row + 1)
    if rows or waiting is not None:
        last = flush(end)
        if len(last.rows) or last.vectors:
            yield last


def _vector_chunks(collection: Collection, first: int, end: int) -> Iterator[tuple[int, int, bytes]]:
    """(row, field id, bytes) of the vectors of rows first..end."""
    number = collection.number
    for key, value in collection.kv.scan(keys.vector_from(number, first), keys.vector_from(number, end)):
        row, field_id = keys.vector_row_field(key)
        yield row, field_id, value


def _column(collection: Collection, field_id: int, pairs: list[tuple[int, bytes]]) -> tuple[UInt64, Float32]:
    about = collection.fields[field_id]
    for row, raw in pairs:
        if len(raw) != 4 * about.dim:
            raise DataLoss(
                f"the vector of row {row} has a wrong size", expected=f"{4 * about.dim} bytes", received=str(len(raw))
            )
    data = np.frombuffer(b"".join(raw for _, raw in pairs), dtype="<f4").reshape(-1, about.dim)
    return np.array([row for row, _ in pairs], dtype=np.uint64), metric.prepare(about.metric, data)


def _frozen(growing: Growing) -> Segment:
    segment = growing.segment()
    segment.state = "frozen"
    return segment


def _bury(segment: Segment, dead: UInt64, adoptions: _Adoptions) -> None:
    """Mark the dead of a segment read from the truth: bodies as told, slots that no living body uses."""
    ordinals, found = segment.find(dead)
    segment.kill(ordinals[found], 0)
    for field_id, part in segment.parts.items():
        at, there = segment.find(part.slots)
        lives = there & (segment.died[at] != 0) if len(segment) else there
        slots, rows = adoptions.of(field_id)
        ordinals, found = part.find(slots)
        if found.any():
            part.adopt(ordinals[found], rows[found])
            lives[ordinals[found]] = True
        part.kill(np.flatnonzero(~lives), 0)


def _dead_by_pointer(collection: Collection, first: int, end: int) -> UInt64:
    """Which bodies of an interval are not the newest of their id: for intervals whose tombstones are not usable."""
    number = collection.number
    out: list[int] = []
    for key, value in collection.kv.scan(keys.body(number, first), keys.body(number, end)):
        row = keys.body_row(key)
        raw = collection.kv.get(keys.pointer(number, codec.decode_body(value).id))
        pointer = None if raw is None else codec.decode_pointer(raw)
        if pointer is None or pointer.deleted or pointer.row != row:
            out.append(row)
    return np.array(out, dtype=np.uint64)


def _note_all_adoptions(collection: Collection, adoptions: _Adoptions) -> None:
    """Every slot that a living body of the whole collection adopts: its body may be in a segment that is fine."""
    number = collection.number
    adoptions.pairs.clear()
    for key, value in collection.kv.scan(keys.pointer_prefix(number), keys.pointer_prefix(number + 1)):
        pointer = codec.decode_pointer(value)
        if pointer.adopted and not pointer.deleted:
            raw = collection.kv.get(keys.body(number, pointer.row))
            if raw is None:
                raise DataLoss(f"point {keys.pointer_id(key)!r} has no body", received=f"row {pointer.row}")
            adoptions.note(pointer.row, codec.decode_body(raw).slots)
