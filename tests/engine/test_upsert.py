"""Upsert and insert: whole points."""

from __future__ import annotations

import numpy as np
import pytest

from tests.engine.conftest import make
from tests.engine.handle import TWO, Handle, gaussian, insert, names, update, upsert
from vecdb.engine.database import Database
from vecdb.errors import PointExists


def test_upsert_writes_and_counts(c: Handle) -> None:
    result = c.upsert(["b", "a"], gaussian(2), [{"n": 1}, None], ["beta", None])
    assert (result.seq, result.count) == (1, 2)
    assert c.count() == 2
    assert c.ids() == ["a", "b"]
    b = c.one("b")
    assert (b.payload, b.text, b.version) == ({"n": 1}, "beta", 1)
    assert np.array_equal(b.vector, gaussian(2)[0])
    a = c.one("a")
    assert (a.payload, a.text) == (None, None)


def test_upsert_replaces_the_whole_point(db: Database) -> None:
    c = make(db, TWO)
    c.upsert(["a"], {"": gaussian(1), "image": gaussian(1, 3)}, [{"n": 1}], {"": ["x"], "title": ["t"]})
    assert c.upsert(["a"], {"image": gaussian(1, 3, seed=1)}).count == 1
    a = c.one("a")
    assert (a.payload, a.texts, list(a.vectors)) == (None, {}, ["image"])
    assert np.array_equal(a.vectors["image"], gaussian(1, 3, seed=1)[0])
    assert c.search(gaussian(1)) == []
    assert c.search(gaussian(1, 3), using="image") == ["a"]
    assert c.count() == 1


def test_the_last_of_equal_ids_wins(c: Handle) -> None:
    vectors = gaussian(5)
    result = c.upsert(["a", "b", "a", "b", "a"], vectors, [{"n": i} for i in range(5)])
    assert result.count == 2
    assert c.payload("a") == {"n": 4}
    assert c.payload("b") == {"n": 3}
    assert np.array_equal(c.one("a").vector, vectors[4])
    assert c.search(vectors[4], limit=10)[0] == "a"
    assert c.count() == len(c.search(vectors[0], limit=10)) == 2


def test_the_last_of_equal_ids_wins_also_without_a_vector(c: Handle) -> None:
    c.upsert(["a", "a", "b"], [[1, 0, 0, 0], None, [0, 1, 0, 0]])
    assert c.one("a").vectors == {}
    assert c.search([1, 0, 0, 0], limit=10) == ["b"]
    c.upsert(["a", "b", "a", "b"], [None, [0, 0, 1, 0], [1, 0, 0, 0], None])
    assert c.search([1, 0, 0, 0], limit=10) == ["a"]


def test_points_without_a_vector_are_counted_but_not_found(c: Handle) -> None:
    c.upsert(["a", "b", "c"], [None, [1, 0, 0, 0], None], [{"n": 1}, {"n": 2}, {"n": 3}])
    assert c.count() == 3
    assert c.search([1, 0, 0, 0], limit=10) == ["b"]
    assert c.one("a").vectors == {}


def test_a_write_larger_than_a_slice_is_one_write(c: Handle) -> None:
    n = 200
    result = c.upsert(names(n), gaussian(n), [{"n": i} for i in range(n)])
    assert (result.seq, result.count) == (1, n)
    assert [point.payload["n"] for point in c.scroll()] == list(range(n))
    assert {point.version for point in c.scroll()} == {1}


def test_insert_writes_new_points(c: Handle) -> None:
    assert c.insert(["a", "b"], gaussian(2)).count == 2
    c.delete("a")
    assert c.insert(["a"], gaussian(1, seed=2)).count == 1
    assert c.ids() == ["a", "b"]


def test_insert_refuses_an_id_that_exists_naming_the_row(c: Handle) -> None:
    c.insert(["a"], gaussian(1), [{"n": 1}])
    with pytest.raises(PointExists) as refused:
        c.insert(["x", "y", "a"], gaussian(3))
    assert refused.value.field is not None
    assert "ids[2]" in refused.value.field
    assert refused.value.received == "'a'"
    assert (c.seq, c.ids(), c.payload("a")) == (1, ["a"], {"n": 1})


def test_insert_meets_what_its_own_batch_wrote(c: Handle) -> None:
    with pytest.raises(PointExists):
        c.write(upsert(["a"], gaussian(1)), insert(["a"], gaussian(1)))
    assert (c.seq, c.count()) == (0, 0)


def test_nothing_given_is_nothing_done(c: Handle) -> None:
    c.upsert(["a"], gaussian(1))
    for write in (lambda: c.upsert([]), lambda: c.insert([]), lambda: c.update([]), c.delete, c.write):
        result = write()
        assert (result.seq, result.count) == (1, 0)


def test_versions_are_those_of_the_write(c: Handle) -> None:
    for i in range(3):
        assert c.upsert([f"{i}", "same"], gaussian(2)).seq == i + 1
    assert {point.id: point.version for point in c.scroll()} == {"0": 1, "1": 2, "2": 3, "same": 3}
    assert c.answer(gaussian(1)[0]).points.versions.tolist() == [
        c.one(point_id).version for point_id in c.search(gaussian(1)[0])
    ]


def test_ids_of_every_script_and_length(c: Handle) -> None:
    ids = sorted(["a", "A", "é", "日本", "\U0001f9ff", "x" * 512, "字" * 170, " ", "\x00", "\uffff"])
    c.upsert(ids, gaussian(len(ids)))
    assert c.ids() == ids == sorted(ids, key=str.encode)
    assert [point.id for point in c.get(*reversed(ids))] == ids[::-1]
    assert sorted(c.search(gaussian(1), limit=50)) == ids
    assert c.delete(*ids).count == len(ids)
    assert c.ids() == []


def test_an_operation_sees_those_before_it_in_its_batch(c: Handle) -> None:
    c.upsert(["old"], [[1, 0, 0, 0]], [{"n": 0}])
    result = c.write(
        upsert(["new"], [[0, 1, 0, 0]], [{"n": 1}]),
        update(["new", "old", "none"], payloads=[{"n": 2}] * 3),
        upsert(["old"], [[0, 0, 1, 0]]),
        update(["old"], texts=["text"]),
    )
    assert (result.seq, result.count) == (2, 1 + 2 + 1 + 1)
    assert c.ids() == ["new", "old"]
    new, old = c.get("new", "old")
    assert (new.payload, new.vector.tolist()) == ({"n": 2}, [0, 1, 0, 0])
    assert (old.payload, old.vector.tolist(), old.text) == (None, [0, 0, 1, 0], "text")
