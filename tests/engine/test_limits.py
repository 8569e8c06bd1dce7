"""Past its limits it refuses at once, or waits no longer than it is told to; reads and deletes go on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.engine.conftest import make
from tests.engine.handle import Handle, gaussian, names, upsert
from vecdb.engine import memory
from vecdb.engine.database import Database
from vecdb.engine.memory import MemoryGuard, process_memory
from vecdb.engine.options import EngineOptions
from vecdb.errors import IndexingBehind, InvalidArgument, MemoryLimit, TooLarge
from vecdb.model.context import CallContext
from vecdb.storage.memory import MemoryKV

Opener = Callable[..., Database]
ROW_BYTES = 16
AUTO = CallContext()


@pytest.fixture
def behind(open_db: Opener) -> Handle:
    """A collection with more vectors without a graph than it may have."""
    c = make(open_db(kv=MemoryKV(), max_unindexed_bytes=20 * ROW_BYTES))
    c.upsert(names(12), gaussian(12))
    c.upsert(names(12, start=12), gaussian(12))
    return c


def test_a_write_that_would_pass_the_builder_is_refused_at_its_deadline(behind: Handle) -> None:
    with pytest.raises(IndexingBehind) as refused:
        behind.write(upsert(["x"], gaussian(1)), timeout_s=0.01)
    error = refused.value
    assert error.reason == "INDEXING_BEHIND"
    assert (error.expected, error.received) == ("<= 320 bytes without a graph", "384")
    assert error.retry_after_s is not None
    assert behind.count() == len(behind.search(gaussian(1), limit=100)) == 24
    assert behind.seq == 2


def test_deletes_and_reads_go_on(behind: Handle) -> None:
    assert behind.delete("00001", "00002").count == 2
    assert len(behind.search(gaussian(1), limit=100)) == behind.count() == 22
    assert behind.clear().count == 22


def test_the_builder_makes_room(behind: Handle) -> None:
    behind.settle()
    assert behind.write(upsert(["x"], gaussian(1)), timeout_s=30).count == 1


def test_a_write_that_waits_goes_on_when_there_is_room(behind: Handle) -> None:
    done: list[Any] = []
    waiting = threading.Thread(target=lambda: done.append(behind.write(upsert(["x"], gaussian(1)), timeout_s=60)))
    waiting.start()
    behind.settle()
    waiting.join(60)
    assert done[0].count == 1


def test_in_deferred_mode_nothing_is_built_and_nothing_refused(behind: Handle) -> None:
    behind.db.set_indexing(AUTO, "c", "deferred")
    for i in range(5):
        assert behind.write(upsert(names(12, start=100 * i), gaussian(12)), timeout_s=5).count == 12
    behind.settle()
    assert set(behind.states()) <= {"growing", "frozen"}
    behind.db.set_indexing(AUTO, "c", "auto")
    with pytest.raises(IndexingBehind):
        behind.write(upsert(["x"], gaussian(1)), timeout_s=0.0001)
    behind.settle()
    assert "sealed" in behind.states()
    behind.write(upsert(["x"], gaussian(1)), timeout_s=30)


def test_a_waiting_write_is_freed_by_deferred_mode(behind: Handle) -> None:
    done: list[Any] = []
    waiting = threading.Thread(target=lambda: done.append(behind.write(upsert(["x"], gaussian(1)), timeout_s=60)))
    waiting.start()
    behind.db.set_indexing(AUTO, "c", "deferred")
    waiting.join(60)
    assert done[0].count == 1


@pytest.mark.parametrize(
    "options",
    [
        {"growing_rows": 10_000},
        {"seal_bytes": 1 << 30},
        {"graph_rows": 10_000},
        {"idle_seal_s": 1e9},
        {"growing_rows": 10_000, "seal_bytes": 1 << 30, "graph_rows": 10_000, "idle_seal_s": 1e9},
        {"use_graphs": False, "idle_seal_s": 1e9, "graph_rows": 10_000},
    ],
    ids=repr,
)
def test_whatever_the_sizes_the_builder_can_always_make_room(open_db: Opener, options: dict[str, Any]) -> None:
    """Else every write would be refused for ever."""
    c = make(open_db(kv=MemoryKV(), **{"max_unindexed_bytes": 20 * ROW_BYTES, **options}))
    for i in range(12):
        c.write(upsert(names(7, start=7 * i), gaussian(7, seed=i)), timeout_s=30)
        c.settle()
        assert c.inner.unindexed_bytes <= 20 * ROW_BYTES
    assert len(c.search(gaussian(1), limit=100)) == 84


# -- memory


def test_past_the_memory_limit_writes_are_refused(open_db: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LOOK_EVERY_S", 0.0)
    used = 100
    monkeypatch.setattr(memory, "process_memory", lambda: {"anonymous": used})
    c = make(open_db(kv=MemoryKV(), max_memory_bytes=1_000))
    c.upsert(names(3), gaussian(3))
    used = 1_001
    for write in (c.upsert, c.insert, c.update):
        with pytest.raises(MemoryLimit) as refused:
            write(["x"], gaussian(1))
        assert (refused.value.expected, refused.value.received) == ("<= 1000 anonymous bytes", "1001")
        assert refused.value.retry_after_s is not None
    assert c.count() == len(c.search(gaussian(1))) == 3
    assert c.delete("00001").count == 1
    assert c.clear().count == 2
    used = 1_000
    assert c.upsert(["x"], gaussian(1)).count == 1


def test_the_guard_looks_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    def look() -> dict[str, int]:
        nonlocal looks
        looks += 1
        return {"anonymous": 5}

    monkeypatch.setattr(memory, "process_memory", look)
    monkeypatch.setattr(memory, "LOOK_EVERY_S", 1e9)
    guard = MemoryGuard(10)
    guard._looked = -1e12
    for _ in range(100):
        guard.admit()
    assert looks == 1
    MemoryGuard(None).admit()
    assert looks == 1


def test_the_process_tells_its_memory() -> None:
    found = process_memory()
    assert found.keys() == {"resident", "anonymous", "mapped"}
    assert found["resident"] >= found["anonymous"] > 1 << 20


# -- sizes


@pytest.mark.parametrize(
    ("options", "row", "error", "field"),
    [
        ({"max_payload_bytes": 20}, {"payloads": [{"text": "x" * 20}]}, InvalidArgument, "payloads[0]"),
        ({"max_text_bytes": 20}, {"texts": ["字" * 7]}, InvalidArgument, 'texts[""][0]'),
        ({"max_batch_bytes": 100}, {"texts": ["x" * 101]}, TooLarge, "operations"),
    ],
)
def test_what_is_too_large_is_refused(
    open_db: Opener, options: dict[str, int], row: dict[str, Any], error: type[Exception], field: str
) -> None:
    c = make(open_db(kv=MemoryKV(), **options))
    with pytest.raises(error) as refused:
        c.upsert(["a"], **row)
    assert field in refused.value.field
    assert (c.count(), c.seq) == (0, 0)


def test_how_many_collections(open_db: Opener) -> None:
    from vecdb.errors import ResourceExhausted

    db = open_db(kv=MemoryKV(), max_collections=2)
    one = make(db, name="one")
    make(db, name="two")
    with pytest.raises(ResourceExhausted):
        make(db, name="three")
    db.drop_collection(AUTO, "one")
    make(db, name="three")
    assert [info.name for info in db.list_collections(AUTO)] == ["three", "two"]
    assert one.name == "one"


def test_options_are_checked() -> None:
    for name in ("growing_rows", "graph_rows", "max_unindexed_bytes", "seal_bytes", "max_segment_bytes"):
        with pytest.raises(InvalidArgument, match=name):
            EngineOptions(**{name: 0}).validate()
