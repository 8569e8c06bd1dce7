"""What meets at a named place of the engine: checks beside maintenance, writers beside a drop."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.crash.record import DIMS, Op, Write, point_id, schema
from tests.crash.report import CONTEXT, report
from tests.crash.workload import options
from vecdb import failpoint
from vecdb.engine.collection import Collection
from vecdb.engine.database import Database
from vecdb.engine.view import View
from vecdb.errors import Closed, CollectionNotFound, ReadOnly, Unavailable
from vecdb.model.context import CallContext
from vecdb.model.point import Select, WriteBatch
from vecdb.model.query import Near, SearchRequest
from vecdb.storage import files
from vecdb.storage.memory import MemoryKV

EVERYTHING = tuple(range(200))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path, options())
    opened.create_collection(CONTEXT, "c", schema("c"))
    yield opened
    failpoint.disarm()
    assert report(opened)["problems"] == []
    opened.close()


def write(database: Database, number: int, *ops: Op) -> None:
    batch = WriteBatch(Write(number, "c", ops, True).operations())
    database.write(CONTEXT, "c", batch)


@pytest.mark.parametrize(
    "name",
    ["reap.before_delete", "reap.after_delete", "seal.before_files", "seal.after_manifest", "merge.before_unlink"],
)
def test_a_check_beside_maintenance_finds_nothing_wrong(database: Database, name: str) -> None:
    """It told of dead rows that nothing would delete, while they were being deleted."""
    problems: list[str] = []
    reached = threading.Event()

    def look(_: str) -> None:
        problems.extend(database.check(CONTEXT))
        reached.set()

    failpoint.arm(name, look)
    for number in range(1, 8):
        write(database, number, Op("upsert", EVERYTHING, "vspt"), Op("delete", EVERYTHING[: 20 * number]))
        database.compact(CONTEXT, "c")
    assert reached.is_set()
    assert problems == []


def test_a_check_beside_a_drop_finds_nothing_wrong(database: Database) -> None:
    """It told of keys that belong to no collection, before they were purged."""
    write(database, 1, Op("upsert", EVERYTHING, "vspt"))
    problems: list[str] = []
    failpoint.arm("drop.before_purge", lambda _: problems.extend(database.check(CONTEXT)))
    database.drop_collection(CONTEXT, "c")
    assert problems == []


def test_a_writer_that_opens_a_collection_while_it_is_dropped_is_refused(tmp_path: Path) -> None:
    """The write was acknowledged, into a collection that was gone, and its keys stayed for ever."""
    few = WriteBatch(Write(1, "c", (Op("upsert", (1, 2, 3), "vspt"),), True).operations())
    calm = replace(options(), background=False)
    database = Database.open(tmp_path, calm)
    database.create_collection(CONTEXT, "c", schema("c"))
    database.write(CONTEXT, "c", few)
    database.close()

    database = Database.open(tmp_path, calm)
    found: list[Collection] = []
    failpoint.arm("drop.before_catalog", lambda _: found.append(database._use(CONTEXT, "c")))
    database.drop_collection(CONTEXT, "c")
    failpoint.disarm()
    with pytest.raises(CollectionNotFound):
        found[0].write(CONTEXT, few, database._committer)
    assert database.check(CONTEXT) == []
    database.close()


def test_closing_refuses_the_writers_that_wait_for_the_builder(tmp_path: Path) -> None:
    """They waited for ever, for a builder that was gone."""
    database = Database.open(tmp_path, replace(options(), background=False, max_unindexed_bytes=4_096))
    database.create_collection(CONTEXT, "c", schema("c"))
    write(database, 1, Op("upsert", EVERYTHING, "vspt"))
    outcome: list[BaseException] = []

    def one_more() -> None:
        try:
            write(database, 2, Op("upsert", EVERYTHING, "vspt"))
        except BaseException as error:
            outcome.append(error)

    database._wake.clear()
    writer = threading.Thread(target=one_more)
    writer.start()
    assert database._wake.wait(30)  # it asks for the builder, and waits
    database.close()
    writer.join(30)
    assert [type(error) for error in outcome] == [Closed]


@pytest.mark.parametrize(
    "read",
    [
        lambda db: db.search(CONTEXT, "c", SearchRequest([Near(np.ones((1, DIMS[""]), dtype=np.float32))])),
        lambda db: db.get(CONTEXT, "c", [point_id(1)], Select()),
        lambda db: db.exists(CONTEXT, "c", [point_id(1)]),
        lambda db: db.count(CONTEXT, "c"),
        lambda db: db.scroll(CONTEXT, "c", None, 10, Select()),
    ],
    ids=["search", "get", "exists", "count", "scroll"],
)
def test_a_reader_that_is_overtaken_by_a_drop_finds_no_collection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Database], object]
) -> None:
    """It was told of lost data, or was answered as if the collection were empty."""
    database = Database.open(tmp_path, options())
    database.create_collection(CONTEXT, "c", schema("c"))
    write(database, 1, Op("upsert", EVERYTHING, "vspt"))
    look = Collection._look

    def overtaken(collection: Collection) -> View:
        view = look(collection)
        database.drop_collection(CONTEXT, "c")
        return view

    monkeypatch.setattr(Collection, "_look", overtaken)
    with pytest.raises(CollectionNotFound):
        read(database)
    database.close()


def test_a_failed_sync_refuses_the_writers_that_wait_for_the_builder(tmp_path: Path) -> None:
    """They waited for ever, or to their deadline, for a builder that could do nothing any more; so did wait_indexed."""
    kv = MemoryKV()
    database = Database(kv, tmp_path, replace(options(), background=False, max_unindexed_bytes=4_096))
    database.create_collection(CONTEXT, "c", schema("c"))
    write(database, 1, Op("upsert", EVERYTHING, "vspt"))
    outcome: list[BaseException] = []

    def one_more() -> None:
        try:
            write(database, 2, Op("upsert", EVERYTHING, "vspt"))
        except BaseException as error:
            outcome.append(error)

    database._wake.clear()
    writer = threading.Thread(target=one_more)
    writer.start()
    assert database._wake.wait(30)  # it asks for the builder, and waits
    kv.fail_next_sync()
    with pytest.raises(ReadOnly):
        write(database, 3, Op("delete", (1,)))
    writer.join(30)
    assert [type(error) for error in outcome] == [ReadOnly]
    with pytest.raises(ReadOnly):
        database.wait_indexed(CONTEXT, "c")
    database.close()


def test_a_disk_that_refuses_a_compaction_is_told_of(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller got a bare OSError."""
    write(database, 1, Op("upsert", EVERYTHING, "vspt"))
    with monkeypatch.context() as patch:
        patch.setattr(files, "fsync_file", lambda path: (_ for _ in ()).throw(OSError(errno.EIO, "no", str(path))))
        with pytest.raises(Unavailable, match="could not be written"):
            database.compact(CONTEXT, "c")
    database.compact(CONTEXT, "c")
    assert database.count(CONTEXT, "c") == len(EVERYTHING)


def test_a_collection_whose_files_cannot_be_written_keeps_no_other_from_being_indexed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its merge was tried again and again, and nothing else was built."""
    database = Database.open(tmp_path, replace(options(), max_unindexed_bytes=1 << 20))
    for name in ("bad", "good"):
        database.create_collection(CONTEXT, name, schema(name))
    real, refused = files.fsync_file, threading.Event()

    def fsync_file(path: Path) -> None:
        if "segments/1/" in str(path):
            refused.set()
            raise OSError(errno.EIO, "no", str(path))
        real(path)

    monkeypatch.setattr(files, "fsync_file", fsync_file)
    batch = WriteBatch(Write(1, "c", (Op("upsert", EVERYTHING, "vspt"),), True).operations())
    database.write(CONTEXT, "bad", batch)
    assert refused.wait(30)
    database.write(CONTEXT, "good", batch)
    database.wait_indexed(CallContext.within(30), "good")
    database.close()
