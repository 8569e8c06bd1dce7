"""Schemas that change under points, readers and writers: what each call sees, what is left, what never comes back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engine.conftest import make
from tests.engine.handle import DIM, TWO, Handle, gaussian, names
from vecdb import failpoint
from vecdb.engine import catalog
from vecdb.engine.database import Database
from vecdb.engine.prepare import FieldIds
from vecdb.engine.sealing import folder_of
from vecdb.engine.shape import MAX_NUMBER, Shape
from vecdb.errors import (
    AlreadyExists,
    CollectionExists,
    FailedPrecondition,
    FieldNotFound,
    InvalidArgument,
    ResourceExhausted,
)
from vecdb.index import hnsw
from vecdb.model.context import CallContext
from vecdb.model.filter import HasVector
from vecdb.model.filter.expression import F
from vecdb.model.point import Put, PutMode, Rows, Select, VectorColumn, WriteBatch
from vecdb.model.query import Near, SearchRequest
from vecdb.model.schema import Schema, TextField, VectorField
from vecdb.model.schema_change import (
    AddTextField,
    AddVectorField,
    DropVectorField,
    RenameVectorField,
    SetDefaultVector,
    SetPayloadColumns,
    SetTtl,
)
from vecdb.storage import codec, keys
from vecdb.storage.kv import prefix_end
from vecdb.storage.memory import MemoryKV

Opener = Callable[..., Database]
NOW = CallContext()
IMAGE = VectorField(3, "euclidean")


def stored_fields(c: Handle) -> set[int]:
    """The numbers of the fields that vectors in the store are of."""
    start, end = keys.vector_from(c.inner.number, 0), keys.vector_from(c.inner.number, keys.LAST_ROW)
    return {keys.vector_row_field(key)[1] for key, _ in c.inner.kv.scan(start, end)}


def files_of(c: Handle, root: Path, field_id: int) -> list[str]:
    folders = [folder_of(root / "segments", c.inner.number, s.number) for s in c.inner.view.segments]
    return sorted(file.name for folder in folders for file in folder.glob(f"{field_id}.*"))


def nearest(c: Handle, vector: Any, limit: int = 3, **more: Any) -> list[str]:
    return c.search(vector, limit=limit, **more)


@pytest.mark.parametrize("sealed", [True, False])
def test_a_field_is_added_and_filled_point_by_point(c: Handle, sealed: bool) -> None:
    texts = gaussian(60)
    c.upsert(names(60), texts)
    if sealed:
        c.seal()
    info = c.change(AddVectorField("image", IMAGE))
    assert info.schema.vectors["image"] == IMAGE
    assert nearest(c, np.ones(3), using="image") == []
    images = gaussian(60, 3, seed=2)
    for start in range(0, 60, 20):
        c.update(names(20, start=start), {"image": images[start : start + 20]})
        has = c.inner.matcher.count(NOW, c.look(), HasVector("image"))
        assert has == start + 20
        best = np.argsort(np.linalg.norm(images[: start + 20] - images[start], axis=1))[:3]
        assert nearest(c, images[start], using="image") == [names(60)[i] for i in best]
        assert nearest(c, texts[start])[0] == names(60)[start]
    c.seal()
    assert {s.index["image"] for s in c.stats().segments} == {"hnsw" if hnsw.available() else "flat"}
    assert nearest(c, images[5], using="image")[0] == names(60)[5]
    assert nearest(c, texts[5])[0] == names(60)[5]
    assert c.stats().vectors == 120


def test_a_dropped_field_is_gone_at_once_and_its_space_soon(open_db: Opener, tmp_path: Path) -> None:
    c = make(open_db(), TWO)
    c.upsert(names(40), {"": gaussian(40), "image": gaussian(40, 3)})
    c.seal()
    c.upsert(names(10, start=40), {"": gaussian(10), "image": gaussian(10, 3)})
    root = tmp_path / "data"
    assert files_of(c, root, 1)
    view = c.look()
    c.change(DropVectorField("image"))
    for attempt in (
        lambda: nearest(c, np.ones(3), using="image"),
        lambda: c.update(names(1), {"image": np.ones((1, 3))}),
        lambda: c.db.search(NOW, "c", SearchRequest([Near(np.ones((1, DIM), np.float32))], filter=HasVector("image"))),
    ):
        with pytest.raises(FieldNotFound, match="'image'"):
            attempt()
    assert all(set(point.vectors) == {""} for point in c.scroll())
    c.settle()
    assert stored_fields(c) == {0, 1}, "a reader may still hold the older view"
    assert len(c.answer_at(view, np.ones(DIM)).points) == 10
    del view
    c.settle()
    assert stored_fields(c) == {0}
    assert files_of(c, root, 1) == []
    assert c.inner.entry.shape.dropping == ()
    assert all(1 not in segment.parts for segment in c.inner.view.segments)
    assert c.count() == 50
    c.update(names(50), payloads=[{"n": 1}] * 50)  # bodies that named the field are replaced, and adopt no vector of it
    c.compact()


def test_a_number_is_never_used_again(open_db: Opener) -> None:
    c = make(open_db(), TWO)
    for i in range(3):
        c.upsert(["a"], {"": gaussian(1), "image": gaussian(1, 3, seed=i)})
        c.change(DropVectorField("image"))
        c.settle()
        if i == 1:
            c.db.close()
            c = Handle(open_db(), "c")
        c.change(AddVectorField("image", IMAGE))
        assert set(c.one("a").vectors) == {""}, "the vector of a field that had the name before"
        assert c.inner.entry.fields.vectors["image"] == i + 2


def test_numbers_come_to_an_end() -> None:
    shape = Shape(Schema({}), FieldIds({}, {"": 0}), MAX_NUMBER, MAX_NUMBER + 1)
    last = shape.changed(AddVectorField("last", IMAGE))
    assert last.fields.vectors == {"last": MAX_NUMBER}
    with pytest.raises(ResourceExhausted, match="16384"):
        last.changed(AddVectorField("more", IMAGE))
    with pytest.raises(ResourceExhausted):
        shape.changed(AddTextField("more", TextField()))


def test_a_rename_changes_the_name_alone(open_db: Opener) -> None:
    c = make(open_db(), TWO)
    images = gaussian(40, 3)
    c.upsert(names(40), {"": gaussian(40), "image": images})
    c.seal()
    assert c.inner.matcher.count(NOW, c.look(), HasVector("image")) == 40
    c.change(RenameVectorField("image", "picture"))
    c.change(AddVectorField("image", IMAGE))
    assert nearest(c, images[7], using="picture")[0] == names(40)[7]
    assert nearest(c, images[7], using="image") == []
    assert c.inner.matcher.count(NOW, c.look(), HasVector("image")) == 0
    assert c.inner.matcher.count(NOW, c.look(), HasVector("picture")) == 40
    assert c.inner.entry.fields.vectors == {"": 0, "picture": 1, "image": 2}
    before = c.db.describe(NOW, "c")
    c.db.close()
    c = Handle(open_db(), "c")
    assert c.db.describe(NOW, "c") == before
    assert nearest(c, images[7], using="picture")[0] == names(40)[7]


def test_where_no_field_is_named(db: Database) -> None:
    c = make(db, Schema({"a": VectorField(2)}))
    here = np.eye(2, dtype=np.float32)

    def write(point_id: str, vector: Any) -> None:
        c.db.write(NOW, "c", WriteBatch([Put(PutMode.UPDATE, Rows([point_id], {None: VectorColumn(vector[None])}))]))

    c.upsert(["one"], {"a": here[:1]})
    assert nearest(c, here[0], using=None) == ["one"]
    c.change(AddVectorField("b", VectorField(2)))
    assert nearest(c, here[0], using=None) == ["one"], "a second field is no reason to search nowhere"
    assert c.db.describe(NOW, "c").schema.default_vector == "a"
    c.change(SetDefaultVector("b"))
    assert nearest(c, here[0], using=None) == []
    write("one", here[1])
    assert c.one("one").vectors["b"].tolist() == here[1].tolist()
    c.change(RenameVectorField("b", "c"))
    assert nearest(c, here[0], using=None) == ["one"]
    with pytest.raises(FailedPrecondition, match="default"):
        c.change(DropVectorField("c"))
    c.change(DropVectorField("a"))
    assert c.db.describe(NOW, "c").schema.main_vector == "c"
    with pytest.raises(InvalidArgument, match="two columns"):
        column = VectorColumn(here[:1])
        c.db.write(NOW, "c", WriteBatch([Put(PutMode.UPSERT, Rows(["x"], {None: column, "c": column}))]))


def test_no_telling_which_field(db: Database) -> None:
    c = make(db, Schema({"b": VectorField(2), "a": VectorField(2)}))
    for attempt in (
        lambda: nearest(c, np.ones(2), using=None),
        lambda: c.db.write(
            NOW, "c", WriteBatch([Put(PutMode.UPSERT, Rows(["x"], {None: VectorColumn(np.ones((1, 2), np.float32))}))])
        ),
    ):
        with pytest.raises(FieldNotFound, match=r"expected 'a' \| 'b'"):
            attempt()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (AddVectorField("image", IMAGE), AlreadyExists, "'image'"),
        (AddVectorField("", IMAGE), AlreadyExists, "''"),
        (AddVectorField("a b", IMAGE), InvalidArgument, "'a b'"),
        (AddVectorField("x", VectorField(0)), InvalidArgument, "dim"),
        (DropVectorField("nothing"), FieldNotFound, "'nothing'"),
        (DropVectorField(""), FailedPrecondition, "default"),
        (RenameVectorField("nothing", "x"), FieldNotFound, "'nothing'"),
        (RenameVectorField("image", ""), AlreadyExists, "''"),
        (RenameVectorField("image", "a b"), InvalidArgument, "'a b'"),
        (SetDefaultVector("nothing"), FieldNotFound, "'nothing'"),
        (AddTextField("title", TextField()), AlreadyExists, "'title'"),
        (SetTtl(-1), InvalidArgument, "ttl_ms"),
    ],
)
def test_what_cannot_be_changed(db: Database, change: Any, error: type[Exception], words: str) -> None:
    c = make(db, TWO)
    before = c.db.describe(NOW, "c")
    with pytest.raises(error, match=words):
        c.change(change)
    assert c.db.describe(NOW, "c") == before


def test_sixty_four_fields_are_enough(db: Database) -> None:
    c = make(db, Schema({f"f{i}": VectorField(2) for i in range(64)}))
    with pytest.raises(InvalidArgument, match="too many fields"):
        c.change(AddVectorField("more", VectorField(2)))
    c.change(DropVectorField("f3"))
    c.change(AddVectorField("more", VectorField(2)))


def test_everything_said_is_kept(open_db: Opener) -> None:
    c = make(open_db(), TWO)
    for change in (
        AddVectorField("more", VectorField(5, "dot", 8, 50, "model")),
        SetDefaultVector("image"),
        AddTextField("summary", TextField("english")),
        SetTtl(90_000),
        SetPayloadColumns(False),
    ):
        info = c.change(change)
    c.upsert(["a"], {"image": gaussian(1, 3)}, texts={"summary": ["words"]})
    found = info.schema
    assert (found.default_vector, found.ttl_ms, found.payload_columns) == ("image", 90_000, False)
    assert list(found.vectors) == ["", "image", "more"]
    c.db.close()
    c = Handle(open_db(), "c")
    assert c.db.describe(NOW, "c").schema == found
    assert c.one("a").texts == {"summary": "words"}


def test_answers_are_the_same_with_columns_and_without(c: Handle) -> None:
    filter = F("n") >= 5

    def write(first: int) -> None:
        c.upsert(names(20, start=first), gaussian(20), [{"n": i % 10} for i in range(20)])

    def columned() -> list[bool]:
        return [segment.columns is not None for segment in c.inner.view.segments]

    write(0)
    for i, on in enumerate((False, True, False), 1):
        c.change(SetPayloadColumns(on))
        write(20 * i)
        assert c.inner.matcher.count(NOW, c.look(), filter) == 10 * (i + 1)
        c.seal()
        assert columned() == [on]
        assert c.inner.matcher.count(NOW, c.look(), filter) == 10 * (i + 1)


def test_another_schema_is_told_by_what_differs(db: Database) -> None:
    made = Schema({"": VectorField(4), "image": IMAGE}, ttl_ms=1000, payload_columns=False)
    make(db, made)
    db.create_collection(NOW, "c", Schema(made.vectors, made.texts, "", 1000, False), exist_ok=True)
    for other, path, here, asked in (
        (Schema({"": VectorField(4)}, ttl_ms=1000, payload_columns=False), 'vectors["image"]', "dim=3", "none"),
        (Schema(made.vectors, made.texts, "image", 1000, False), "default_vector", "''", "'image'"),
        (Schema(made.vectors, made.texts, None, 0, False), "ttl_ms", "1000", "0"),
        (Schema(made.vectors, made.texts, None, 1000), "payload_columns", "False", "True"),
    ):
        with pytest.raises(CollectionExists) as refused:
            db.create_collection(NOW, "c", other, exist_ok=True)
        assert refused.value.message.endswith(f"another schema: {path}")
        assert here in str(refused.value.expected)
        assert asked in str(refused.value.received)


def test_an_entry_of_the_first_version_is_read() -> None:
    text = (
        b'{"name":"docs","created_at_ms":7,"indexing":"auto","vectors":{"":{"id":0,"dim":4,"metric":"dot","m":16,'
        b'"ef_construction":200,"model":null},"image":{"id":3,"dim":2,"metric":"cosine","m":16,"ef_construction":200,'
        b'"model":null}},"texts":{"":{"id":0,"analyzer":"multilingual"}}}'
    )
    entry = catalog.decode(1, b"\x01" + text)
    assert entry.shape == Shape(
        Schema({"": VectorField(4, "dot"), "image": VectorField(2)}), FieldIds({"": 0, "image": 3}, {"": 0}), 4, 1
    )
    assert catalog.decode(1, catalog.encode(entry)) == entry


# -- at the same time


def test_a_write_that_waits_is_judged_by_the_schema_it_is_committed_under(c: Handle) -> None:
    """Prepared before the change, committed after it: a dropped field takes no vector."""
    c.change(AddVectorField("image", IMAGE))
    c.change(AddVectorField("other", IMAGE))
    entered, go = threading.Event(), threading.Event()

    def hold(name: str) -> None:
        failpoint.disarm()
        entered.set()
        assert go.wait(30)

    failpoint.arm("change.before_publish", hold)
    outcomes: dict[str, Any] = {}

    def run(name: str, action: Callable[[], Any]) -> threading.Thread:
        def attempt() -> None:
            try:
                outcomes[name] = action()
            except Exception as error:
                outcomes[name] = error

        thread = threading.Thread(target=attempt)
        thread.start()
        return thread

    threads = [run("drop", lambda: c.change(DropVectorField("image")))]
    assert entered.wait(30)
    submitted = threading.Semaphore(0)
    committer, submit = c.db._committer, c.db._committer.submit

    def counting(write: Any) -> Any:
        done = submit(write)
        submitted.release()
        return done

    committer.submit = counting  # type: ignore[method-assign]
    threads.append(run("named", lambda: c.upsert(["a"], {"": gaussian(1), "image": gaussian(1, 3)})))
    assert submitted.acquire(timeout=30), "prepared under the old schema, and queued"
    threads.append(run("fine", lambda: c.upsert(["b"], {"": gaussian(1), "other": gaussian(1, 3)})))
    assert submitted.acquire(timeout=30)
    go.set()
    for thread in threads:
        thread.join(30)
    assert isinstance(outcomes["named"], FieldNotFound), outcomes["named"]
    assert outcomes["fine"].count == 1
    assert c.ids() == ["b"]
    c.settle()
    assert stored_fields(c) <= {0, 2}


def test_a_view_is_read_by_the_schema_it_was_taken_with(c: Handle) -> None:
    c.change(AddVectorField("image", IMAGE))
    c.upsert(names(5), {"": gaussian(5), "image": gaussian(5, 3)})
    before = c.inner._look()
    c.change(RenameVectorField("image", "picture"))
    c.change(DropVectorField("picture"))
    c.settle()
    request = SearchRequest([Near(np.ones((1, 3), np.float32), "image")], select=Select(vectors=True))
    answer = before.executor.search(NOW, before.view, request)
    assert len(answer.points) == 5
    assert answer.points.vectors is not None
    assert set(answer.points.vectors) == {"", "image"}


def test_a_change_is_seen_when_it_is_durable(c: Handle) -> None:
    seen = []

    def look(name: str) -> None:
        seen.append("image" in c.inner.reading.schema.vectors or "image" in c.inner.entry.schema.vectors)

    for place in ("catalog.before_write", "catalog.after_write", "change.before_publish"):
        failpoint.arm(place, look)
    c.change(AddVectorField("image", IMAGE))
    assert seen == [False] * 3
    look("after")
    assert seen[-1]


# -- cut off

PLACES = [
    "catalog.before_write",
    "catalog.after_write",
    "change.before_publish",
    "shed.before_manifest",
    "shed.before_unlink",
    "shed.before_delete",
    "shed.after_delete",
]


@pytest.mark.parametrize("place", PLACES)
def test_a_drop_that_fails_is_taken_up_again(open_db: Opener, tmp_path: Path, place: str) -> None:
    kv = MemoryKV()
    db = open_db(kv=kv)
    c = make(db, TWO)
    c.upsert(names(40), {"": gaussian(40), "image": gaussian(40, 3)})
    c.seal()
    c.upsert(names(5), {"": gaussian(5), "image": gaussian(5, 3)})

    def fail(name: str) -> None:
        failpoint.disarm()
        raise OSError(f"at {name}")

    failpoint.arm(place, fail)
    with pytest.raises(OSError, match=place):
        c.change(DropVectorField("image"))
        c.settle()
    gone = place not in PLACES[:1]
    db._closed = True  # as killed: what is in the store is all there is
    db._maintenance.close()
    db._committer.close()
    again = open_db(kv=kv)
    c = Handle(again, "c")
    assert ("image" not in again.describe(NOW, "c").schema.vectors) == gone
    assert again.check(NOW) == []
    c.settle()
    assert stored_fields(c) == ({0} if gone else {0, 1})
    assert (files_of(c, tmp_path / "data", 1) == []) == gone
    assert c.count() == 40


def test_an_old_number_in_a_body_means_nothing(open_db: Opener) -> None:
    """A body names the vectors that it was written with for ever; who reads it after a drop must not look for them."""
    c = make(open_db(), TWO)
    c.upsert(names(20), {"": gaussian(20), "image": gaussian(20, 3)})
    c.update(names(10), payloads=[{"n": 1}] * 10)  # adopts both
    c.change(DropVectorField("image"))
    c.settle()
    c.update(names(20), payloads=[{"n": 2}] * 20)
    c.delete(*names(5))
    c.seal()
    start = keys.pointer_prefix(c.inner.number)
    pointers = [codec.decode_pointer(value) for _, value in c.inner.kv.scan(start, prefix_end(start))]
    bodies = [codec.decode_body(b) for b in c.inner.lookup.raw_bodies([p.row for p in pointers]) if b is not None]
    assert len(bodies) == 15
    assert all(set(body.slots) == {0} for body in bodies)
    c.db.close()
    c = Handle(open_db(), "c")
    assert c.count() == 15
    assert len(c.scroll()) == 15
