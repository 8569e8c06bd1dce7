"""The named places: every one is passed, none is misspelt, and off they do nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from tests.engine.conftest import make
from tests.engine.handle import Handle, gaussian, names
from vecdb import failpoint
from vecdb.engine import reaping
from vecdb.engine.database import Database
from vecdb.model.context import CallContext
from vecdb.model.schema import TextField, VectorField
from vecdb.model.schema_change import AddVectorField, DropVectorField, SetTextField
from vecdb.storage.summary import read_summary


def test_every_name_is_passed_by_something(open_db: Callable[..., Database], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaping, "LEAST_DEAD", 10)
    passed: list[str] = []
    for name in failpoint.NAMES:
        failpoint.arm(name, passed.append)
    c = make(open_db())
    c.upsert(names(100), gaussian(100))
    c.seal()
    for i in range(3):
        c.upsert(names(20, start=50 * i), gaussian(20, seed=i))
        c.settle()
    c.compact()
    c.delete(*names(80))
    c.settle()
    c.upsert(names(80), gaussian(80))
    c.change(AddVectorField("image", VectorField(4)))
    c.update(names(30), {"image": gaussian(30)})
    c.compact()
    c.change(DropVectorField("image"))
    c.update(names(30), texts=["some words"] * 30)
    c.seal()
    c.change(SetTextField("", TextField("english")))
    c.settle()
    whole = list(c.db.snapshot(CallContext()))
    c.delete(*names(20))
    later = list(c.db.snapshot(CallContext(), base=read_summary(whole).as_base()))
    c.db.restore(CallContext(), [whole, later], rename={"c": "restored"})
    c.db.close()
    c = Handle(open_db())
    assert c.count() == 100
    c.db.drop_collection(CallContext(), "c")
    assert set(passed) == set(failpoint.NAMES)


def test_the_order_of_a_write(open_db: Callable[..., Database]) -> None:
    c = make(open_db())
    assert c.count() == 0
    passed: list[str] = []
    for name in failpoint.NAMES:
        failpoint.arm(name, passed.append)
    c.upsert(names(130), gaussian(130))
    failpoint.disarm()
    assert [name.removeprefix("commit.") for name in passed] == [
        "before_slices",
        "between_slices",
        "between_slices",
        "before_final",
        "after_final",
        "before_sync",
        "after_sync",
        "before_publish",
        "after_publish",
    ]


def test_a_name_that_does_not_exist_is_refused() -> None:
    for text in ("commit.nowhere=raise", "=raise"):
        with pytest.raises(KeyError):
            failpoint.arm_from_text(text)
    with pytest.raises(KeyError):
        failpoint.arm_from_text("commit.before_sync=explode")


def test_at_the_nth_pass() -> None:
    failpoint.arm_from_text("commit.before_sync=raise:3,reap.before_delete=raise")
    failpoint.hit("commit.before_sync")
    failpoint.hit("commit.before_sync")
    failpoint.hit("commit.after_sync")
    with pytest.raises(OSError, match=r"commit\.before_sync"):
        failpoint.hit("commit.before_sync")
    failpoint.hit("commit.before_sync")
    with pytest.raises(OSError, match="reap"):
        failpoint.hit("reap.before_delete")
    failpoint.disarm()
    failpoint.hit("reap.before_delete")


def test_what_a_folder_of_segments_holds_is_made_again(open_db: Callable[..., Database]) -> None:
    """Also when the folder vanishes while the database is open: what is mapped stays, what is sealed next is new."""
    c = make(open_db())
    c.upsert(names(40), gaussian(40))
    c.seal()
    shutil.rmtree(c.db._root)
    assert len(c.search(gaussian(1), limit=100)) == 40
    c.upsert(names(40, start=100), gaussian(40))
    c.db.close()
    c = Handle(open_db())
    assert len(c.search(gaussian(1), limit=100)) == 80
