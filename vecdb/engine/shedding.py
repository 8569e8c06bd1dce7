"""Delete what dropped vector fields left: their parts of segments, the files of these, and the vectors themselves.

The field is gone for everybody once the catalog says so; this only gives its space back, a piece at a time, and may be
cut off anywhere: the catalog names the field until nothing of it is left. Bodies go on naming its vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from vecdb.engine.collection import Collection, Entry
from vecdb.engine.commit import Committer
from vecdb.engine.sealing import folder_of
from vecdb.failpoint import hit
from vecdb.storage import keys
from vecdb.storage.kv import Batch, write_patiently

PIECE_ROWS = 4_096
"""Rows whose vectors are looked through at once; each step of a scan stops every thread for as long as it takes."""


def shed(
    collection: Collection,
    committer: Committer,
    root: Path,
    put_entry: Callable[[Entry], None],
    save_manifest: Callable[[Collection], None],
) -> bool:
    """Do the next piece for the field dropped first; False when there is none, or readers still hold its vectors."""
    dropping = collection.entry.shape.dropping
    if not dropping:
        return False
    field_id = dropping[0]
    if collection.writer is not None and field_id in collection.writer.parts:
        collection.writer = None  # what it gathers is replaced
    with collection.publish_lock:
        had = collection.shed(field_id)
        shown = collection.shows(field_id)
    if had:
        hit("shed.before_manifest")
        save_manifest(collection)
    if collection.shed_row == 0:
        hit("shed.before_unlink")
        for segment in collection.segments:
            for file in folder_of(root, collection.number, segment.number).glob(f"{field_id}.*"):
                file.unlink(missing_ok=True)  # whoever holds an older view has it open
    if shown:
        return had
    if collection.shed_row < collection.committed.next_row:
        _delete_vectors(collection, field_id, collection.shed_row, collection.shed_row + PIECE_ROWS)
        collection.shed_row += PIECE_ROWS
        return True

    def forget() -> None:
        if collection.dropped or collection.evicted:
            return
        entry = collection.entry
        shape = entry.shape.dropped(field_id)
        put_entry(replace(entry, shape=shape))
        with collection.publish_lock:
            entry.shape = shape

    committer.between_commits(forget)
    collection.shed_row = 0
    return True


def _delete_vectors(collection: Collection, field_id: int, first_row: int, end_row: int) -> None:
    """Rows written since the drop have none, so nothing comes after what was looked through."""
    hit("shed.before_delete")
    number = collection.number
    found = collection.kv.scan(keys.vector_from(number, first_row), keys.vector_from(number, end_row))
    gone = [key for key, _ in found if keys.vector_row_field(key)[1] == field_id]

    def build() -> Batch:
        batch = collection.kv.batch()
        for key in gone:
            batch.delete(key)
        return batch

    if gone:
        write_patiently(collection.kv, build)
    hit("shed.after_delete")
