"""Promise 2: a read sees each batch entirely or not at all, never misses a point, never mixes its versions."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

import numpy as np
import pytest

from tests.engine.conftest import make
from tests.engine.handle import TWO, Handle, delete, gaussian, insert, names, update, upsert
from vecdb.engine import reaping
from vecdb.engine.database import Database
from vecdb.engine.view import View
from vecdb.model.context import CallContext
from vecdb.storage import keys
from vecdb.storage.memory import MemoryKV

E = np.eye(4, dtype=np.float32)


def bodies(c: Handle) -> int:
    """How many rows the store holds."""
    number = c.inner.number
    return sum(1 for _ in c.inner.kv.scan(keys.body(number, 0), keys.body(number, keys.LAST_ROW)))


def sees(c: Handle, view: View) -> dict[str, object]:
    """What every way to read shows at a view: payloads by id. Fails where they differ."""
    ids = c.ids_at(view)
    assert view.live == len(ids)
    by_id = {point.id: point.payload for point in c.points_at(view, [*names(30), "a", "b", "new"])}
    found = c.answer_at(view, E[0], limit=100)
    assert sorted(found.points.ids) == sorted(by_id) == ids
    versions = {point.id: point.version for point in c.points_at(view, ids)}
    assert dict(zip(found.points.ids, found.points.versions.tolist(), strict=True)) == versions
    hits = dict(zip(found.points.ids, found.points.payloads or (), strict=True))
    assert hits == {i: None if p is None else b'{"n":%d}' % p["n"] for i, p in by_id.items()}
    return by_id


def test_every_view_holds_whole_batches(c: Handle, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that deletes, updates and inserts; and none of the views published on the way holds a part of it."""
    c.upsert(["a", "b"], E[:2], [{"n": 1}] * 2)
    inner, publish = c.inner, c.inner.publish
    published: list[View] = []

    def publish_and_keep() -> None:
        publish()
        published.append(inner.view)

    monkeypatch.setattr(inner, "publish", publish_and_keep)
    c.write(delete(["a"]), update(["b"], payloads=[{"n": 2}]), insert(["new"], E[2:3], [{"n": 3}]))
    assert published
    for view in published:
        assert sees(c, view) == {"b": {"n": 2}, "new": {"n": 3}}


@pytest.mark.parametrize("sealed", [False, True])
def test_a_view_stays_what_it_was(c: Handle, sealed: bool) -> None:
    """Whatever is written, sealed, merged and cleaned away after it was taken."""
    c.upsert(names(8), gaussian(8), [{"n": 1}] * 8)
    if sealed:
        c.seal()
    view = c.look()
    before = sees(c, view)
    assert before == {i: {"n": 1} for i in names(8)}
    c.update(names(2), payloads=[{"n": 2}] * 2)
    c.upsert(names(2, start=2), gaussian(2, seed=5), [{"n": 3}] * 2)
    c.delete(*names(2, start=4))
    c.upsert(["new"], E[1:2], [{"n": 4}])
    c.delete(*names(1, start=6))
    c.insert(names(1, start=6), E[2:3], [{"n": 5}])
    assert sees(c, view) == before
    now = {i: {"n": n} for i, n in zip([*names(8), "new"], (2, 2, 3, 3, 0, 0, 5, 1, 4), strict=True) if n}
    assert sees(c, c.look()) == now
    c.seal()
    assert sees(c, c.look()) == now
    assert sees(c, view) == before
    rows = bodies(c)
    del view
    gc.collect()
    c.cover()
    assert bodies(c) < rows
    assert sees(c, c.look()) == now


def test_rows_are_deleted_only_when_a_manifest_says_that_they_are_dead(c: Handle) -> None:
    c.upsert(names(20), gaussian(20))
    c.seal()
    c.delete(*names(10))
    gc.collect()
    reaping.list_garbage(c.inner, time.time(), everything=True)
    assert c.inner.garbage_rows == 10
    assert not reaping.reap(c.inner, c.db._committer)
    assert bodies(c) == 20
    c.cover()
    assert bodies(c) == 10


def test_an_updated_point_is_found_by_its_vector_with_what_is_new(open_db: Callable[..., Database]) -> None:
    """Its vector stays where it was written; who finds it must get the newest version."""
    c = make(open_db(kv=MemoryKV()), TWO)
    c.upsert(["a", "b"], {"": E[:2], "image": E[:2, :3]}, [{"n": 1}] * 2, ["old"] * 2)
    c.seal()
    for n in (2, 3):
        c.update(["a"], payloads=[{"n": n}])
        c.update(["a"], texts=[f"text {n}"])
        for using, query in (("", E[0]), ("image", E[0, :3])):
            hit = c.answer(query, using=using, limit=1).points
            assert (hit.ids, hit.payloads) == (["a"], [b'{"n":%d}' % n])
            assert hit.texts == {"": [f"text {n}"]}
            assert hit.versions.tolist() == [c.one("a").version] == [c.seq]
        assert c.count() == 2
        c.seal()
    c.update(["a"], {"image": [[0, 0, 9]]})
    assert c.answer(E[0, :3], using="image", limit=1).points.ids == ["b"]
    assert c.search(E[0], limit=1) == ["a"]
    assert c.db.check(CallContext()) == []


def test_rows_have_numbers_of_their_own(c: Handle) -> None:
    for i in range(5):
        c.upsert(names(3, start=3 * i), gaussian(3, seed=i), [{"n": 3 * i + j} for j in range(3)])
    assert [point.payload for point in c.get(*names(15))] == [{"n": n} for n in range(15)]
    assert sorted(c.search(E[0], limit=20)) == names(15)


def test_who_reads_after_the_answer_sees_the_write(c: Handle) -> None:
    for i in range(30):
        point_id = f"{i:05d}"
        seq = c.upsert([point_id], E[i % 4 : i % 4 + 1] + 0.01 * i, [{"n": i}]).seq
        answer = c.answer(E[i % 4] + 0.01 * i, limit=100)
        assert (point_id in answer.points.ids, answer.seq) == (True, seq)
        assert (c.count(), c.exists(point_id), c.payload(point_id)) == (i + 1, [True], {"n": i})
        assert c.ids()[-1] == point_id
        if i % 7 == 0:
            c.settle()
    c.write(delete(names(29)), upsert(["new"], E[:1], [{"n": 0}]))
    assert (c.count(), c.ids(), sorted(c.search(E[0]))) == (2, ["00029", "new"], ["00029", "new"])
