"""A scope: nothing outside it is seen, counted or changed, by any call."""

from __future__ import annotations

import pytest

from tests.engine.handle import ALL, Handle, delete, gaussian, insert, names, update, upsert
from vecdb.errors import InvalidArgument, PointExists
from vecdb.model.context import CallContext
from vecdb.model.filter.expression import F
from vecdb.model.point import Clear, Operation

INSIDE, OUTSIDE = names(6), names(6, start=6)
MINE, THEIRS, NOBODYS = {"tenant": "a"}, {"tenant": "b"}, None


@pytest.fixture
def whole(c: Handle) -> Handle:
    c.upsert(INSIDE + OUTSIDE, gaussian(12), [MINE] * 6 + [THEIRS] * 5 + [NOBODYS])
    c.seal()
    return c


@pytest.fixture
def mine(whole: Handle) -> Handle:
    return Handle(whole.db, scope=(F("tenant") == "a"))


def test_search(mine: Handle) -> None:
    assert sorted(mine.search(gaussian(1), limit=100)) == INSIDE


def test_search_exactly(mine: Handle) -> None:
    assert sorted(mine.search(gaussian(1), limit=100, exact=True)) == INSIDE


def test_count(mine: Handle) -> None:
    assert mine.count() == 6
    assert mine.db.describe(mine.context(), "c").points == 6
    assert [info.points for info in mine.db.list_collections(mine.context())] == [6]


def test_get(mine: Handle) -> None:
    assert [point.id for point in mine.get(*INSIDE, *OUTSIDE)] == INSIDE


def test_exists(mine: Handle) -> None:
    assert mine.exists(*INSIDE, *OUTSIDE, "nobody") == [True] * 6 + [False] * 7


def test_scroll(mine: Handle) -> None:
    assert [point.id for point in mine.scroll(page=2, select=ALL)] == INSIDE


def test_delete_and_clear(mine: Handle, whole: Handle) -> None:
    assert mine.delete(INSIDE[0], *OUTSIDE).count == 1
    assert mine.clear().count == 5
    assert whole.ids() == OUTSIDE
    assert whole.count() == 6
    assert mine.count() == 0


def test_update(mine: Handle, whole: Handle) -> None:
    assert mine.update([INSIDE[0], OUTSIDE[0]], payloads=[{"tenant": "a", "n": 1}] * 2).count == 1
    assert whole.payload(OUTSIDE[0]) == THEIRS
    assert whole.payload(INSIDE[0]) == {"tenant": "a", "n": 1}


@pytest.mark.parametrize("put", [upsert, insert], ids=["upsert", "insert"])
def test_an_id_outside_is_taken_and_not_replaced(mine: Handle, whole: Handle, put: object) -> None:
    for taken in (OUTSIDE[0], OUTSIDE[-1]):
        with pytest.raises(PointExists) as refused:
            mine.write(put(["new", taken], gaussian(2), [MINE] * 2))  # type: ignore[operator]
        assert refused.value.field == "ids[1]"
    assert whole.ids() == INSIDE + OUTSIDE
    assert whole.seq == 1


@pytest.mark.parametrize(
    "write",
    [
        upsert(["new"], gaussian(1), [THEIRS]),
        upsert(["new"], gaussian(1), [NOBODYS]),
        upsert(["new"], gaussian(1)),
        upsert(["new"], gaussian(1), [{"tenant": ["b"]}]),
        insert(["new"], gaussian(1), [THEIRS]),
        update([INSIDE[0]], payloads=[THEIRS]),
    ],
)
def test_nothing_is_put_outside(mine: Handle, whole: Handle, write: Operation) -> None:
    with pytest.raises(InvalidArgument) as refused:
        mine.write(write)
    assert (refused.value.field or "").startswith(("operations[0].payloads", "ids[0]"))
    assert whole.ids() == INSIDE + OUTSIDE
    assert whole.payload(INSIDE[0]) == MINE
    assert whole.seq == 1


def test_a_batch_sees_its_own_writes_and_nothing_else(mine: Handle, whole: Handle) -> None:
    mine.write(Clear(), upsert(["new"], gaussian(1), [MINE]), update(["new", OUTSIDE[0]], gaussian(2)), delete(OUTSIDE))
    assert mine.ids() == ["new"]
    assert whole.ids() == sorted([*OUTSIDE, "new"])
    assert whole.db.check(CallContext()) == []
