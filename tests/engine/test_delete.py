"""Delete and clear."""

from __future__ import annotations

from tests.engine.handle import Handle, gaussian, insert, names, upsert
from vecdb.model.point import Clear


def test_deleted_points_are_gone_everywhere(c: Handle) -> None:
    ids = names(30)
    c.upsert(ids, gaussian(30))
    assert c.delete(*ids[5:10]).count == 5
    left = ids[:5] + ids[10:]
    assert c.ids() == left
    assert c.count() == 25
    assert c.exists(*ids) == [i in left for i in ids]
    assert [point.id for point in c.get(*ids)] == left
    assert sorted(c.search(gaussian(1), limit=100)) == left
    assert c.stats().live == 25


def test_missing_and_repeated_ids_are_not_counted(c: Handle) -> None:
    c.upsert(["a", "b"], gaussian(2))
    assert c.delete("a", "x", "a").count == 1
    result = c.delete("a")
    assert (result.count, result.seq) == (0, 2)
    assert c.ids() == ["b"]


def test_a_deleted_point_can_come_again(c: Handle) -> None:
    for i in range(5):
        c.insert(["a"], gaussian(1, seed=i), [{"n": i}])
        assert c.payload("a") == {"n": i}
        assert c.search(gaussian(1)) == ["a"]
        assert c.delete("a").count == 1
        assert (c.count(), c.search(gaussian(1)), c.get("a")) == (0, [], [])
        if i % 2:
            c.seal()


def test_delete_and_insert_in_one_batch(c: Handle) -> None:
    c.upsert(["a", "b"], gaussian(2), [{"n": 1}, {"n": 1}])
    result = c.write(Clear(), insert(["a"], gaussian(1, seed=3), [{"n": 2}]))
    assert result.count == 3
    assert c.ids() == ["a"]
    assert c.payload("a") == {"n": 2}


def test_clear_empties_and_counts(c: Handle) -> None:
    ids = names(50)
    c.upsert(ids[:30], gaussian(30))
    c.seal()
    c.upsert(ids[30:], gaussian(20))
    result = c.write(upsert(["new"], gaussian(1)), Clear())
    assert result.count == 1 + 51
    assert (c.count(), c.ids(), c.search(gaussian(1))) == (0, [], [])
    assert c.clear().count == 0
    c.upsert(["again"], gaussian(1))
    assert c.ids() == c.search(gaussian(1)) == ["again"]


def test_what_is_deleted_leaves_no_trace_after_compaction(c: Handle) -> None:
    c.upsert(names(100), gaussian(100), [{"n": 1}] * 100)
    c.seal()
    c.clear()
    c.seal()
    inner = c.inner
    assert [kind for kind in (b"p", b"b", b"v") for _ in inner.kv.scan(kind, kind + b"\xff")] == []
    assert c.stats().dead == 0
    assert c.states() == []
