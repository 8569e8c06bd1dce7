"""Aliases, renaming and pages: every test runs embedded and over gRPC, blocking and awaited."""

from __future__ import annotations

import base64

import pytest

from vecdb import errors
from vecdb.client.client import Client
from vecdb.client.collection import Collection


def test_an_alias_stands_for_a_collection_and_is_moved_at_once(db: Client) -> None:
    for name in ("v1", "v2"):
        db.create_collection(name, dim=2).upsert([name], [[1, 2]])
    db.alias("docs", "v1")
    db.alias("more", "v1")
    docs = db.collection("docs")
    assert docs.search([1, 2]).ids == ["v1"]
    db.alias("docs", "v2")
    assert docs.search([1, 2]).ids == ["v2"]
    docs.upsert(["through the alias"])
    assert db.collection("v2").count() == 2
    assert {info.name: info.aliases for info in db.list_collections()} == {"v1": ("more",), "v2": ("docs",)}
    assert (docs.describe().name, docs.describe().aliases) == ("v2", ("docs",))
    db.drop_alias("docs")
    with pytest.raises(errors.CollectionNotFound):
        docs.count()
    with pytest.raises(errors.NotFound):
        db.drop_alias("docs")


def test_a_collection_is_renamed_with_all_it_has(db: Client) -> None:
    old = db.create_collection("old", dim=2)
    old.upsert([1], [[1, 2]])
    db.create_collection("other", dim=2)
    db.alias("alias", "old")
    db.rename_collection("old", "new")
    assert db.collection("new").search([1, 2]).ids == db.collection("alias").search([1, 2]).ids == ["1"]
    with pytest.raises(errors.CollectionNotFound):
        old.count()
    with pytest.raises(errors.CollectionExists):
        db.rename_collection("new", "other")
    with pytest.raises(errors.CollectionExists):
        db.alias("other", "new")
    for needs_the_name in (
        lambda: db.rename_collection("alias", "x"),
        lambda: db.alias("x", "alias"),
        lambda: db.drop_collection("alias"),
    ):
        with pytest.raises(errors.FailedPrecondition):
            needs_the_name()
    assert [info.name for info in db.list_collections()] == ["new", "other"]


@pytest.mark.parametrize("name", ["", "a b", None])
def test_names_that_cannot_be_are_refused_by_their_parameter(db: Client, name: str) -> None:
    db.create_collection("docs", dim=2)
    for field, call in {
        "name": lambda: db.alias(name, "docs"),
        "collection": lambda: db.alias("a", name),
        "new_name": lambda: db.rename_collection("docs", name),
    }.items():
        with pytest.raises(errors.InvalidArgument) as refused:
            call()
        assert refused.value.field == field
    with pytest.raises(errors.InvalidArgument):
        db.drop_alias(name)


def test_pages_are_a_walk_over_everything(docs: Collection) -> None:
    ids = sorted(["a", "文", "é", *map(str, range(40))], key=str.encode)
    docs.upsert(ids, payloads=[{"id": id} for id in ids])
    for limit in (1, 7, len(ids) - 1, len(ids), 100):
        seen: list[str] = []
        cursor: str | None = None
        while True:
            page = docs.page(cursor, limit)
            assert len(page.points) == min(limit, len(ids) - len(seen))
            seen += [point.id for point in page.points]
            cursor = page.cursor
            if cursor is None:
                break
        assert seen == ids
    point = docs.page(limit=1).points[0]
    assert (point.payload, point.vector) == ({"id": "0"}, None)
    assert docs.page(limit=1, with_payload=False).points[0].payload is None


def test_a_cursor_stays_good_whatever_is_written(docs: Collection) -> None:
    docs.upsert(list("bdfh"))
    first = docs.page(limit=2)
    assert [point.id for point in first.points] == ["b", "d"]
    docs.delete(["b", "d", "f"])
    docs.upsert(list("ace"))
    after = docs.page(first.cursor)
    assert ([point.id for point in after.points], after.cursor) == (["e", "h"], None)
    docs.clear()
    assert docs.page(first.cursor) == docs.page()
    assert (docs.page().points, docs.page().cursor) == ([], None)


def test_what_is_no_cursor_is_refused(docs: Collection) -> None:
    docs.upsert(range(10))
    good = docs.page(limit=1).cursor
    assert good is not None
    assert good == docs.page(limit=1).cursor
    assert good.isascii()
    changed = base64.urlsafe_b64encode(base64.urlsafe_b64decode(good + "=" * (-len(good) % 4))[:-1] + b"9")
    for wrong in ("", "0", good[:-1], good + "A", "é" + good, changed.decode(), 7, b"x"):
        with pytest.raises(errors.InvalidArgument) as refused:
            docs.page(wrong)  # type: ignore[arg-type]
        assert refused.value.field == "cursor"
    for limit in (0, 10_001, 1.5, True, None):
        with pytest.raises(errors.InvalidArgument) as refused:
            docs.page(limit=limit)  # type: ignore[arg-type]
        assert refused.value.field == "limit"
