"""Update: what is given changes, the rest stays, and a vector that stays is not touched."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest

from tests.engine.conftest import make
from tests.engine.handle import TWO, Handle, delete, gaussian, insert, names, update, upsert
from vecdb.engine.database import Database


@pytest.fixture
def two(db: Database) -> Handle:
    """A point with everything: two vectors, two texts, a payload."""
    c = make(db, TWO)
    c.upsert(["a"], {"": gaussian(1), "image": gaussian(1, 3)}, [{"n": 1}], {"": ["text"], "title": ["title"]})
    return c


def test_an_update_without_anything_keeps_everything(two: Handle) -> None:
    before = two.one("a")
    assert two.update(["a"]).count == 1
    after = two.one("a")
    assert (after.payload, after.texts) == (before.payload, before.texts)
    assert after.version == before.version + 1
    assert all(np.array_equal(after.vectors[name], vector) for name, vector in before.vectors.items())


def test_a_payload_is_replaced_whole_and_nothing_else(two: Handle) -> None:
    two.update(["a"], payloads=[{"m": 2}])
    a = two.one("a")
    assert a.payload == {"m": 2}
    assert a.texts == {"": "text", "title": "title"}
    assert sorted(a.vectors) == ["", "image"]


def test_one_text_changes_and_the_other_stays(two: Handle) -> None:
    two.update(["a"], texts={"title": ["new"]})
    a = two.one("a")
    assert (a.texts, a.payload) == ({"": "text", "title": "new"}, {"n": 1})


def test_one_vector_changes_and_the_other_stays(two: Handle) -> None:
    two.update(["a"], {"image": gaussian(1, 3, seed=5)})
    a = two.one("a")
    assert np.array_equal(a.vectors[""], gaussian(1)[0])
    assert np.array_equal(a.vectors["image"], gaussian(1, 3, seed=5)[0])
    answer = two.answer(gaussian(1, 3, seed=5)[0], using="image")
    assert (answer.points.ids, answer.scores.tolist()) == (["a"], [1.0])
    assert two.search(gaussian(1)[0]) == ["a"]


def test_a_field_is_added_to_a_point_that_had_none(db: Database) -> None:
    c = make(db, TWO)
    c.upsert(["a"], payloads=[{"n": 1}])
    c.update(["a"], {"image": gaussian(1, 3)})
    c.update(["a"], {"": gaussian(1)})
    assert (c.search(gaussian(1)), c.search(gaussian(1, 3), using="image")) == (["a"], ["a"])
    assert c.payload("a") == {"n": 1}


def test_missing_ids_are_skipped_and_not_counted(c: Handle) -> None:
    c.upsert(["a"], gaussian(1))
    assert c.update(["x", "a", "y"], payloads=[{"n": 1}] * 3).count == 1
    assert c.ids() == ["a"]
    assert c.update(["x"], payloads=[{}]).count == 0
    assert c.seq == 2


def test_equal_ids_in_one_update_add_up_in_order(two: Handle) -> None:
    result = two.write(
        update(
            ["a", "a", "a"],
            {"image": [None, [1, 2, 3], None], "": [[1, 0, 0, 0], [0, 1, 0, 0], None]},
            [{"n": 7}, None, {"n": 9}],
            ["first", "second", None],
        )
    )
    assert result.count == 1
    a = two.one("a")
    assert (a.payload, a.texts) == ({"n": 9}, {"": "second", "title": "title"})
    assert a.vectors["image"].tolist() == [1, 2, 3]
    assert a.vector.tolist() == [0, 1, 0, 0]
    assert two.search([1, 0, 0, 0]) == ["a"]


def test_an_update_of_a_point_deleted_in_the_same_batch_is_skipped(two: Handle) -> None:
    assert two.write(delete(["a"]), update(["a"], payloads=[{}])).count == 1
    assert two.count() == 0


CHAINS: dict[str, list[Any]] = {
    "payload, payload": [update(["a"], payloads=[{"n": 1}]), update(["a"], payloads=[{"n": 2}])],
    "payload, vector": [update(["a"], payloads=[{"n": 1}]), update(["a"], gaussian(1, seed=2))],
    "vector, payload": [update(["a"], gaussian(1, seed=2)), update(["a"], payloads=[{"n": 1}])],
    "payload, upsert": [update(["a"], payloads=[{"n": 1}]), upsert(["a"], gaussian(1, seed=2))],
    "upsert, payload": [upsert(["a"], gaussian(1, seed=2)), update(["a"], payloads=[{"n": 1}])],
    "payload, delete": [update(["a"], payloads=[{"n": 1}]), delete(["a"])],
    "payload, delete, insert": [
        update(["a"], payloads=[{"n": 1}]),
        delete(["a"]),
        insert(["a"], gaussian(1, seed=3)),
    ],
    "payload, image, payload": [
        update(["a"], payloads=[{"n": 1}]),
        update(["a"], {"image": gaussian(1, 3, seed=4)}),
        update(["a"], payloads=[{"n": 2}]),
    ],
    "delete, insert, payload": [
        delete(["a"]),
        insert(["a"], {"": gaussian(1, seed=3), "image": gaussian(1, 3, seed=3)}),
        update(["a"], payloads=[{"n": 1}]),
    ],
}


@pytest.mark.parametrize("sealed", [0, 1, 2, 3], ids=["growing", "sealed-first", "sealed-second", "sealed-each"])
@pytest.mark.parametrize("together", [True, False], ids=["one-batch", "batches"])
@pytest.mark.parametrize("chain", CHAINS)
def test_what_a_chain_of_edits_leaves_is_the_same_wherever_the_rows_are(
    db: Database, chain: str, together: bool, sealed: int
) -> None:
    """Slots that are handed on and released, across growing and sealed segments; check() runs at the end."""
    c = make(db, TWO)
    others = names(20)
    c.upsert(["a"], {"": gaussian(1), "image": gaussian(1, 3)}, [{"n": 0}], ["text"])
    c.upsert(others, {"": gaussian(20, seed=1), "image": gaussian(20, 3, seed=1)})
    if sealed in (1, 3):
        c.seal()
    steps = CHAINS[chain]
    if together:
        c.write(*steps)
    else:
        for i, step in enumerate(steps):
            c.write(step)
            if sealed == 3 or (sealed == 2 and i == 0):
                c.seal()
    wanted = _expected(steps)
    for _ in range(2):
        found = c.get("a")
        assert [(p.payload, p.text, _plain(p.vectors)) for p in found] == ([] if wanted is None else [wanted])
        for using, query in (("", gaussian(1)), ("image", gaussian(1, 3))):
            there = wanted is not None and using in wanted[2]
            assert sorted(c.search(query, limit=50, using=using)) == others + ["a"] * there
        c.seal()


def _plain(vectors: Any) -> dict[str, list[float]]:
    return {name: vector.tolist() for name, vector in vectors.items()}


def _expected(steps: list[Any]) -> Any:
    """What the chain leaves of ``a``: (payload, text, vectors), or None."""
    held: Any = ({"n": 0}, "text", {"": gaussian(1)[0].tolist(), "image": gaussian(1, 3)[0].tolist()})
    for step in steps:
        if not hasattr(step, "rows"):
            held = None
            continue
        given = {name: column.data[0].tolist() for name, column in step.rows.vectors.items()}
        payload = None
        if step.rows.payloads is not None:
            payload = orjson.loads(step.rows.payloads[0])
        if step.mode.name == "UPDATE":
            held = (held[0] if payload is None else payload, held[1], held[2] | given)
        else:
            held = (payload, None, given)
    return held


def test_a_payload_edit_inserts_no_vector_again(open_db: Any) -> None:
    """Through a merge, a deletion and a reopening."""
    db = open_db()
    c = make(db)
    ids = names(60)
    c.upsert(ids, gaussian(60), [{"n": 0}] * 60)
    c.seal()
    inner = c.inner
    insertions, first = inner.insertions, inner.first_insertions
    c.update(ids, payloads=[{"n": 1}] * 60)
    c.update(ids[::2], payloads=[{"n": 2}] * 30)
    answer = c.answer(gaussian(60)[7], limit=1)
    assert (answer.points.ids, answer.points.payloads) == ([ids[7]], [b'{"n":1}'])
    c.cover()
    c.settle()
    assert (inner.insertions, inner.first_insertions) == (insertions, first)
    answer = c.answer(gaussian(60)[8], limit=1)
    assert (answer.points.ids, answer.points.payloads) == ([ids[8]], [b'{"n":2}'])
    c.compact()
    assert (inner.insertions, inner.first_insertions) == (insertions, first)
    assert c.delete(*ids[:10]).count == 10
    assert len(c.search(gaussian(60)[3], limit=100)) == 50
    db.close()
    c = Handle(open_db())
    assert c.count() == len(c.search(gaussian(60)[3], limit=100)) == 50
    assert {p.payload["n"] for p in c.scroll()} == {1, 2}
    assert c.search(gaussian(60)[20], limit=1) == [ids[20]]
