"""Columns beside bodies: never stale, never about deaths, in every state; rebuilt, or done without, when not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engine.conftest import make
from tests.engine.handle import TWO, Handle, gaussian, names, update, upsert
from vecdb.engine.database import Database
from vecdb.engine.sealing import COLUMNS
from vecdb.engine.segment import Segment
from vecdb.index.columns import flatten
from vecdb.model.context import CallContext
from vecdb.model.filter import Attribute, Comparator, Compare, Exists, Filter, HasVector, Not, Prefix
from vecdb.model.schema_change import SetPayloadColumns

Opener = Callable[..., Database]

STATES = ["growing", "frozen", "sealed", "merged", "opened", "opened sealed"]


def eq(path: str, value: Any) -> Compare:
    return Compare((path,), Comparator.EQ, value)


def brought_to(state: str, c: Handle, open_db: Opener) -> Handle:
    """The collection with its rows in a state."""
    if state == "frozen":
        with c.inner.publish_lock:
            c.inner.freeze()
            c.inner.publish()
    if "sealed" in state:
        c.seal()
    if state == "merged":
        c.seal()
        c.upsert(names(20, start=900), gaussian(20), [{"n": i} for i in range(20)])
        c.seal()
        assert len(c.stats().segments) == 1
    if "opened" in state:
        c.db.close()
        return Handle(open_db())
    return c


def matching(c: Handle, filter: Filter) -> list[str]:
    """Ids of the living points that match, found without reading a body."""
    view = c.look()
    found: list[str] = []
    for segment in view.segments:
        surely, possibly = columns_of(segment).bounds(filter, c.inner.entry.fields.vectors)
        assert surely is possibly
        alive = segment.alive(view.seq)
        chosen = surely if alive is None else surely & alive
        found += segment.ids.take(np.flatnonzero(chosen))
    return sorted(found)


def columns_of(segment: Segment) -> Any:
    assert segment.columns is not None
    return segment.columns


@pytest.mark.parametrize("state", STATES)
def test_an_update_leaves_no_stale_column(open_db: Opener, state: str) -> None:
    c = make(open_db(), TWO)
    image = gaussian(1, 3)
    c.upsert(names(8), {"": gaussian(8)}, [{"n": i, "was": True} for i in range(8)])
    c.update(["00001"], payloads=[{"n": 100}])  # another payload, the same vector
    c.update(["00002"], {"image": image})  # another vector, the same payload
    c.write(
        upsert(["00003", "new"], {"image": gaussian(2, 3)}, [{"n": 3}, {"n": 101}]),
        update(["new"], payloads=[{"n": 102}]),
    )
    c.update(["00004"], texts=["only a text"])
    c.upsert(["00005"], {"": gaussian(1)})
    c = brought_to(state, c, open_db)
    assert matching(c, eq("n", 1)) == (["00901"] if state == "merged" else [])
    assert matching(c, eq("n", 100)) == ["00001"]
    assert matching(c, eq("n", 101)) == []
    assert matching(c, eq("n", 102)) == ["new"]
    assert matching(c, eq("was", True)) == ["00000", "00002", "00004", "00006", "00007"]
    assert matching(c, HasVector("image")) == ["00002", "00003", "new"]
    assert "00003" not in matching(c, HasVector(""))
    assert matching(c, Compare(Attribute.ID, Comparator.EQ, "00002")) == ["00002"]
    assert matching(c, Prefix(Attribute.ID, "00")) == [i for i in c.ids() if i != "new"]
    version = c.one("00002").version
    assert matching(c, Compare(Attribute.VERSION, Comparator.EQ, version)) == ["00002"]
    assert c.db.check(CallContext()) == []


@pytest.mark.parametrize("state", ["growing", "sealed"])
def test_masks_say_nothing_about_deaths(open_db: Opener, state: str) -> None:
    """A reader of an older view still finds what has died since, by a mask that was made after."""
    c = make(open_db())
    c.upsert(names(20), gaussian(20), [{"n": i} for i in range(20)])
    c = brought_to(state, c, open_db)
    view = c.look()
    c.delete("00003")
    c.update(["00004"], payloads=[{"n": -1}])
    low = Compare(("n",), Comparator.LT, 5)
    inner = c.inner
    assert inner.reading.matcher.count(CallContext(), view, low) == 5
    assert inner.reading.matcher.count(CallContext(), c.look(), low) == 4
    (segment, *_) = c.look().segments
    surely, _ = columns_of(segment).bounds(low, {})
    assert np.flatnonzero(surely)[:5].tolist() == [0, 1, 2, 3, 4]


def test_what_columns_leave_out_is_verified(open_db: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flatten, "MAX_PATHS", 3)
    c = make(open_db())
    long = "a word " * 100
    c.upsert(names(9), gaussian(9), [{"v": long, f"key {i}": i} for i in range(9)])
    for _ in range(2):
        for filter, expected in (
            (eq("v", long), 9),
            (eq("v", long + "!"), 0),
            (eq("key 0", 0), 1),
            (eq("key 8", 8), 1),
            (Exists(("key 8",)), 1),
            (Not(Exists(("key 8",))), 8),
            (Prefix(("v",), "a word"), 9),
        ):
            assert c.inner.reading.matcher.count(CallContext(), c.look(), filter) == expected, filter
        c.seal()


def test_a_segment_without_the_file_opens_and_gets_one(open_db: Opener, tmp_path: Path) -> None:
    """What columns are off for, or an earlier release wrote, is read from the bodies until it is written again."""
    c = make(open_db())
    c.db.change_schema(CallContext(), "c", SetPayloadColumns(False))
    c.upsert(names(20), gaussian(20), [{"n": i} for i in range(20)])
    c.seal()
    c.upsert(names(3, start=20), gaussian(3), [{"n": 20}] * 3)
    c.delete("00007")
    assert list((tmp_path / "data" / "segments").rglob(COLUMNS)) == []
    c.db.close()
    c = Handle(open_db())

    def count(filter: Filter) -> int:
        return c.inner.reading.matcher.count(CallContext(), c.look(), filter)

    assert [segment.columns for segment in c.look().segments] == [None, None]
    assert (count(eq("n", 3)), count(eq("n", 7)), count(eq("n", 20))) == (1, 0, 3)
    c.db.change_schema(CallContext(), "c", SetPayloadColumns(True))
    c.upsert(names(3, start=30), gaussian(3), [{"n": 30}] * 3)
    assert count(eq("n", 30)) == 3
    c.seal()
    assert len(list((tmp_path / "data" / "segments").rglob(COLUMNS))) == 1
    assert matching(c, eq("n", 3)) == ["00003"]
    assert matching(c, eq("n", 7)) == []
    assert len(matching(c, eq("n", 20))) == len(matching(c, eq("n", 30))) == 3


def test_a_damaged_file_of_columns_is_never_asked(
    open_db: Opener, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    c = make(open_db())
    c.upsert(names(20), gaussian(20), [{"n": i} for i in range(20)])
    c.seal()
    c.db.close()
    (file,) = (tmp_path / "data" / "segments").rglob(COLUMNS)
    raw = bytearray(file.read_bytes())
    raw[5] ^= 8  # of a number: it would still be read, and lie
    file.write_bytes(raw)
    c = Handle(open_db())
    assert matching(c, eq("n", 3)) == ["00003"]
    assert "columns" in caplog.text and c.stats().segments[0].state != "sealed"


def test_check_compares_columns_with_bodies(open_db: Opener) -> None:
    c = make(open_db())
    c.upsert(names(20), gaussian(20), [{"n": i, "tags": ["a", "b"]} for i in range(20)])
    c.seal()
    (segment,) = c.inner.segments
    other = make(c.db, name="other")
    payloads: list[Any] = [{"n": i, "tags": ["a", "b"]} for i in range(20)]
    payloads[3] = {"n": 3, "tags": ["a"]}
    payloads[4] = {"n": 4.0, "tags": ["a", "b"]}
    other.upsert(names(20), gaussian(20), payloads)
    good, segment.columns = segment.columns, other.look().segments[0].columns
    problems = c.db.check(CallContext())
    segment.columns = good
    assert any("'tags' of '00003'" in problem for problem in problems)
    assert any("'n' of '00004'" in problem for problem in problems)
    assert c.db.check(CallContext()) == []
