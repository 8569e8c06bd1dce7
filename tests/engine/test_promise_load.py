"""Promise 7: past a limit a call is refused at once, with a reason and a hint; the rest goes on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.engine.conftest import make
from tests.engine.handle import ALL, Handle, gaussian, names, upsert
from vecdb.engine.database import Database
from vecdb.errors import DeadlineExceeded, IndexingBehind, MemoryLimit, ResourceExhausted, TooLarge
from vecdb.model.collection import Indexing
from vecdb.storage.memory import MemoryKV
from vecdb.wire.admission import Gate

CALLS: dict[str, Callable[[Handle, float], object]] = {
    "write": lambda c, t: c.write(upsert(["late"], gaussian(1)), timeout_s=t),
    "get": lambda c, t: c.db.get(c.context(timeout_s=t), c.name, ["a"], ALL),
    "exists": lambda c, t: c.db.exists(c.context(timeout_s=t), c.name, ["a"]),
    "count": lambda c, t: c.db.count(c.context(timeout_s=t), c.name),
    "scroll": lambda c, t: c.db.scroll(c.context(timeout_s=t), c.name, None, 10, ALL),
    "stats": lambda c, t: c.db.stats(c.context(timeout_s=t), c.name),
    "compact": lambda c, t: c.db.compact(c.context(timeout_s=t), c.name),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_ends_with_its_deadline(c: Handle, name: str) -> None:
    c.upsert(["a"], gaussian(1))
    CALLS[name](c, 3600.0)
    before = c.seq
    with pytest.raises(DeadlineExceeded) as refused:
        CALLS[name](c, 0.0)
    assert refused.value.reason == "DEADLINE_EXCEEDED"
    assert c.seq == before


@pytest.mark.parametrize("mode", ["auto", "deferred"])
def test_while_the_builder_is_behind_writes_are_refused(open_db: Callable[..., Database], mode: Indexing) -> None:
    """Unless a person has asked to load in bulk; deletes go on."""
    c = make(open_db(kv=MemoryKV(), max_unindexed_bytes=16 * 20))
    c.db.set_indexing(c.context(), c.name, mode)
    c.upsert(names(21), gaussian(21))
    if mode == "deferred":
        assert c.upsert(["more"], gaussian(1)).count == 1
        return
    with pytest.raises(IndexingBehind) as refused:
        c.write(upsert(["more"], gaussian(1)), timeout_s=1.0)
    error = refused.value
    assert (error.reason, error.received) == ("INDEXING_BEHIND", str(16 * 21))
    assert "320 bytes" in (error.expected or "")
    assert error.retry_after_s
    assert (c.count(), c.delete("00000").count, len(c.search(gaussian(1), limit=30))) == (21, 1, 20)
    c.seal()
    assert c.upsert(["more"], gaussian(1)).count == 1


def test_past_the_memory_limit_writes_are_refused_and_the_rest_goes_on(open_db: Callable[..., Database]) -> None:
    kv = MemoryKV()
    full = make(open_db(kv=kv))
    full.upsert(names(5), gaussian(5), [{"n": 1}] * 5)
    full.db.close()
    c = Handle(open_db(kv=kv.durable_copy(), max_memory_bytes=1))
    for write in (c.upsert, c.insert, c.update):
        with pytest.raises(MemoryLimit) as refused:
            write(["new"], gaussian(1))
        error = refused.value
        assert (error.reason, error.expected) == ("MEMORY_LIMIT", "<= 1 anonymous bytes")
        assert error.received is not None
        assert int(error.received) > 1
        assert error.retry_after_s
    assert (c.count(), len(c.search(gaussian(1))), len(c.get(*names(5)))) == (5, 5, 5)
    assert c.delete("00000").count == 1
    assert c.ids() == names(4, start=1)


def test_a_batch_over_its_limit(open_db: Callable[..., Database]) -> None:
    c = make(open_db(kv=MemoryKV(), max_batch_bytes=1_000))
    with pytest.raises(TooLarge) as refused:
        c.upsert(names(100), gaussian(100))
    assert (refused.value.field, refused.value.expected) == ("operations", "<= 1000 bytes")
    assert (c.count(), c.seq) == (0, 0)
    assert c.upsert(names(10), gaussian(10)).count == 10


def test_more_collections_than_are_allowed(open_db: Callable[..., Database]) -> None:
    db = open_db(kv=MemoryKV(), max_collections=2)
    make(db, name="a")
    make(db, name="b")
    with pytest.raises(ResourceExhausted) as refused:
        make(db, name="c")
    assert (refused.value.expected, refused.value.received) == ("<= 2", "3")
    db.drop_collection(Handle(db).context(), "a")
    make(db, name="c")


def test_a_gate_refuses_at_once_what_is_too_much() -> None:
    gate = Gate("calls", calls=2, nbytes=1_000)
    with gate.inside(5_000):  # alone it passes
        with pytest.raises(ResourceExhausted) as refused, gate.inside(1):
            pass
        assert (refused.value.received, refused.value.retry_after_s) == ("5001", 0.1)
    with gate.inside(400), gate.inside(400):
        with pytest.raises(ResourceExhausted) as refused, gate.inside(1):
            pass
        assert (refused.value.expected, refused.value.received) == ("at most 2 at once", "3")
    with gate.inside(400), gate.inside(600):
        pass
