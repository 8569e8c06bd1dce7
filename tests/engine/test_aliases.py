"""Second names: set, moved, dropped; and collections that are called something else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.conftest import make
from tests.engine.handle import PLAIN, TWO, Handle, gaussian, names
from vecdb import failpoint
from vecdb.engine.database import Database
from vecdb.errors import (
    Closed,
    CollectionExists,
    CollectionNotFound,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ReadOnly,
    ResourceExhausted,
)
from vecdb.model.context import CallContext
from vecdb.storage import codec, keys
from vecdb.storage.memory import MemoryKV

Opener = Callable[..., Database]
NOW = CallContext()


def called(db: Database) -> dict[str, tuple[str, ...]]:
    """The aliases of every collection."""
    return {info.name: info.aliases for info in db.list_collections(NOW)}


def test_an_alias_is_as_good_as_the_name(db: Database) -> None:
    c = make(db, name="docs_v1")
    db.set_alias(NOW, "docs", "docs_v1")
    docs = Handle(db, "docs")
    docs.upsert(["a", "b"], gaussian(2), [{"n": 1}] * 2)
    docs.delete("b")
    assert (c.ids(), docs.ids(), docs.count(), docs.payload("a")) == (["a"], ["a"], 1, {"n": 1})
    assert docs.search(gaussian(1)) == c.search(gaussian(1)) == ["a"]
    db.set_indexing(NOW, "docs", "deferred")
    found = db.describe(NOW, "docs")
    assert found == db.describe(NOW, "docs_v1")
    assert (found.name, found.aliases, found.indexing) == ("docs_v1", ("docs",), "deferred")
    assert docs.stats().name == "docs_v1"
    assert db.create_collection(NOW, "docs", PLAIN, exist_ok=True).name == "docs_v1"


def test_a_collection_has_as_many_aliases_as_it_is_given(open_db: Opener) -> None:
    db = open_db()
    make(db, name="x")
    make(db, name="y")
    for alias in ("c", "a", "b", "a"):
        db.set_alias(NOW, alias, "x")
    assert called(db) == {"x": ("a", "b", "c"), "y": ()}
    db.drop_alias(NOW, "b")
    db.set_alias(NOW, "a", "y")
    assert called(db) == {"x": ("c",), "y": ("a",)}
    db.close()
    db = open_db()
    assert called(db) == {"x": ("c",), "y": ("a",)}
    with pytest.raises(CollectionNotFound):
        db.describe(NOW, "b")


def test_names_and_aliases_are_one_namespace(db: Database) -> None:
    make(db, name="x")
    make(db, name="y")
    db.set_alias(NOW, "a", "x")
    for call, field in (
        (lambda: db.create_collection(NOW, "a", PLAIN), "name"),
        (lambda: db.create_collection(NOW, "a", TWO, exist_ok=True), "name"),
        (lambda: db.rename_collection(NOW, "y", "a"), "new_name"),
        (lambda: db.rename_collection(NOW, "x", "a"), "new_name"),
        (lambda: db.rename_collection(NOW, "x", "y"), "new_name"),
        (lambda: db.rename_collection(NOW, "x", "x"), "new_name"),
        (lambda: db.set_alias(NOW, "y", "x"), "alias"),
        (lambda: db.set_alias(NOW, "x", "x"), "alias"),
    ):
        with pytest.raises(CollectionExists) as refused:
            call()
        assert refused.value.field == field
    assert called(db) == {"x": ("a",), "y": ()}


def test_what_needs_the_own_name_refuses_an_alias(db: Database) -> None:
    """Else one could lose a collection by a name that it only answers to; and an alias of an alias cannot be."""
    make(db, name="x")
    db.set_alias(NOW, "a", "x")
    for call in (
        lambda: db.drop_collection(NOW, "a"),
        lambda: db.rename_collection(NOW, "a", "y"),
        lambda: db.set_alias(NOW, "b", "a"),
    ):
        with pytest.raises(FailedPrecondition) as refused:
            call()
        assert (refused.value.expected, refused.value.received) == ("'x'", "'a'")
    assert called(db) == {"x": ("a",)}


def test_what_is_not_there(db: Database) -> None:
    make(db, name="x")
    for call, kind in (
        (lambda: db.set_alias(NOW, "a", "nowhere"), CollectionNotFound),
        (lambda: db.rename_collection(NOW, "nowhere", "y"), CollectionNotFound),
        (lambda: db.drop_alias(NOW, "a"), NotFound),
        (lambda: db.drop_alias(NOW, "x"), NotFound),
    ):
        with pytest.raises(kind):
            call()
    for bad in ("", "a b", "ü", "a" * 129):
        with pytest.raises(InvalidArgument) as refused:
            db.set_alias(NOW, bad, "x")
        assert refused.value.field == "alias"
        with pytest.raises(InvalidArgument) as refused:
            db.rename_collection(NOW, "x", bad)
        assert refused.value.field == "new_name"


def test_aliases_are_bounded(open_db: Opener) -> None:
    db = open_db(kv=MemoryKV(), max_aliases=2)
    make(db, name="x")
    make(db, name="y")
    for alias in ("a", "b"):
        db.set_alias(NOW, alias, "x")
    with pytest.raises(ResourceExhausted) as refused:
        db.set_alias(NOW, "c", "x")
    assert (refused.value.expected, refused.value.received) == ("<= 2", "3")
    db.set_alias(NOW, "b", "y")  # moving one makes none
    db.drop_alias(NOW, "a")
    db.set_alias(NOW, "c", "x")
    assert called(db) == {"x": ("c",), "y": ("b",)}


def test_a_dropped_collection_takes_its_aliases_along(open_db: Opener) -> None:
    db = open_db()
    make(db, name="x")
    make(db, name="y")
    for alias in ("a", "b"):
        db.set_alias(NOW, alias, "x")
    db.set_alias(NOW, "c", "y")
    db.drop_collection(NOW, "x")
    for name in ("x", "a", "b"):
        with pytest.raises(CollectionNotFound):
            db.count(NOW, name)
    make(db, name="a")
    assert called(db) == {"a": (), "y": ("c",)}
    assert db.check(NOW) == []
    db.close()
    assert called(open_db()) == {"a": (), "y": ("c",)}


def test_a_renamed_collection_keeps_all_it_has(open_db: Opener) -> None:
    db = open_db()
    c = make(db, TWO, "old")
    c.upsert(names(40), {"": gaussian(40), "image": gaussian(40, 3)})
    c.seal()
    db.set_alias(NOW, "a", "old")
    before = db.describe(NOW, "old")
    view = c.look()
    db.rename_collection(NOW, "old", "new")
    renamed = Handle(db, "new")
    assert renamed.ids_at(view) == names(40)
    renamed.upsert(names(5, start=40), {"": gaussian(5)})
    with pytest.raises(CollectionNotFound):
        c.count()
    found = db.describe(NOW, "a")
    assert (found.name, found.points, found.aliases) == ("new", 45, ("a",))
    assert (found.schema, found.created_at_ms) == (before.schema, before.created_at_ms)
    assert renamed.stats().name == "new"
    make(db, PLAIN, "old")
    db.set_indexing(NOW, "new", "deferred")
    db.close()
    db = open_db()
    assert called(db) == {"new": ("a",), "old": ()}
    assert Handle(db, "a").ids() == names(45)
    assert db.describe(NOW, "new").indexing == "deferred"


@pytest.mark.parametrize("name", ["catalog.before_write", "catalog.after_write"])
@pytest.mark.parametrize("what", ["set", "move", "drop alias", "rename", "drop"])
def test_a_change_that_is_stopped_is_there_entirely_or_not_at_all(open_db: Opener, name: str, what: str) -> None:
    db = open_db()
    for c in ("x", "y"):
        make(db, name=c).upsert([c], gaussian(1))
    db.set_alias(NOW, "a", "x")
    before = {"x": ("a",), "y": ()}
    change, after = {
        "set": (lambda: db.set_alias(NOW, "b", "y"), {"x": ("a",), "y": ("b",)}),
        "move": (lambda: db.set_alias(NOW, "a", "y"), {"x": (), "y": ("a",)}),
        "drop alias": (lambda: db.drop_alias(NOW, "a"), {"x": (), "y": ()}),
        "rename": (lambda: db.rename_collection(NOW, "x", "z"), {"y": (), "z": ("a",)}),
        "drop": (lambda: db.drop_collection(NOW, "x"), {"y": ()}),
    }[what]
    failpoint.arm_from_text(f"{name}=raise")
    with pytest.raises(OSError, match=name):
        change()
    failpoint.disarm()
    db.close()
    db = open_db()
    assert called(db) == (before if name == "catalog.before_write" else after)
    for alias, of in [(alias, c) for c, aliases in called(db).items() for alias in aliases]:
        assert Handle(db, alias).ids() == ["x" if of == "z" else of]


@pytest.mark.parametrize("what", ["set", "move", "drop alias", "rename", "drop"])
def test_a_change_that_is_not_durable_is_not_acknowledged(tmp_path: Path, open_db: Opener, what: str) -> None:
    """Nor seen: the store forgets it when the power goes."""
    kv = MemoryKV()
    db = open_db(kv=kv)
    for c in ("x", "y"):
        make(db, name=c)
    db.set_alias(NOW, "a", "x")
    kv.fail_next_sync()
    change = {
        "set": lambda: db.set_alias(NOW, "b", "y"),
        "move": lambda: db.set_alias(NOW, "a", "y"),
        "drop alias": lambda: db.drop_alias(NOW, "a"),
        "rename": lambda: db.rename_collection(NOW, "x", "z"),
        "drop": lambda: db.drop_collection(NOW, "x"),
    }[what]
    for _ in range(2):
        with pytest.raises(ReadOnly):
            change()
        assert called(db) == {"x": ("a",), "y": ()}
    assert called(open_db(path=tmp_path / "again", kv=kv.durable_copy())) == {"x": ("a",), "y": ()}


def test_an_alias_is_moved_at_once(db: Database) -> None:
    """Whoever asks meanwhile gets the one or the other, never nothing and never a mixture."""
    for name in ("x", "y"):
        make(db, name=name).upsert([f"{name}{i}" for i in range(3)], gaussian(3))
    db.set_alias(NOW, "a", "x")
    alias, answers, ready, done = Handle(db, "a"), set(), threading.Event(), threading.Event()
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            while not done.is_set():
                answers.add(tuple(sorted(alias.search(gaussian(1)))))
                ready.set()
        except BaseException as error:
            errors.append(error)
            ready.set()

    thread = threading.Thread(target=ask)
    thread.start()
    assert ready.wait(60)
    for _ in range(100):
        for name in ("y", "x"):
            db.set_alias(NOW, "a", name)
            assert set(alias.ids()) == {f"{name}{i}" for i in range(3)}
    done.set()
    thread.join(60)
    assert errors == []
    assert answers <= {("x0", "x1", "x2"), ("y0", "y1", "y2")}


def test_a_change_whose_caller_has_gone_is_not_made(db: Database) -> None:
    make(db, name="x")
    late = CallContext.within(0)
    for call in (
        lambda: db.set_alias(late, "a", "x"),
        lambda: db.drop_alias(late, "a"),
        lambda: db.rename_collection(late, "x", "y"),
        lambda: db.create_collection(late, "z", PLAIN),
        lambda: db.drop_collection(late, "x"),
    ):
        with pytest.raises(DeadlineExceeded):
            call()
    assert called(db) == {"x": ()}


def test_a_closed_database_takes_no_names(open_db: Opener) -> None:
    db = open_db()
    make(db)
    db.close()
    for call in (
        lambda: db.set_alias(NOW, "a", "c"),
        lambda: db.drop_alias(NOW, "a"),
        lambda: db.rename_collection(NOW, "c", "d"),
    ):
        with pytest.raises(Closed):
            call()


def test_check_finds_an_alias_of_nothing(open_db: Opener) -> None:
    kv = MemoryKV()
    make(open_db(kv=kv), name="x").db.close()
    kv = kv.durable_copy()
    batch = kv.batch()
    batch.put(keys.alias("ghost"), codec.encode_alias(77))
    batch.put(keys.alias("x"), codec.encode_alias(1))
    kv.write(batch)
    kv.sync()
    db = open_db(kv=kv)
    assert called(db) == {"x": ()}
    assert db.check(NOW) == ["alias 'ghost' stands for no collection", "'x' is a collection and an alias"]
    db.close()
