"""Reading by id at a view: a pointer names the newest row, and the reader walks back to its own."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.conftest import make
from tests.engine.handle import TWO, Handle, gaussian, names
from vecdb.engine.database import Database
from vecdb.engine.view import View
from vecdb.errors import InvalidArgument
from vecdb.model.context import CallContext
from vecdb.model.point import Select

BARE = Select(False, False, False)


def seen(c: Handle, view: View) -> dict[str, Any]:
    """What a reader of ``view`` finds, by id and by scroll and by search: all the same."""
    ids = ["a", "b", "c"]
    found = {point.id: point.payload["n"] for point in c.points_at(view, ids)}
    assert c.ids_at(view) == sorted(found)
    assert c.inner.lookup.exists(view, ids, c.inner.entry.fields, None) == [i in found for i in ids]
    answer = c.answer_at(view, gaussian(1), limit=10, exact=True)
    assert sorted(answer.points.ids) == sorted(found)
    assert dict(zip(answer.points.ids, answer.points.payloads or (), strict=True)) == {
        i: b'{"n":%d}' % n for i, n in found.items()
    }
    assert view.live == len(found)
    return found


STEPS: list[tuple[str, Any]] = [
    ("upsert", lambda c, n: c.upsert(["a"], gaussian(1, seed=n), [{"n": n}])),
    ("payload", lambda c, n: c.update(["a"], payloads=[{"n": n}])),
    ("vector", lambda c, n: c.update(["a"], gaussian(1, seed=n), [{"n": n}])),
    ("delete", lambda c, n: c.delete("a")),
    ("other", lambda c, n: c.upsert(["b"], gaussian(1, seed=n), [{"n": n}])),
    ("seal", lambda c, n: c.seal()),
    ("cover", lambda c, n: c.cover()),
]


@pytest.mark.parametrize(
    "story",
    [
        "upsert payload payload payload",
        "upsert payload delete upsert payload",
        "upsert seal payload seal vector seal delete seal upsert seal",
        "upsert delete other upsert delete upsert",
        "upsert payload cover payload cover vector cover delete cover upsert cover",
        "other upsert payload seal cover vector seal other payload delete seal cover upsert payload seal",
        "upsert delete seal cover seal cover upsert seal payload seal",
    ],
)
def test_every_view_keeps_its_version(db: Database, story: str) -> None:
    """However long it is held, whatever is written, sealed, merged and reaped meanwhile."""
    c = make(db)
    steps = dict(STEPS)
    held: list[tuple[View, dict[str, Any]]] = []
    for n, verb in enumerate(story.split()):
        steps[verb](c, n)
        view = c.look()
        held.append((view, seen(c, view)))
        for older, wanted in held:
            assert seen(c, older) == wanted
    while held:
        held.pop(0)
        c.cover()
        c.settle()
        for older, wanted in held:
            assert seen(c, older) == wanted
    c.cover()
    assert not c.inner.garbage


def test_get_answers_in_the_order_asked(c: Handle) -> None:
    c.upsert(names(5), gaussian(5))
    asked = ["00003", "x", "00001", "00003", "00000"]
    assert [point.id for point in c.get(*asked)] == ["00003", "00001", "00003", "00000"]
    assert c.exists(*asked) == [True, False, True, True, True]
    assert c.get() == []
    assert c.exists() == []


def test_scroll_goes_by_the_bytes_of_ids_page_by_page(c: Handle) -> None:
    ids = sorted([*names(20), "\x00", "\x00\x00", "é", "ē", "字", "\U0001f9ff", "~~"], key=str.encode)
    c.upsert(ids, gaussian(len(ids)))
    for page in (1, 2, 5, 26, 27, 28, 1_000):
        assert [point.id for point in c.scroll(page)] == ids
    points, end = c.db.scroll(CallContext(), "c", "00004", 2, BARE)
    assert (points.ids, end) == (["00005", "00006"], False)
    points, end = c.db.scroll(CallContext(), "c", "000045", 2, BARE)  # between two ids
    assert points.ids == ["00005", "00006"]
    points, end = c.db.scroll(CallContext(), "c", ids[-1], 2, BARE)
    assert (points.ids, end) == ([], True)
    points, end = c.db.scroll(CallContext(), "c", "", 1, BARE)
    assert points.ids == ids[:1]


@pytest.mark.parametrize("after", ["\ud800", "x" * 513])
def test_scroll_from_what_is_no_id(c: Handle, after: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        c.db.scroll(CallContext(), "c", after, 10, BARE)
    assert refused.value.field == "after[0]"


def test_a_page_stops_early_when_it_is_large(c: Handle) -> None:
    """An answer fits a message; a point alone always comes."""
    c.upsert(names(5), payloads=[{"text": "x" * 900_000}] * 5)
    c.upsert(names(20, start=5), payloads=[{"text": "x" * 900_000}] * 20)
    points, end = c.db.scroll(CallContext(), "c", None, 1_000, Select())
    assert 5 <= len(points) < 25
    assert not end
    assert [point.id for point in c.scroll(1_000)] == names(25)


def test_vectors_come_back_as_they_were_given(db: Database) -> None:
    """Not as they are stored for scoring; also those of other rows."""
    c = make(db, TWO)
    vectors, images = 100 * gaussian(30), gaussian(30, 3)
    c.upsert(names(30), {"": vectors, "image": images}, [{}] * 30)
    c.seal()
    c.update(names(30)[::2], payloads=[{"n": 1}] * 15)
    c.update(names(30)[::3], {"image": -images[::3]})
    for i, point in enumerate(c.scroll()):
        assert point.vectors[""].tolist() == vectors[i].tolist()
        assert point.vectors["image"].tolist() == (-images if i % 3 == 0 else images)[i].tolist()
