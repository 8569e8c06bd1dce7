"""Delete and update by filter: exactly the points that match when their turn comes, published or not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.conftest import make
from tests.engine.handle import SMALL, TWO, Handle, delete, gaussian, insert, names, update, upsert
from vecdb import failpoint
from vecdb.engine.database import Database
from vecdb.errors import FieldNotFound, InvalidArgument
from vecdb.model.context import CallContext
from vecdb.model.filter import Facts, Filter, matches
from vecdb.model.filter.expression import F
from vecdb.model.point import DeleteWhere, Operation, PayloadMode, UpdateWhere
from vecdb.storage.memory import MemoryKV

EVEN, ODD = F("even") == True, F("even") == False  # noqa: E712 - these make filters


def fill(c: Handle, n: int = 40, start: int = 0) -> None:
    numbers = range(start, start + n)
    c.upsert(names(n, start), gaussian(n, seed=start), [{"n": i, "even": i % 2 == 0} for i in numbers])


def change(filter: Filter, **more: Any) -> UpdateWhere:
    return UpdateWhere(filter, payload_mode=PayloadMode.MERGE, **more)


@pytest.mark.parametrize("sealed", [False, True])
def test_what_matches_is_deleted_and_nothing_else(c: Handle, sealed: bool) -> None:
    fill(c)
    if sealed:
        c.seal()
    assert c.write(DeleteWhere(EVEN)).count == 20
    assert c.ids() == names(40)[1::2]
    assert sorted(c.search(gaussian(1), limit=100)) == names(40)[1::2]
    assert c.write(DeleteWhere(EVEN)).count == 0
    assert c.write(DeleteWhere(F("n") >= 0)).count == 20
    assert c.count() == 0


def test_what_matches_is_changed_and_keeps_its_vector(c: Handle) -> None:
    """No vector goes into a graph for it, and the point is found where it was."""
    fill(c)
    c.seal()
    inserted, near = c.inner.insertions, c.search(gaussian(1), limit=40)
    assert c.write(change(ODD, payload=b'{"seen":true}')).count == 20
    assert c.write(change(F("seen") == True, payload=b'{"twice":1}')).count == 20  # noqa: E712
    c.settle()
    assert (c.inner.insertions, c.search(gaussian(1), limit=40)) == (inserted, near)
    assert c.payload("00001") == {"n": 1, "even": False, "seen": True, "twice": 1}
    assert c.payload("00002") == {"n": 2, "even": True}


def test_operations_of_a_batch_see_what_those_before_them_did(c: Handle) -> None:
    fill(c, 4)
    result = c.write(
        upsert(["new"], gaussian(1), [{"n": 9, "even": False}]),
        delete(["00001"]),
        update(["00003"], payloads=[{"n": 3, "even": True}]),
        change(ODD, payload=b'{"even":true}'),  # the new one alone
        DeleteWhere(F("even") == False),  # noqa: E712 - nothing is left
        upsert(["again"], payloads=[{"n": 10, "even": True}]),
        DeleteWhere(F("n") == 9),
        change(EVEN, payload=b'{"last":1}'),
    )
    assert result.count == 1 + 1 + 1 + 1 + 0 + 1 + 1 + 4
    assert {p.id: p.payload["last"] for p in c.scroll()} == dict.fromkeys(["00000", "00002", "00003", "again"], 1)


@contextmanager
def held(c: Handle, name: str = "commit.before_sync") -> Iterator[Callable[[Callable[[], Any]], None]]:
    """Nothing is published inside; writes given to what this yields are committed one after the other, unpublished."""
    reached, go_on = threading.Event(), threading.Event()

    def hold(name: str) -> None:
        reached.set()
        assert go_on.wait(30)

    threads: list[threading.Thread] = []
    errors: list[BaseException] = []

    def begin(write: Callable[[], Any]) -> None:
        def run() -> None:
            try:
                write()
            except BaseException as error:
                errors.append(error)

        before = c.db._committer._unanswered
        threads.append(threading.Thread(target=run))
        threads[-1].start()
        while c.db._committer._unanswered == before:
            reached.wait(0.001)
        c.db._committer.between_commits(lambda: None)  # it is in the store now

    failpoint.arm(name, hold)
    try:
        yield begin
    finally:
        failpoint.disarm()
        go_on.set()
        for thread in threads:
            thread.join(30)
    assert not errors


def test_what_is_written_but_not_published_is_judged_too(c: Handle) -> None:
    """The view that the filter is first looked up in knows of none of the four writes before it."""
    fill(c, 6)
    with held(c) as begin:
        begin(lambda: fill(c, 2, start=6))  # matches, and is not in the view
        begin(lambda: c.update(["00000"], payloads=[{"n": 0, "even": False}]))  # matched, does no more
        begin(lambda: c.update(["00001"], payloads=[{"n": 1, "even": True}]))  # did not, does now
        begin(lambda: c.delete("00002"))  # matched, and is gone
        counts: dict[str, int] = {}
        begin(lambda: counts.update(deleted=c.write(DeleteWhere(EVEN)).count))
        begin(lambda: counts.update(changed=c.write(change(ODD, payload=b'{"late":1}')).count))
        assert c.ids() == names(6)
    assert counts == {"deleted": 3, "changed": 4}
    assert {p.id: p.payload.get("late") for p in c.scroll()} == dict.fromkeys(["00000", "00003", "00005", "00007"], 1)


def test_writes_of_one_group_see_each_other(c: Handle) -> None:
    """All of them wait while the committer is busy, and are then committed as one group."""
    fill(c, 4)
    go_on = threading.Event()
    busy = threading.Thread(target=lambda: c.db._committer.between_commits(lambda: go_on.wait(30)))
    busy.start()
    results: dict[str, int] = {}

    def run(name: str, *operations: Operation) -> threading.Thread:
        thread = threading.Thread(target=lambda: results.update({name: c.write(*operations).count}))
        before = c.db._committer._unanswered
        thread.start()
        while c.db._committer._unanswered == before:
            go_on.wait(0.001)
        return thread

    threads = [
        run("insert", insert(["x"], payloads=[{"even": True}])),
        run("delete", DeleteWhere(EVEN)),
        run("change", change(ODD, payload=b'{"even":true}')),
        run("again", DeleteWhere(EVEN)),
    ]
    go_on.set()
    for thread in (busy, *threads):
        thread.join(30)
    assert results == {"insert": 1, "delete": 3, "change": 2, "again": 2}
    assert c.count() == 0


def test_a_scope_holds(db: Database) -> None:
    """A tenant changes its own points, and makes none of them another's."""
    everyone, mine = make(db), Handle(db, scope=F("tenant") == "a")
    payloads = [{"tenant": "ab"[i % 2], "n": i} for i in range(20)]
    everyone.upsert(names(20), gaussian(20), payloads)
    assert mine.write(change(F("n") >= 0, payload=b'{"seen":1}')).count == 10
    assert mine.write(DeleteWhere(F("n") < 10)).count == 5
    assert everyone.count() == 15
    assert [p.id for p in everyone.scroll() if "seen" in p.payload] == names(20)[10::2]
    with pytest.raises(InvalidArgument) as caught:
        mine.write(change(F("n") == 12, payload=b'{"tenant":"b"}'))
    assert (caught.value.field, caught.value.expected) == ("'00012'", "a point of the scope")
    with pytest.raises(InvalidArgument):
        mine.write(change(F("n") == 12, unset=[("tenant",)]))


def test_every_kind_of_fact_may_be_asked(db: Database) -> None:
    c = make(db, TWO)
    c.upsert(["a", "b"], {"": gaussian(2), "image": [[1, 2, 3], None]}, texts={"title": ["A Word", None]})
    with failpoint_free():
        assert c.write(DeleteWhere(F("$id") == "none")).count == 0
    assert c.write(change(F.has_vector("image"), payload=b'{"image":1}')).count == 1
    assert c.write(change(F("$version") == 2, payload=b'{"second":1}')).count == 1
    assert c.payload("a") == {"image": 1, "second": 1}
    with pytest.raises(FieldNotFound):
        c.write(DeleteWhere(F.has_vector("none")))
    assert c.write(DeleteWhere(F.text("word", "title"))).count == 1
    assert c.ids() == ["b"]


@contextmanager
def failpoint_free() -> Iterator[None]:
    """Nothing is written by what is done inside: a write that finds nothing is no commit."""
    failpoint.arm("commit.before_final", lambda name: pytest.fail("something was written"))
    yield
    failpoint.disarm()


def test_replay_asks_no_filter(open_db: Callable[..., Database]) -> None:
    """The log holds rows: after a restart the outcome is the same, and further edits go on from it."""
    kv = MemoryKV()
    c = make(open_db(kv=kv))
    fill(c)
    c.write(change(EVEN, payload=b'{"seen":1}'), DeleteWhere(ODD))
    before = {p.id: (p.version, p.payload, p.vector.tolist()) for p in c.scroll()}
    c.db.close()
    c = Handle(open_db(kv=kv.durable_copy()))
    assert {p.id: (p.version, p.payload, p.vector.tolist()) for p in c.scroll()} == before
    assert c.write(change(F("seen") == 1, unset=[("seen",)])).count == 20
    c.seal()
    assert np.array_equal(c.one("00000").vector, gaussian(40)[0])


STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "change", "delete", "unset", "drop"]), st.integers(0, 9), st.integers(0, 3)),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=4))
def test_any_history_is_that_of_a_dict(batches: list[list[tuple[str, int, int]]]) -> None:
    """Batches of any operations, by id and by filter, against the plainest of models."""
    from pathlib import Path
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        db = Database(MemoryKV(), Path(folder), SMALL)
        c = make(db)
        model: dict[str, dict[str, int]] = {}
        for steps in batches:
            operations: list[Operation] = []
            count = 0
            for kind, i, value in steps:
                point_id, where = f"{i}", F("v") == value
                found = [k for k, held in model.items() if matches(where, Facts(k, payload=held))]
                if kind == "put":
                    operations.append(upsert([point_id], payloads=[{"v": value, "i": i}]))
                    model[point_id] = {"v": value, "i": i}
                    count += 1
                    continue
                if kind == "drop":
                    operations.append(delete([point_id]))
                    count += model.pop(point_id, None) is not None
                    continue
                count += len(found)
                if kind == "delete":
                    operations.append(DeleteWhere(where))
                    model = {k: held for k, held in model.items() if k not in found}
                elif kind == "unset":
                    operations.append(change(where, unset=[("i",)], payload=b'{"w":%d}' % i))
                    model |= {k: {"w": i, **{a: b for a, b in model[k].items() if a not in "iw"}} for k in found}
                else:
                    operations.append(change(where, payload=b'{"v":%d}' % (i % 4)))
                    model |= {k: {**model[k], "v": i % 4} for k in found}
            assert c.write(*operations).count == count
            assert {p.id: p.payload for p in c.scroll()} == model
            db.maintain()
        assert db.check(CallContext()) == []
        db.close()
