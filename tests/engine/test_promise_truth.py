"""Promise 5: damaged truth is a clear DATA_LOSS, never a crash or a wrong answer; what is dropped leaves nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.engine.conftest import make
from tests.engine.handle import Handle, gaussian, names
from vecdb.engine.database import Database
from vecdb.errors import CollectionNotFound, DataLoss, FormatTooNew
from vecdb.model.context import CallContext
from vecdb.storage import keys
from vecdb.storage.memory import MemoryKV

Opener = Callable[..., Database]


@pytest.fixture
def kv() -> MemoryKV:
    return MemoryKV()


@pytest.fixture
def damaged(open_db: Opener, kv: MemoryKV) -> Handle:
    """A collection of which a test damages a row; it is closed before that can be called a fault of ours."""
    c = make(open_db(kv=kv))
    c.upsert(names(20), gaussian(20), [{"n": i} for i in range(20)])
    c.seal()
    return c


def change(kv: MemoryKV, key: bytes, value: bytes | None) -> None:
    batch = kv.batch()
    if value is None:
        batch.delete(key)
    else:
        batch.put(key, value)
    kv.write(batch)


@pytest.mark.parametrize("what", ["body", "vector"])
def test_a_missing_row_is_told_by_whoever_needs_it(damaged: Handle, kv: MemoryKV, what: str) -> None:
    number = damaged.inner.number
    row = 3
    change(kv, keys.body(number, row) if what == "body" else keys.vector(number, row, 0), None)
    with pytest.raises(DataLoss, match="row 3") as caught:
        damaged.get(*names(20))
    assert caught.value.reason == "DATA_LOSS"
    with pytest.raises(DataLoss, match="row 3"):
        damaged.scroll(page=100)
    assert len(damaged.get(*names(3))) == 3
    if what == "body":
        with pytest.raises(DataLoss, match="row 3"):
            damaged.answer(gaussian(1), limit=20)
    assert any("3" in problem for problem in damaged.db.check(CallContext()))
    damaged.db.close()


@pytest.mark.parametrize("value", [b"", b"\x00", b"\x01", b"\x01" * 7, b"\xff" * 40], ids=bytes.hex)
@pytest.mark.parametrize("what", ["body", "pointer"])
def test_a_value_that_cannot_be_read(damaged: Handle, kv: MemoryKV, what: str, value: bytes) -> None:
    number = damaged.inner.number
    change(kv, keys.body(number, 3) if what == "body" else keys.pointer(number, "00003"), value)
    with pytest.raises((DataLoss, FormatTooNew)):
        damaged.get("00003")
    assert damaged.payload("00002") == {"n": 2}
    damaged.db.close()


def test_a_dropped_collection_leaves_nothing(open_db: Opener, kv: MemoryKV) -> None:
    db = open_db(kv=kv)
    kept, dropped = make(db, name="kept"), make(db, name="dropped")
    for c in (kept, dropped):
        c.upsert(names(40), gaussian(40), [{"n": 1}] * 40)
        c.seal()
        c.delete(*names(5))
        c.upsert(names(3, start=90), gaussian(3))
    number = dropped.inner.number
    folder = db._root / str(number)
    assert folder.is_dir()
    db.drop_collection(CallContext(), "dropped")
    with pytest.raises(CollectionNotFound):
        dropped.count()
    assert [key for key, _ in kv.scan(b"", b"\xff") if key != b"m" and keys.collection_number(key) == number] == []
    assert not folder.exists()
    assert kept.count() == 38
    again = make(db, name="dropped")
    assert (again.count(), again.inner.number > number) == (0, True)
