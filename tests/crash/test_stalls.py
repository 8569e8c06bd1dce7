"""A store that is behind its own compaction makes every call of the engine wait; none ever shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.crash.record import Op, Write, schema
from tests.crash.report import CONTEXT, report
from tests.crash.workload import options
from vecdb.engine.database import Database
from vecdb.model.point import WriteBatch
from vecdb.storage.kv import Batch
from vecdb.storage.memory import MemoryKV

STALLS = 3
EVERYTHING = tuple(range(200))


def _write(database: Database) -> None:
    ops = (Op("upsert", EVERYTHING, "vspt"), Op("delete", EVERYTHING[::2]))
    database.write(CONTEXT, "c", WriteBatch(Write(7, "c", ops, True).operations()))


@pytest.mark.parametrize(
    "call",
    [
        _write,
        lambda db: db.create_collection(CONTEXT, "d", schema("d")),
        lambda db: db.drop_collection(CONTEXT, "c"),
        lambda db: db.set_indexing(CONTEXT, "c", "deferred"),
        lambda db: db.compact(CONTEXT, "c"),
        lambda db: db.cover(CONTEXT, "c"),
    ],
    ids=["write", "create", "drop", "set_indexing", "compact", "cover"],
)
@pytest.mark.parametrize("first", [1, 2, 3], ids=lambda first: f"from write {first}")
def test_no_call_shows_a_stall(tmp_path: Path, call: Callable[[Database], object], first: int) -> None:
    """Creating and dropping a collection raised WriteStall."""
    kv = Stalling()
    database = Database(kv, tmp_path, replace(options(), background=False))
    database.create_collection(CONTEXT, "c", schema("c"))
    _write(database)
    kv.stall_from(first)
    call(database)
    assert report(database)["problems"] == []
    database.close()


def test_opening_shows_no_stall(tmp_path: Path) -> None:
    kv = Stalling()
    database = Database(kv, tmp_path, replace(options(), background=False))
    database.create_collection(CONTEXT, "c", schema("c"))
    _write(database)
    shown = report(database)
    orphans = kv.batch()
    for key, value in list(kv.scan(b"b", b"c"))[:5]:  # slices of a commit that never came
        orphans.put(key[:5] + b"\xff" + key[6:], value)
    kv.write(orphans)
    everything = dict(kv.scan(b"", b"\xff"))
    database.close()
    survived = Stalling(everything)
    survived.stall_from(1)
    database = Database(survived, tmp_path, replace(options(), background=False))
    assert report(database) == shown
    database.close()


class Stalling(MemoryKV):
    """A store that stalls a few times from the n-th write on."""

    _until = -1

    def stall_from(self, n: int) -> None:
        self._until = n

    def write(self, batch: Batch) -> None:
        self._until -= 1
        if self._until == 0:
            self.stall_next_write(STALLS)
        super().write(batch)
