"""The manifest of a collection: which sealed segments it has, and up to where their tombstones reach.

It is one value in the store, written in one batch with the tombstones it speaks of, so that a crash
finds both or neither. Log records it covers may go once the garbage they name is deleted too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vecdb.engine.collection import Collection
from vecdb.engine.sealing import describe
from vecdb.engine.segment import ALIVE, Segment, UInt64
from vecdb.errors import DataLoss
from vecdb.storage import codec, keys
from vecdb.storage.codec import PartTombstones, Tombstones
from vecdb.storage.kv import KV, Batch, write_patiently

VERSION = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """``seq``: kills up to here are in the tombstones. ``garbage_seq``: up to here dead rows are deleted.

    Rows without a sealed segment are those of the intervals ``unsealed`` and all from ``tail_row`` on; any
    other row that still has a body is dead. ``tail_dead``: the dead among them, as of ``seq``.
    """

    seq: int = 0
    garbage_seq: int = 0
    next_segment: int = 1
    segments: list[dict[str, Any]] = field(default_factory=list)
    unsealed: list[tuple[int, int]] = field(default_factory=list)
    tail_row: int = 0
    tail_dead: UInt64 = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))


def save(collection: Collection) -> None:
    """Write manifest and tombstones as of what is published (publish lock held). Durable after the next sync."""
    sealed = [s for s in collection.segments if s.state == "sealed"]
    unsealed = [s for s in collection.segments if s.state != "sealed"]
    if not collection.growing.empty:
        unsealed.append(collection.growing.segment())
    tail = [s.rows[s.died != ALIVE] for s in unsealed if s.dead]
    batch = collection.kv.batch()
    batch.delete_range(keys.tombstones(collection.number, 0), keys.tombstones(collection.number, keys.LAST_ROW))
    for segment in sealed:
        batch.put(keys.tombstones(collection.number, segment.number), codec.encode_tombstones(_tombstones(segment)))
    rows = np.concatenate(tail) if tail else np.zeros(0, dtype=np.uint64)
    batch.put(keys.tombstones(collection.number, keys.LAST_ROW), codec.encode_rows(rows))
    document = {
        "seq": collection.seq,
        "garbage_seq": _garbage_seq(collection),
        "next_segment": collection.next_segment,
        "segments": [describe(segment) for segment in sealed],
        "unsealed": [[s.first_row, s.end_row] for s in collection.segments if s.state != "sealed"],
        "tail_row": collection.growing.first_row,
    }
    batch.put(keys.manifest(collection.number), codec.encode_json(VERSION, document))
    collection.kv.write(batch)
    collection.covered_seq = collection.seq


def load(kv: KV, collection: int) -> Manifest:
    """The manifest, an empty one when none was written. Raises DataLoss."""
    value = kv.get(keys.manifest(collection))
    if value is None:
        return Manifest()
    document = codec.decode_json(value, VERSION, "a manifest")
    tail = kv.get(keys.tombstones(collection, keys.LAST_ROW))
    try:
        return Manifest(
            seq=int(document["seq"]),
            garbage_seq=int(document["garbage_seq"]),
            next_segment=int(document["next_segment"]),
            segments=list(document["segments"]),
            unsealed=[(int(a), int(b)) for a, b in document["unsealed"]],
            tail_row=int(document["tail_row"]),
            tail_dead=np.zeros(0, dtype=np.uint64) if tail is None else codec.decode_rows(tail),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataLoss(f"the manifest of collection {collection} does not make sense: {error!r}") from error


def trim_log(collection: Collection, now: float) -> None:
    """Delete log records that nothing needs: covered, their garbage gone, older than the request memory."""
    bound = min(collection.covered_seq, _garbage_seq(collection))
    old = now - collection.options.request_memory_s
    last = None
    while collection.logged and collection.logged[0][0] <= bound and collection.logged[0][1] < old:
        last = collection.logged.popleft()[0]
    if last is None:
        return
    end = keys.log(collection.number, last + 1)

    def build() -> Batch:
        batch = collection.kv.batch()
        batch.delete_range(keys.log(collection.number, 0), end)
        return batch

    write_patiently(collection.kv, build)


def _garbage_seq(collection: Collection) -> int:
    return collection.garbage[0].seq - 1 if collection.garbage else collection.listed_seq


def _tombstones(segment: Segment) -> Tombstones:
    return Tombstones(
        segment.died != ALIVE,
        {f: PartTombstones(part.died != ALIVE, part.owners) for f, part in segment.parts.items()},
    )
