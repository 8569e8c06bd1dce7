"""Delete dead bodies, their vectors and the pointers of deleted ids, once nobody can see them; give their space back.

What the change feed can still tell is no garbage yet: ``list_garbage`` takes up what retention lets go of. And only
what is both covered (the kill is in a persisted tombstone, so no replay will look for the row) and
below the oldest view still held. Runs between commits, because a pointer of a deleted id must not be
removed while a commit gives that id a new row.

What is deleted keeps its space until RocksDB rewrites the tables it is in, which it does while others are written and
may never do after: ``give_back`` is for what is quiet, by pieces of the rows of which a good part is gone. Pointers lie
by id and not by row: they are rewritten as a whole.
"""

from __future__ import annotations

import numpy as np

from vecdb.engine.collection import Collection, Garbage
from vecdb.engine.commit import Committer
from vecdb.failpoint import hit
from vecdb.storage import codec, keys
from vecdb.storage.kv import Batch, write_patiently

SLICE_ROWS = 256
PIECE_ROWS = 1 << 16
"""Rewritten at once: the builder does nothing else meanwhile, some seconds where values are large."""
PIECE_DEAD = 1 / 3
"""Of a piece's rows, gone since it was last rewritten: what is quiet has at most half as many dead as live ones."""
LEAST_DEAD = 10_000
"""Rows gone from one piece before it is worth a flush of what was just written."""
POINTER_BYTES = 128
"""Of a pointer and its id, which is mostly much shorter."""


def list_garbage(collection: Collection, now_s: float, everything: bool = False) -> None:
    """Let go of changes too old or too many for the feed, or of ``everything``, and list what they left dead.

    It is in their log records, which stay until it is deleted.
    """
    with collection.publish_lock:
        if everything:
            collection.retention.let_go_to(collection.seq)
        else:
            collection.retention.let_go(now_s, collection.live_bytes)
        horizon = collection.retention.horizon
    if horizon == collection.listed_seq:
        return
    start, end = keys.log(collection.number, collection.listed_seq + 1), keys.log(collection.number, horizon + 1)
    for _, value in collection.kv.scan(start, end):
        change = codec.decode_change(value)
        with collection.publish_lock:
            collection.discard(change)
    with collection.publish_lock:
        collection.listed_seq = horizon


def reap(collection: Collection, committer: Committer) -> bool:
    """Delete the garbage that may go; True when there was some. It stays listed until it is gone, for ``check``."""
    with collection.publish_lock:
        bound = min(collection.covered_seq, collection.oldest_view())
    reaped = False
    while collection.garbage and collection.garbage[0].seq <= bound:
        _delete(collection, collection.garbage[0], committer)
        _note_dead(collection, collection.garbage[0])
        with collection.publish_lock:
            collection.garbage_rows -= len(collection.garbage.popleft().rows)
        reaped = True
    return reaped


def give_back(collection: Collection, room: int) -> bool:
    """Rewrite a piece of the rows of which much is gone, the most first, or the pointers; True when there was one.

    What is rewritten needs space beside what it replaces: nothing is done where that is more than ``room`` bytes.
    """
    return _rewrite_rows(collection, room) or _rewrite_pointers(collection, room)


def _rewrite_rows(collection: Collection, room: int) -> bool:
    number = collection.number
    for piece, dead in collection.dead_in_pieces.most_common():
        first, end = piece * PIECE_ROWS, min((piece + 1) * PIECE_ROWS, collection.committed.next_row)
        fits = (end - first) * collection.row_bytes <= room
        if fits and dead >= max(LEAST_DEAD, PIECE_DEAD * (end - first)):
            break
    else:
        return False
    collection.kv.compact(keys.body(number, first), keys.body(number, end))
    hit("rewrite.before_vectors")
    collection.kv.compact(keys.vector_from(number, first), keys.vector_from(number, end))
    collection.kv.compact(keys.log(number, 0), keys.log(number, keys.LAST_ROW))  # short, and most of it gone
    del collection.dead_in_pieces[piece]  # last: what fails is done again
    return True


def _rewrite_pointers(collection: Collection, room: int) -> bool:
    dead, number = collection.dead_pointers, collection.number
    there = collection.live + dead
    if dead < max(LEAST_DEAD, PIECE_DEAD * there) or there * POINTER_BYTES > room:
        return False
    hit("rewrite.before_pointers")
    collection.kv.compact(keys.pointer_prefix(number), keys.pointer_prefix(number + 1))
    collection.dead_pointers = 0
    return True


def row_ranges(collection: int) -> list[tuple[bytes, bytes]]:
    """Key ranges whose files are worth rewriting after garbage was deleted."""
    return [
        (keys.body(collection, 0), keys.body(collection, keys.LAST_ROW)),
        (keys.vector_from(collection, 0), keys.vector_from(collection, keys.LAST_ROW)),
        (keys.pointer_prefix(collection), keys.pointer_prefix(collection + 1)),
        (keys.log(collection, 0), keys.log(collection, keys.LAST_ROW)),
    ]


def _delete(collection: Collection, garbage: Garbage, committer: Committer) -> None:
    hit("reap.before_delete")
    rows = garbage.rows.tolist()
    for start in range(0, len(rows), SLICE_ROWS):
        some = rows[start : start + SLICE_ROWS]
        committer.between_commits(lambda some=some: _delete_rows(collection, some))  # type: ignore[misc]
    for field_id, slots in garbage.slots.items():
        wanted = slots.tolist()
        for start in range(0, len(wanted), SLICE_ROWS):
            _delete_keys(
                collection,
                [keys.vector(collection.number, slot, field_id) for slot in wanted[start : start + SLICE_ROWS]],
            )
    hit("reap.after_delete")


def _note_dead(collection: Collection, garbage: Garbage) -> None:
    """Count, by piece, the rows of which a body or a vector went; and pointers that were overwritten or deleted."""
    rows = np.unique(np.concatenate([garbage.rows, *garbage.slots.values()]))
    pieces, counts = np.unique(rows // np.uint64(PIECE_ROWS), return_counts=True)
    for piece, count in zip(pieces.tolist(), counts.tolist(), strict=True):
        collection.dead_in_pieces[piece] += count
    collection.dead_pointers += len(garbage.rows)


def _delete_rows(collection: Collection, rows: list[int]) -> None:
    """On the committer's thread: the bodies, and pointers of ids whose deletion these rows were."""
    number = collection.number
    if collection.dropped:
        return
    bodies = collection.lookup.raw_bodies(rows)
    ids = {row: codec.decode_body(raw).id for row, raw in zip(rows, bodies, strict=True) if raw is not None}
    pointers = collection.kv.get_many([keys.pointer(number, point_id) for point_id in ids.values()])
    gone = [keys.body(number, row) for row in ids]
    for (row, point_id), raw in zip(ids.items(), pointers, strict=True):
        if raw is None:
            continue
        pointer = codec.decode_pointer(raw)
        if pointer.deleted and pointer.row == row:
            gone.append(keys.pointer(number, point_id))
    _delete_keys(collection, gone)


def _delete_keys(collection: Collection, gone: list[bytes]) -> None:
    def build() -> Batch:
        batch = collection.kv.batch()
        for key in gone:
            batch.delete(key)
        return batch

    write_patiently(collection.kv, build)
