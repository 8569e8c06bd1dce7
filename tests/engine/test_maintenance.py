"""Build, seal, merge, cover, reap; and what is left when one of them fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.conftest import make
from tests.engine.handle import TWO, Handle, gaussian, names
from vecdb import failpoint
from vecdb.engine import reaping
from vecdb.engine.database import Database
from vecdb.engine.maintenance import MAX_REST_S
from vecdb.engine.sealing import PartWriter
from vecdb.model.context import CallContext
from vecdb.storage.memory import MemoryKV

Opener = Callable[..., Database]
CARE = [name for name in failpoint.NAMES if name.split(".")[0] in ("seal", "merge", "reap", "rewrite")]


def folders(c: Handle) -> int:
    root = c.db._root / str(c.inner.number)
    return len(list(root.iterdir())) if root.exists() else 0


@pytest.mark.parametrize("error", [RuntimeError, MemoryError, OSError])
@pytest.mark.parametrize("through", ["maintain", "compact", "wait_indexed"])
def test_a_builder_that_fails_starts_again(
    c: Handle, monkeypatch: pytest.MonkeyPatch, error: type[Exception], through: str
) -> None:
    """Whatever a library raises: a segment of which half was taken in is never sealed."""
    for i in range(4):
        c.upsert(names(12, start=12 * i), gaussian(12, seed=i))
    add, calls = PartWriter.add, 0

    def fail_at_times(self: PartWriter, *args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls in (2, 3):
            raise error("asked for by a test")
        add(self, *args)

    monkeypatch.setattr(PartWriter, "add", fail_at_times)
    for _ in range(3):
        try:
            if through == "maintain":
                c.settle()
            else:
                getattr(c.db, through)(CallContext(), "c")
        except error:
            continue
    assert calls > 3
    assert "sealed" in c.states()
    assert sorted(c.search(gaussian(1), limit=100)) == names(48)


def test_a_rebuild_takes_smaller_neighbours_along(open_db: Opener) -> None:
    """Three segments become one, which has what is alive of each: vectors, texts, and what a filter asks."""
    c = make(open_db(idle_seal_s=3_600.0, seal_bytes=1 << 20))
    for first, n in ((0, 10), (10, 20), (30, 80)):
        some = names(n, start=first)
        c.upsert(some, gaussian(n, seed=first), [{"n": first}] * n, texts=["some words"] * n)
        with c.inner.publish_lock:
            c.inner.freeze()
        for _ in range(20):
            c.db._maintenance._index(c.inner, 1 << 30, finish=True)
    assert c.states() == ["sealed"] * 3
    c.delete(*names(5), *names(20, start=40))
    c.settle()
    wanted = sorted({*names(110)} - {*names(5), *names(20, start=40)})
    assert c.states() == ["sealed"]
    assert c.ids() == wanted
    assert sorted(c.search(gaussian(1), limit=200)) == wanted
    assert c.db.check(CallContext()) == []


@pytest.mark.parametrize("through", ["maintain", "compact", "cover"])
@pytest.mark.parametrize("name", CARE)
def test_an_action_that_is_stopped_is_done_again(
    open_db: Opener, name: str, through: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers see the same before, during and after; nothing is left behind in the end."""
    monkeypatch.setattr(reaping, "LEAST_DEAD", 10)
    kv = MemoryKV()
    c = make(open_db(kv=kv), TWO)
    for i in range(3):
        c.upsert(names(20, start=20 * i), {"": gaussian(20, seed=i), "image": gaussian(20, 3, seed=i)})
        c.settle()
    c.update(names(30), payloads=[{"n": 1}] * 30)
    c.delete(*names(10, start=5))
    c.upsert(names(15, start=100), gaussian(15))
    wanted = c.ids()
    failpoint.arm_from_text(f"{name}=raise")
    stops = 0
    for _ in range(2):
        try:
            {"maintain": c.settle, "compact": c.compact, "cover": c.cover}[through]()
        except OSError as error:
            assert name in str(error)
            stops += 1
        assert c.ids() == wanted
        assert sorted(c.search(gaussian(1), limit=100)) == wanted
        assert c.db.check(CallContext()) == []
    failpoint.disarm()
    assert stops == 1 or through != "maintain", "it was never passed"
    copy = Handle(open_db(kv=kv.durable_copy(), path=Path(str(c.db._root.parent) + "-copy")))
    assert copy.ids() == wanted
    c.seal()
    assert c.ids() == wanted
    assert c.inner.garbage_rows == 0


def test_a_collection_that_failed_for_days_still_rests_a_minute(c: Handle) -> None:
    c.upsert(names(40), gaussian(40))
    with c.inner.publish_lock:
        c.inner.freeze()
    failpoint.arm_from_text("seal.before_files=raise")
    began = time.monotonic()
    with pytest.raises(OSError, match="failpoint"):
        while True:
            c.inner.failures = 5_000
            c.db.maintain()
    assert c.inner.rests_until >= began + MAX_REST_S
