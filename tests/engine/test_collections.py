"""Collections: made, described, dropped; opened when used and let go of when idle."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engine.conftest import make
from tests.engine.handle import PLAIN, SMALL, TWO, Handle, gaussian, names, upsert
from vecdb import failpoint
from vecdb.engine.database import Database
from vecdb.engine.reaping import list_garbage
from vecdb.errors import Closed, CollectionExists, CollectionNotFound, InvalidArgument
from vecdb.model.context import CallContext
from vecdb.model.filter.expression import F
from vecdb.model.schema import Schema, TextField, VectorField
from vecdb.storage.memory import MemoryKV

Opener = Callable[..., Database]
NOW = CallContext()


def test_a_collection_is_described(db: Database) -> None:
    schema = Schema(
        {"": VectorField(4, "dot", 8, 50, "some-model"), "image": VectorField(3, "euclidean")},
        {"": TextField(), "title": TextField("english")},
    )
    made = db.create_collection(NOW, "docs.v-1_a", schema)
    assert (made.name, made.schema, made.indexing, made.points) == ("docs.v-1_a", schema, "auto", 0)
    c = Handle(db, "docs.v-1_a")
    c.upsert(names(3), gaussian(3))
    found = db.describe(NOW, "docs.v-1_a")
    assert (found.schema, found.points, found.created_at_ms) == (schema, 3, made.created_at_ms)
    assert db.list_collections(NOW) == [found]


def test_what_is_described_is_the_same_after_opening(open_db: Opener) -> None:
    db = open_db()
    for name in ("b", "a", "c"):
        make(db, TWO, name).upsert(names(3), {"": gaussian(3)})
    db.set_indexing(NOW, "b", "deferred")
    before = db.list_collections(NOW)
    assert [info.name for info in before] == ["a", "b", "c"]
    db.close()
    assert open_db().list_collections(NOW) == before


def test_a_collection_that_exists(db: Database) -> None:
    make(db, TWO)
    assert db.create_collection(NOW, "c", TWO, exist_ok=True).name == "c"
    with pytest.raises(CollectionExists):
        db.create_collection(NOW, "c", TWO)
    with pytest.raises(CollectionExists, match="another schema") as refused:
        db.create_collection(NOW, "c", PLAIN, exist_ok=True)
    assert "image" in str(refused.value.expected)
    assert 'vectors["image"] none' in str(refused.value.received)


def test_a_tenant_is_told_of_its_own_points_only(db: Database) -> None:
    c = make(db)
    c.upsert(["a", "b", "c"], gaussian(3), [{"t": "a"}, {"t": "b"}, {"t": ["b", "a"]}])
    tenant = CallContext(scope=(F("t") == "a"))
    assert db.describe(tenant, "c").points == 2
    assert [info.points for info in db.list_collections(tenant)] == [2]
    assert db.describe(NOW, "c").points == 3


@pytest.mark.parametrize("open_first", [True, False])
def test_a_dropped_collection_leaves_nothing(open_db: Opener, tmp_path: Path, open_first: bool) -> None:
    db = open_db()
    kept, gone = make(db, TWO, "kept"), make(db, TWO, "gone")
    for c in (kept, gone):
        c.upsert(names(40), {"": gaussian(40), "image": gaussian(40, 3)}, [{"n": 1}] * 40)
        c.seal()
        c.update(names(10), payloads=[{"n": 2}] * 10)
    number = gone.inner.number
    folder = tmp_path / "data" / "segments" / str(number)
    assert folder.exists()
    if not open_first:
        db.close()
        db = open_db()
    db.drop_collection(NOW, "gone")
    assert not folder.exists()
    assert {key[1:5] for key, _ in db._kv.scan(b"", b"\xff" * 8) if key[:1] != b"m"} == {
        Handle(db, "kept").inner.number.to_bytes(4, "big")
    }
    for call in (
        lambda: gone.db.count(NOW, "gone"),
        lambda: db.drop_collection(NOW, "gone"),
        lambda: db.describe(NOW, "gone"),
        lambda: Handle(db, "gone").upsert(["a"]),
        lambda: db.set_indexing(NOW, "gone", "auto"),
    ):
        with pytest.raises((CollectionNotFound, Closed)):
            call()
    assert Handle(db, "kept").count() == 40
    again = make(db, PLAIN, "gone")
    assert (again.count(), again.search(gaussian(1))) == (0, [])
    again.upsert(["x"], gaussian(1))
    assert again.ids() == ["x"]


def test_a_drop_gives_the_disk_back_at_once(open_db: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    db = open_db()
    kept = make(db, name="kept")
    kept.upsert(names(5), gaussian(5))
    before = db.database_stats(NOW).bytes["store_disk_bytes"]
    for most, left in ((1, False), (10**6, True)):
        monkeypatch.setattr("vecdb.engine.database.COMPACT_ROWS", most)
        c = make(db, name="gone")
        c.upsert(names(300), gaussian(300), payloads=[{"text": "x" * 500}] * 300)
        db.drop_collection(NOW, "gone")
        assert (db.database_stats(NOW).bytes["store_disk_bytes"] > before + 100_000) == left
    assert kept.ids() == names(5)


@pytest.mark.parametrize("name", ["drop.before_catalog", "drop.before_purge"])
def test_a_drop_that_is_stopped(open_db: Opener, tmp_path: Path, name: str) -> None:
    """Before its commit nothing has happened; after it the rest is done when the database is opened."""
    db = open_db()
    c = make(db)
    c.upsert(names(40), gaussian(40))
    c.seal()
    failpoint.arm_from_text(f"{name}=raise")
    with pytest.raises(OSError, match=name):
        db.drop_collection(NOW, "c")
    failpoint.disarm()
    there = [info.name for info in db.list_collections(NOW)]
    assert there == (["c"] if name == "drop.before_catalog" else [])
    db.close()
    db = open_db()
    assert [info.name for info in db.list_collections(NOW)] == there
    folders = list((tmp_path / "data" / "segments").iterdir())
    if there:
        assert Handle(db).count() == 40
    else:
        assert folders == []
        assert [key for key, _ in db._kv.scan(b"b", b"\xff") if key[:1] != b"m"] == []
        assert make(db).inner.number > 0


def test_a_drop_frees_who_waits_for_the_builder(open_db: Opener) -> None:
    db = open_db(kv=MemoryKV(), max_unindexed_bytes=100)
    c = make(db)
    c.upsert(names(10), gaussian(10))
    errors: list[Exception] = []

    def write() -> None:
        try:
            c.write(upsert(["x"], gaussian(1)), timeout_s=60)
        except CollectionNotFound as error:
            errors.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    db.drop_collection(NOW, "c")
    thread.join(60)
    assert len(errors) == 1


def test_nobody_keeps_a_dropped_collection(tmp_path: Path) -> None:
    """Threads that waited for the next write kept the last, and with it the collection's memory and mapped files."""
    db = Database.open(tmp_path, replace(SMALL, background=True))
    c = make(db)
    c.upsert(names(40), gaussian(40))
    db.wait_indexed(c.context(), c.name)
    gone = threading.Event()
    weakref.finalize(c.inner, gone.set)
    db.drop_collection(c.context(), c.name)
    assert gone.wait(30)
    db.close()


def test_a_drop_under_a_reader_is_told_as_a_drop(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as lost data."""
    c = make(db)
    c.upsert(names(40), gaussian(40))
    get_many, calls = db._kv.get_many, 0

    def drop_first(wanted: Sequence[bytes]) -> list[bytes | None]:
        nonlocal calls
        calls += 1
        if calls == 1:
            db.drop_collection(NOW, "c")
        return get_many(wanted)

    monkeypatch.setattr(db._kv, "get_many", drop_first)
    with pytest.raises(CollectionNotFound):
        c.search(gaussian(1))


def test_a_closed_database_says_so(open_db: Opener) -> None:
    db = open_db()
    c = make(db)
    db.close()
    db.close()
    for call in (
        c.count,
        lambda: c.upsert(["a"]),
        lambda: c.search([1, 0, 0, 0]),
        lambda: db.create_collection(NOW, "d", PLAIN),
        lambda: db.drop_collection(NOW, "c"),
        lambda: db.list_collections(NOW),
        lambda: db.describe(NOW, "c"),
        lambda: db.set_indexing(NOW, "c", "auto"),
        lambda: db.database_stats(NOW),
        lambda: db.check(NOW),
        c.stats,
        c.compact,
        c.cover,
    ):
        with pytest.raises(Closed):
            call()


@pytest.mark.parametrize("mode", ["", "AUTO", "off"])
def test_an_unknown_mode_is_refused(c: Handle, mode: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        c.db.set_indexing(NOW, "c", mode)  # type: ignore[arg-type]
    assert refused.value.field == "mode"


# -- many of them


def test_idle_collections_are_let_go_of_and_come_back(open_db: Opener) -> None:
    db = open_db(kv=MemoryKV(), open_collections=10, evict_idle_s=-1.0)
    every = [make(db, name=f"c{i}") for i in range(60)]
    for i, c in enumerate(every):
        c.write(upsert([f"{i}", "x"], gaussian(2, seed=i), [{"n": i}] * 2), request_id=b"1")
        db.maintain()
        assert len(db._open) <= 12
    for i, c in enumerate(every):
        assert db.describe(NOW, c.name).points == 2
        assert c.payload("x") == {"n": i}
        assert c.search(gaussian(1, seed=i)) == [f"{i}", "x"]
        assert c.write(upsert(["y"]), request_id=b"1").seq == 1  # remembered
        db.maintain()
    assert len(db._open) <= 11


def test_a_collection_is_not_let_go_of_under_somebody(open_db: Opener) -> None:
    db = open_db(kv=MemoryKV(), open_collections=1, evict_idle_s=-1.0)
    held, sealed, dirty, idle = (make(db, name=name) for name in ("held", "sealed", "dirty", "idle"))
    for c in (held, sealed, dirty, idle):
        c.upsert(names(5), gaussian(5))
    sealed.seal()
    dirty.delete("00001")
    list_garbage(dirty.inner, time.time(), everything=True)
    view = held.look()
    held.upsert(["new"], gaussian(1))
    inner = {c.name: c.inner for c in (held, sealed, dirty, idle)}
    db._evict_idle()
    assert [name for name, collection in inner.items() if collection.evicted] == ["idle"]
    assert held.ids_at(view) == names(5)


def test_writes_and_reads_race_with_letting_go(open_db: Opener) -> None:
    """Every call finds the collection, however often it was let go of meanwhile."""
    db = open_db(kv=MemoryKV(), open_collections=1, evict_idle_s=-1.0)
    every = [make(db, name=f"c{i}") for i in range(4)]
    errors: list[BaseException] = []
    started = threading.Barrier(4)

    def work(k: int) -> None:
        try:
            started.wait()
            for i in range(60):
                c = every[(i + k) % 4]
                c.upsert([f"{k}-{i}"], gaussian(1))
                assert c.exists(f"{k}-{i}") == [True]
                db.set_indexing(NOW, c.name, "deferred" if i % 2 else "auto")
                if k == 0:
                    db._evict_idle()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert sum(c.count() for c in every) == 240


def test_many_tiny_collections(open_db: Opener) -> None:
    db = open_db(kv=MemoryKV(), open_collections=50, evict_idle_s=-1.0)
    n = 600
    for i in range(n):
        c = make(db, name=f"{i:04d}")
        c.upsert(names(10), gaussian(10, seed=i % 7))
        if i % 20 == 0:
            db.maintain()
    assert len(db.list_collections(NOW)) == n
    rng = np.random.default_rng(0)
    for i in rng.choice(n, 100, replace=False).tolist():
        c = Handle(db, f"{i:04d}")
        assert c.count() == 10
        assert c.search(gaussian(10, seed=i % 7)[4], limit=1) == ["00004"]
    while db.maintain():
        pass
    db._evict_idle()
    assert len(db._open) <= 51
    assert db.database_stats(NOW).collections == n


@pytest.mark.parametrize("options", [{}, {"use_graphs": False}, {"background": True}], ids=["", "exact", "background"])
def test_closing_under_readers_and_builders(open_db: Opener, options: dict[str, Any]) -> None:
    """Whoever is at work gets his whole answer, or is told that it was closed; and nobody writes files afterwards."""
    c = make(open_db(**options), TWO)
    for i in range(4):
        c.upsert(names(40, start=40 * i), {"": gaussian(40, seed=i), "image": gaussian(40, 3, seed=i)})
    c.settle()
    calls: list[Callable[[], Any]] = [
        lambda: len(c.search(gaussian(1), limit=200, exact=True)) == 160,
        lambda: len(c.search(gaussian(1, 3), using="image", limit=20, ef=4)) == 20,
        lambda: len(c.scroll(200)) == 160,
        lambda: c.count() == 160,
        lambda: c.update(names(3), payloads=[{}] * 3).count == 3,
        lambda: (c.db.maintain(), c.compact()),
        lambda: (c.cover(), c.db.wait_indexed(NOW, "c")) == (None, None),
    ]
    errors: list[BaseException] = []
    started = threading.Barrier(len(calls) + 1)

    def work(call: Callable[[], Any]) -> None:
        call()
        started.wait()
        try:
            while True:
                assert call()
        except Closed:
            pass
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    started.wait()
    root = c.db._root
    c.db.close()
    files = sorted(root.rglob("*"))
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert errors == []
    assert sorted(root.rglob("*")) == files
    assert Handle(open_db()).count() == 160
