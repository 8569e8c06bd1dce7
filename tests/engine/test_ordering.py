"""Points in the order of a value: every kind of value, pages of any size, and writes between two pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.handle import Handle, gaussian, names
from tests.engine.mixed import IDS, Payload, carry_out, collection, elements, histories, kind
from vecdb.engine.ordering import OrderedPoints
from vecdb.errors import InvalidArgument
from vecdb.model.filter import Filter
from vecdb.model.filter.expression import F
from vecdb.model.order import OrderBy
from vecdb.model.point import Select

SOME = F("v") >= 1


def page(c: Handle, by: OrderBy, cursor: bytes, limit: int, filter: Filter | None = None) -> OrderedPoints:
    return c.db.ordered(c.context(), c.name, by, cursor, limit, Select(), filter)


def walk(c: Handle, by: OrderBy, limit: int, filter: Filter | None = None) -> list[str]:
    """Every id, page by page."""
    found: list[str] = []
    cursor, end = b"", False
    while not end:
        some = page(c, by, cursor, limit, filter)
        assert 1 <= len(some.points) <= limit or (some.end and not found)
        found += some.points.ids
        cursor, end = some.cursor(len(some.points)), some.end
    return found


def ordered(points: dict[str, Payload], descending: bool) -> list[str]:
    """The ids as they should stand: two plain sorts, of which the later keeps what the earlier did."""
    first = max if descending else min
    ids = sorted(points, key=lambda i: i.encode())
    having = [i for i in ids if elements(points[i])]
    having.sort(key=lambda i: first(map(kind, elements(points[i]))), reverse=descending)
    return having + [i for i in ids if i not in having]


@given(history=histories, descending=st.booleans(), limit=st.integers(1, 20))
def test_as_two_plain_sorts(tmp_path_factory: Any, history: Any, descending: bool, limit: int) -> None:
    with collection(history, tmp_path_factory.mktemp("db")) as (c, points):
        by = OrderBy("v", descending)
        assert walk(c, by, limit) == ordered(points, descending)
        passing = {i: p for i, p in points.items() if any(kind(e)[0] == 2 and e >= 1 for e in elements(p))}
        assert walk(c, by, limit, SOME) == ordered(passing, descending)
        inside = Handle(c.db, scope=SOME)
        assert walk(inside, by, limit) == ordered(passing, descending)


@given(before=histories, between=histories, descending=st.booleans(), limit=st.integers(1, 6))
def test_writes_between_pages(tmp_path_factory: Any, before: Any, between: Any, descending: bool, limit: int) -> None:
    """A point that is there from beginning to end with the same value comes exactly once, in its order."""
    by = OrderBy("v", descending)
    with collection(before, tmp_path_factory.mktemp("db")) as (c, points):
        steady, found = dict(points), []
        cursor, end, steps = b"", False, iter(between)
        while not end:
            some = page(c, by, cursor, limit)
            found += some.points.ids
            cursor, end = some.cursor(len(some.points)), some.end
            for what, rows in [next(steps, ("seal", []))]:
                carry_out(c, points, what, rows)
            steady = {i: p for i, p in steady.items() if i in points and points[i] == p}
        assert [i for i in found if i in steady] == ordered(steady, descending)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("key", ["$id", "$version"])
def test_by_id_and_version(c: Handle, key: str, descending: bool) -> None:
    for i in reversed(IDS):
        c.upsert([i], gaussian(1))
    c.seal()
    c.upsert(IDS[:5], gaussian(5))
    points = {point.id: point.version for point in c.get(*IDS)}
    expected = sorted(points, key=lambda i: i.encode(), reverse=descending and key == "$id")
    if key == "$version":
        expected.sort(key=points.__getitem__, reverse=descending)
    assert walk(c, OrderBy(key, descending), 3) == expected


def test_a_cursor_outlives_its_database(open_db: Any, tmp_path: Path) -> None:
    from tests.engine.conftest import make

    c = make(open_db())
    c.upsert(names(30), gaussian(30), [{"v": i % 3} for i in range(30)])
    first = page(c, OrderBy("v"), b"", 13)
    c.db.close()
    again = Handle(open_db())
    rest = page(again, OrderBy("v"), first.cursor(13), 100)
    assert first.points.ids + rest.points.ids == sorted(names(30), key=lambda i: (int(i) % 3, i))


@pytest.mark.parametrize(
    ("by", "cursor"),
    [
        (OrderBy("v", True), None),
        (OrderBy("w"), None),
        (OrderBy("v"), b"\x02[]"),
        (OrderBy("v"), b"\x01["),
        (OrderBy("v"), b'\x01["v",false,[[1]],"a"]'),
        (OrderBy("v"), b'\x01["v",false,[1,2],"a"]'),
        (OrderBy("v"), b'\x01{"v":1}'),
    ],
)
def test_a_cursor_of_another_order_is_refused(c: Handle, by: OrderBy, cursor: bytes | None) -> None:
    c.upsert(names(2), gaussian(2), [{"v": 1}, {"v": 2}])
    mine = page(c, OrderBy("v"), b"", 1).cursor(1)
    with pytest.raises(InvalidArgument) as refused:
        page(c, by, mine if cursor is None else cursor, 1)
    assert refused.value.field == "cursor"


def test_pages_are_bounded_in_bytes(c: Handle) -> None:
    c.upsert(names(30), gaussian(30), [{"v": -i, "much": "x" * 900_000} for i in range(30)])
    first = page(c, OrderBy("v"), b"", 30)
    assert 1 < len(first.points) < 15 and not first.end
    assert walk(c, OrderBy("v"), 30) == names(30)[::-1]
