"""A power cut at every step of a restore: all of its collections are there afterwards, or nothing of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.engine.conftest import Opener, make
from tests.engine.handle import SMALL, TWO, Handle, gaussian, names
from vecdb import failpoint
from vecdb.engine.database import Database
from vecdb.errors import ReadOnly
from vecdb.model.context import CallContext
from vecdb.storage.memory import MemoryKV
from vecdb.storage.summary import read_summary

CONTEXT = CallContext()
STEPS = [name for name in failpoint.NAMES if name.startswith(("restore.", "catalog."))]


@pytest.fixture
def chain(open_db: Opener, tmp_path: Path) -> list[list[bytes]]:
    """Two collections, an alias, and what came after the first archive."""
    db = open_db(tmp_path / "source", kv=MemoryKV())
    for name in ("a", "b"):
        make(db, TWO, name).upsert(names(70), {"": gaussian(70)}, [{"i": i} for i in range(70)])
    db.set_alias(CONTEXT, "live", "a")
    chain = [list(db.snapshot(CONTEXT))]
    a = Handle(db, "a")
    a.update(names(3), payloads=[{}] * 3)
    a.delete(*names(3, start=10))
    return [*chain, list(db.snapshot(CONTEXT, base=read_summary(chain[0]).as_base()))]


def test_a_power_cut_at_every_step(chain: list[list[bytes]], tmp_path: Path) -> None:
    kv = MemoryKV()
    db = Database(kv, tmp_path / "data" / "segments", SMALL)
    make(db, name="there").upsert(names(5), gaussian(5))
    left: list[tuple[str, MemoryKV]] = []

    def cut_power(name: str) -> None:
        """Nothing of what was not synced survives, or all of it does."""
        left.extend((name, kv.durable_copy(keep)) for keep in (0, 1 << 30))

    for name in STEPS:
        failpoint.arm(name, cut_power)
    report = db.restore(CONTEXT, chain)
    failpoint.disarm()
    expected = {one.name: Handle(db, one.name).scroll() for one in report.collections}
    db.close()
    assert {name for name, _ in left} == set(STEPS)
    outcomes = set()
    for name, found in left:
        again = Database(found, tmp_path / "data" / "segments", replace(SMALL, background=False))
        there = {info.name for info in again.list_collections(CONTEXT)} - {"there"}
        assert there in (set(), {"a", "b"}), name
        outcomes.add(bool(there))
        for one in there:
            assert Handle(again, one).scroll() == expected[one]
        assert bool(there) == ("live" in again._names)
        assert again.check(CONTEXT) == [], name  # no key of a collection that there is not
        assert not list(found.scan(b"x", b"y")), name
        again.close()
    assert outcomes == {False, True}


@pytest.mark.parametrize("name", STEPS)
def test_an_error_at_every_step(chain: list[list[bytes]], open_db: Opener, tmp_path: Path, name: str) -> None:
    """What fails leaves nothing behind, at once or after the next opening, and can be tried again."""
    kv = MemoryKV()
    db = open_db(tmp_path / "data", kv=kv)
    failpoint.arm_from_text(f"{name}=raise:2" if name.startswith("catalog.") else f"{name}=raise")
    with pytest.raises(OSError, match=name):
        db.restore(CONTEXT, chain)
    failpoint.disarm()
    db.close()
    db = open_db(tmp_path / "data", kv=kv.durable_copy())
    if not db.list_collections(CONTEXT):
        assert {key[:1] for key, _ in db._kv.scan(b"", b"\xff" * 8)} <= {b"m"}
        db.restore(CONTEXT, chain)
    assert [info.name for info in db.list_collections(CONTEXT)] == ["a", "b"]
    assert [Handle(db, one).count() for one in ("a", "b")] == [67, 70]


@pytest.mark.parametrize("at", [1, 2])
def test_a_disk_that_refuses_to_sync(chain: list[list[bytes]], open_db: Opener, tmp_path: Path, at: int) -> None:
    kv = MemoryKV()
    db = open_db(tmp_path / "data", kv=kv)
    kv.fail_next_sync(at)
    with pytest.raises(ReadOnly):
        db.restore(CONTEXT, chain)
    assert db.list_collections(CONTEXT) == []
    db.close()
    for keep in (0, 1 << 30):
        db = open_db(tmp_path / "data", kv=kv.durable_copy(keep))
        assert len(db.list_collections(CONTEXT)) in (0, 2)
        db.restore(CONTEXT, chain, rename={"a": "c", "b": "d"})
        assert Handle(db, "c").count() == 67
