"""What is said of damage: which collection, and that the others are served."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.conftest import make
from tests.engine.handle import PLAIN, SMALL, Handle, gaussian, names, upsert
from vecdb.engine.database import Database
from vecdb.engine.options import EngineOptions
from vecdb.errors import DataLoss
from vecdb.model.context import CallContext
from vecdb.storage import keys
from vecdb.storage.memory import MemoryKV

OPTIONS = EngineOptions(background=False)


@pytest.fixture
def kv(tmp_path: Path) -> MemoryKV:
    """Two collections, the manifest of one of which is damaged; a point of it has a time to live."""
    kv = MemoryKV()
    db = Database(kv, tmp_path / "segments", OPTIONS)
    whole, damaged = make(db, PLAIN, "whole"), make(db, PLAIN, "damaged")
    for c in (whole, damaged):
        c.upsert(names(20), gaussian(20))
        c.write(upsert(["ttl"], gaussian(1), ttl_ms=[10**9]))
        c.cover()
    number = damaged.inner.number
    db.close()
    kv = kv.durable_copy()
    batch = kv.batch()
    batch.put(keys.manifest(number), b"\x01{")
    kv.write(batch)
    return kv


def test_collections_are_listed_beside_a_damaged_one(kv: MemoryKV, tmp_path: Path) -> None:
    db = Database(kv, tmp_path / "segments", OPTIONS)
    assert {info.name: info.points for info in db.list_collections(CallContext())} == {"whole": 21, "damaged": 21}
    assert Handle(db, "whole").count() == 21
    for _ in range(2):
        with pytest.raises(DataLoss, match=r"collection 'damaged' cannot be opened: .*manifest.*; others are served"):
            Handle(db, "damaged").count()
    (problem,) = db.check(CallContext())
    assert "'damaged'" in problem
    db.close()


def test_a_search_says_what_is_being_built_again(tmp_path: Path) -> None:
    db = Database.open(tmp_path, SMALL)
    c = make(db)
    c.upsert(names(40), gaussian(40))
    c.seal()
    wanted = c.search(gaussian(1), limit=40)
    db.close()
    for file in tmp_path.glob("segments/*/*/bodies"):
        file.write_bytes(b"")
    db = Database.open(tmp_path, SMALL)
    c = Handle(db)
    answer = c.answer(gaussian(1), limit=40)
    assert answer.points.ids == wanted
    assert [warning for warning in answer.warnings if "damaged and built again" in warning]
    assert c.stats().indexed < c.stats().vectors == 40
    c.settle()
    assert c.answer(gaussian(1), limit=40).warnings == []
    assert (c.stats().indexed, db.check(CallContext())) == (40, [])
    db.close()
