"""Conditions on writes: all of them hold, or nothing of the batch is written."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.engine.conftest import make
from tests.engine.handle import SMALL, Handle, delete, gaussian, insert, update, upsert
from vecdb import Update, Upsert, connect
from vecdb.engine.database import Database
from vecdb.errors import Aborted, ConditionFailed, PointExists
from vecdb.model.context import CallContext
from vecdb.model.filter import Filter
from vecdb.model.filter.expression import F
from vecdb.model.point import Condition, DeleteIds, DeleteWhere, Operation
from vecdb.wire.server import Server, ServerOptions


def lost(c: Handle, *operations: Operation) -> ConditionFailed:
    """How a batch is refused, which leaves everything as it was."""
    before = (c.seq, [(p.id, p.version, p.payload) for p in c.scroll()])
    with pytest.raises(ConditionFailed) as caught:
        c.write(*operations)
    assert (c.seq, [(p.id, p.version, p.payload) for p in c.scroll()]) == before
    return caught.value


@pytest.fixture
def two(c: Handle) -> Handle:
    """a of version 1, b of version 2."""
    c.upsert(["a"], gaussian(1), [{"n": 1}])
    c.upsert(["b"], gaussian(1), [{"n": 2}])
    return c


ABSENT, EXISTS = Condition(absent=True), Condition(exists=True)


def version(*versions: int) -> Condition:
    return Condition(versions=versions)


def matching(filter: Filter) -> Condition:
    return Condition(filter=filter)


@pytest.mark.parametrize(
    ("ids", "condition"),
    [
        (["x", "y"], ABSENT),
        (["a", "b"], EXISTS),
        (["a"], version(1)),
        (["a", "b", "x"], version(1, 2, 0)),
        (["x", "y"], version(0)),
        (["a", "b"], matching(F("n") > 0)),
        (["a"], Condition(exists=True, versions=[1], filter=F("$version") == 1)),
        ([], ABSENT),
    ],
)
def test_what_holds_is_written(two: Handle, ids: list[str], condition: Condition) -> None:
    assert two.write(upsert(ids, payloads=[{}] * len(ids), condition=condition)).count == len(ids)


CASES: list[tuple[list[str], Condition, str, str, str, int]] = [
    (["x", "b"], ABSENT, "ids[1]", "none", "2", 2),
    (["a", "x"], EXISTS, "ids[1]", "a point", "none", 0),
    (["a", "b"], version(1), "ids[1]", "1", "2", 2),
    (["a", "b", "x"], version(1, 2, 3), "ids[2]", "3", "none", 0),
    (["a"], version(0), "ids[0]", "none", "1", 1),
    (["a", "b"], matching(F("n") == 1), "ids[1]", "a point that matches", "2", 2),
    (["x"], matching(F("n") != 1), "ids[0]", "a point that matches", "none", 0),
]


@pytest.mark.parametrize(("ids", "condition", "field", "expected", "received", "has"), CASES)
@pytest.mark.parametrize("kind", [upsert, update, delete])
def test_what_does_not_is_refused_with_its_version(
    two: Handle,
    kind: Callable[..., Operation],
    ids: list[str],
    condition: Condition,
    field: str,
    expected: str,
    received: str,
    has: int,
) -> None:
    operation = DeleteIds(ids, condition) if kind is delete else kind(ids, condition=condition)
    error = lost(two, upsert(["new"], payloads=[{}]), operation)
    assert (error.field, error.expected, error.received, error.version) == (field, expected, received, has)
    assert error.reason == "CONDITION_FAILED"
    assert isinstance(error, Aborted)
    assert ids[int(field[4])] in error.message
    assert pickle.loads(pickle.dumps(error)).version == has


def test_conditions_see_the_operations_before_them(two: Handle) -> None:
    two.write(delete(["a"]), upsert(["a"], payloads=[{"n": 5}], condition=ABSENT))
    assert two.payload("a") == {"n": 5}
    two.write(update(["b"], payloads=[{"n": 7}]), DeleteIds(["b"], matching(F("n") == 7)))
    assert not two.exists("b")[0]
    error = lost(two, upsert(["c"], payloads=[{}]), upsert(["c"], payloads=[{}], condition=ABSENT))
    assert error.version == two.seq + 1  # of this write itself
    lost(two, DeleteWhere(F("n") == 5), update(["a"], payloads=[{}], condition=EXISTS))


def test_one_condition_lost_undoes_what_came_before_it(two: Handle) -> None:
    lost(two, insert(["x"], payloads=[{}]), delete(["a"]), DeleteWhere(F("n") == 2), DeleteIds(["y"], EXISTS))
    assert two.ids() == ["a", "b"]


def test_a_point_outside_the_scope_is_absent_and_stays_hidden(db: Database) -> None:
    everyone, mine = make(db), Handle(db, scope=F("tenant") == "a")
    everyone.upsert(["a", "b"], payloads=[{"tenant": "a"}, {"tenant": "b"}])
    error = lost(mine, update(["b"], payloads=[{}], condition=EXISTS))
    assert (error.received, error.version) == ("none", 0)
    with pytest.raises(PointExists):
        mine.write(upsert(["b"], payloads=[{"tenant": "a"}], condition=version(0)))


def test_a_retry_has_its_first_result_though_the_condition_holds_no_more(two: Handle) -> None:
    write = upsert(["a"], payloads=[{"n": 2}], condition=version(1))
    first = two.write(write, request_id=b"1")
    assert two.write(write, request_id=b"1") == first
    assert lost(two, write).version == first.seq


def test_a_hundred_threads_count_without_a_loss(tmp_path: Any) -> None:
    """Read, add one, write if nobody else did: over gRPC, as often as it takes. Five points, twenty threads each."""
    database = Database.open(tmp_path / "data", SMALL)
    server = Server(database, ServerOptions("127.0.0.1:0"))
    server.start()
    with connect(server.address) as client:
        docs = client.create_collection("docs", dim=4)
        docs.upsert(range(5), gaussian(5), payloads=[{"n": 0, "other": [1]}] * 5)
        races: list[ConditionFailed] = []

        def count(point_id: int) -> None:
            for _ in range(3):
                while True:
                    (point,) = docs.get([point_id])
                    try:
                        docs.update([point_id], payloads=[{"n": point.payload["n"] + 1}], if_version=point.version)
                        break
                    except ConditionFailed as error:
                        assert error.version > point.version
                        races.append(error)

        threads = [threading.Thread(target=count, args=(i % 5,)) for i in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert [p.payload for p in docs.get(range(5))] == [{"n": 60, "other": [1]}] * 5
        assert docs.stats().seq == 301
        assert races
        with pytest.raises(ConditionFailed) as caught:
            docs.write([Update(["0"], if_version=1), Upsert(["b"], if_absent=True)])
        assert caught.value.version == docs.get(["0"])[0].version
        assert docs.upsert(["b"], if_absent=True).count == 1
    server.stop(grace_s=0)
    assert database.check(CallContext()) == []
    database.close()
