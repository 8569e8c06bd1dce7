"""Snapshots and what comes back of them: everything as it was, whatever happened to it before, meanwhile and after."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engine.conftest import Opener, make
from tests.engine.handle import ALL, PLAIN, TWO, Handle, gaussian, names, update, upsert
from tests.engine.test_sparse import sparse_column
from tests.engine.test_ttl import Clock
from vecdb.engine.database import Database
from vecdb.engine.snapshots import taking
from vecdb.engine.snapshots.verify import verify
from vecdb.errors import (
    Closed,
    CollectionExists,
    CollectionNotFound,
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    ResourceExhausted,
)
from vecdb.model.context import CallContext
from vecdb.model.filter.expression import F
from vecdb.model.keyword import Keyword
from vecdb.model.point import Put, PutMode
from vecdb.model.query import SearchRequest
from vecdb.model.schema import SparseField, TextField, VectorField
from vecdb.model.schema_change import AddVectorField, DropVectorField, SetDefaultVector
from vecdb.model.snapshot import RestoreReport, SnapshotSummary
from vecdb.storage import codec, keys
from vecdb.storage.memory import MemoryKV
from vecdb.storage.summary import read_summary

CONTEXT = CallContext()
RICH = replace(
    TWO,
    texts={"": TextField("english", k1=1.5), "title": TextField(keywords=False)},
    sparse={"": SparseField()},
    default_vector="image",
    payload_columns=False,
)


def archive(db: Database, *wanted: str, base: list[bytes] | None = None) -> list[bytes]:
    """A snapshot of some collections, or of all."""
    since = None if base is None else read_summary(base).as_base()
    return list(db.snapshot(CONTEXT, wanted or None, since))


def restore(db: Database, *archives: Iterable[bytes], **more: Any) -> RestoreReport:
    return db.restore(CONTEXT, archives, **more)


def truth(c: Handle) -> tuple[dict[int, bytes], dict[tuple[int, int], bytes]]:
    """Bodies by row and vectors by row and field, of the living, as they are in the store."""
    kv, number = c.db._kv, c.inner.number
    pointers = kv.scan(keys.pointer_prefix(number), keys.pointer_prefix(number + 1))
    living = [p.row for p in (codec.decode_pointer(value) for _, value in pointers) if not p.deleted]
    bodies, vectors = {}, {}
    for row in living:
        bodies[row] = kv.get(keys.body(number, row)) or b""
        for field, slot in codec.body_slots(bodies[row]):
            if field in c.inner.fields:
                place = (row if slot == codec.NO_ROW else slot, field)
                vectors[place] = kv.get(keys.vector(number, *place)) or b""
    return bodies, vectors


def same(c: Handle, other: Handle) -> bool:
    """Whether two collections hold the same, to the last bit, under the same schema."""
    mine, others = c.db.describe(CONTEXT, c.name), other.db.describe(CONTEXT, other.name)
    return (
        (mine.schema, mine.indexing, mine.created_at_ms, mine.points)
        == (others.schema, others.indexing, others.created_at_ms, others.points)
        and c.scroll(select=ALL) == other.scroll(select=ALL)
        and truth(c) == truth(other)
        and c.seq == other.seq
    )


def edited(c: Handle, n: int = 40, seed: int = 0) -> Handle:
    """Points with everything there is, some edited so that they adopt vectors and texts, some deleted."""
    ids = names(n)
    sparse = sparse_column([{i % 7: 1.0 + i, 9: 0.5} for i in range(n)])
    rows = upsert(
        ids,
        {"": gaussian(n, seed=seed), "image": [None if i % 3 == 0 else gaussian(1, 3, i)[0] for i in range(n)]},
        [None if i % 5 == 0 else {"n": i, "deep": {"x": [i, "é"]}} for i in range(n)],
        {"": [f"passage {i} of a cat" for i in range(n)], "title": [None if i % 2 else f"title {i}" for i in range(n)]},
    ).rows
    c.write(Put(PutMode.UPSERT, replace(rows, sparse={"": sparse})))
    c.seal()
    c.write(update(ids[: n // 2], payloads=[{"edited": True}] * (n // 2)))
    c.write(update(ids[5:15], {"image": gaussian(10, 3, seed + 1)}), update(ids[:3], texts=["another text"] * 3))
    c.delete(*ids[n - 10 : n - 5])
    return c


@pytest.fixture
def rich(db: Database) -> Handle:
    return edited(make(db, RICH))


class TestWhole:
    def test_everything_comes_back_as_it_was(self, rich: Handle) -> None:
        db = rich.db
        report = restore(db, archive(db), rename={"c": "back"})
        back = Handle(db, "back")
        assert same(rich, back)
        (made,) = report.collections
        assert (made.name, made.was, made.points) == ("back", "c", 35)
        assert made.vectors == {"": 35, "image": len([p for p in back.scroll() if "image" in p.vectors])}
        assert made.recall == {"": 1.0, "image": 1.0}
        assert made.token == f"{db._identity}:{rich.inner.number}:{rich.seq}"
        assert not report.dry_run
        words = SearchRequest([Keyword(["cat"])], limit=50)
        assert db.search(CONTEXT, "back", words).points.ids == db.search(CONTEXT, "c", words).points.ids

    def test_what_came_back_lives_on(self, rich: Handle, open_db: Opener, tmp_path: Path) -> None:
        """It takes edits that adopt what was restored, compaction and another opening."""
        back = Handle(open_db(tmp_path / "other"), "c")
        restore(back.db, archive(rich.db))
        for c in (rich, back):
            c.update(names(20), payloads=[{"again": i} for i in range(20)])
            c.update(names(4, start=20), texts=["new words"] * 4)
            c.upsert(names(30, start=100), {"": gaussian(30, seed=5)})
            c.delete(*names(8, start=2))
        assert back.db.check(CONTEXT) == []
        assert same(rich, back)
        back.compact()
        back.settle()
        assert back.db.check(CONTEXT) == []
        back.db.close()
        back = Handle(open_db(tmp_path / "other"), "c")
        assert same(rich, back)
        assert restore(back.db, archive(back.db), rename={"c": "third"}).collections[0].points == 57
        assert same(rich, Handle(back.db, "third"))

    def test_after_a_snapshot_of_what_was_restored(self, rich: Handle) -> None:
        first = archive(rich.db, "c")
        restore(rich.db, first, rename={"c": "d"})
        restore(rich.db, archive(rich.db, "d"), rename={"d": "e"})
        assert same(rich, Handle(rich.db, "e"))

    def test_aliases_come_back_but_with_another_name(self, rich: Handle) -> None:
        db = rich.db
        db.set_alias(CONTEXT, "live", "c")
        whole = archive(db)
        assert read_summary(whole).collections[0].aliases == ("live",)
        restore(db, whole, rename={"c": "d"})
        assert db.describe(CONTEXT, "d").aliases == ()
        db.drop_collection(CONTEXT, "c")
        restore(db, whole)
        assert db.describe(CONTEXT, "live").name == "c"
        assert archive(db, "live")[0].startswith(b"vecdb-snapshot.json")

    def test_times_to_live(self, open_db: Opener) -> None:
        clock = Clock()
        c = make(open_db(kv=MemoryKV(), clock=clock), replace(PLAIN, ttl_ms=60_000))
        c.upsert(names(30), gaussian(30))
        c.write(upsert(names(10, start=30), gaussian(10), ttl_ms=[5_000]))
        whole = archive(c.db)
        report = restore(c.db, whole, rename={"c": "d"})
        assert Handle(c.db, "d").count() == 40
        assert report.collections[0].recall == {"": 1.0}
        clock.now += 10
        report = restore(c.db, whole, rename={"c": "e"})
        e = Handle(c.db, "e")
        assert (report.collections[0].points, e.count()) == (40, 30)
        assert report.collections[0].recall == {"": 1.0}
        e.settle()
        assert e.count() == 30
        clock.now += 60
        assert e.count() == 0
        assert Handle(c.db, "d").count() == 0

    def test_a_dropped_field_is_not_carried(self, rich: Handle) -> None:
        rich.change(AddVectorField("late", VectorField(2, "dot")))
        rich.update(names(6), {"late": gaussian(6, 2)})
        rich.change(SetDefaultVector(""))
        rich.change(DropVectorField("image"))
        whole = archive(rich.db)  # its vectors are still in the store
        report = restore(rich.db, whole, rename={"c": "d"})
        d = Handle(rich.db, "d")
        assert report.collections[0].vectors == {"": 35, "late": 6}
        assert d.inner.entry.shape.dropping == ()
        assert (
            len(list(d.db._kv.scan(keys.vector_from(d.inner.number, 0), keys.vector_from(d.inner.number + 1, 0)))) == 41
        )
        assert d.scroll() == rich.scroll()
        d.change(AddVectorField("image", VectorField(2)))
        assert "image" not in d.one(names(1)[0]).vectors

    def test_nothing_and_next_to_nothing(self, db: Database) -> None:
        assert restore(db, archive(db)).collections == ()
        c = make(db)
        make(db, name="empty")
        c.upsert(["one"], gaussian(1))
        c.upsert(["gone"], gaussian(1))
        c.delete("gone")
        whole = archive(db)
        restore(db, whole, rename={"c": "d", "empty": "void"})
        assert same(c, Handle(db, "d"))
        assert Handle(db, "void").count() == 0
        assert verify([whole])[0].collections[0].points == 1

    def test_alike_vectors_do_not_lower_recall(self, c: Handle) -> None:
        c.upsert(names(200), np.ones((200, 4), np.float32))
        assert restore(c.db, archive(c.db), rename={"c": "d"}).collections[0].recall == {"": 1.0}

    @pytest.mark.hnswlib
    def test_indexing_goes_on_behind(self, open_db: Opener) -> None:
        c = make(open_db())
        c.upsert(names(100), gaussian(100))
        restore(c.db, archive(c.db), rename={"c": "d"})
        d = Handle(c.db, "d")
        d.settle()
        assert {s.index[""] for s in d.stats().segments if s.state == "sealed"} == {"hnsw"}
        assert d.search(gaussian(1), limit=100, exact=True) == c.search(gaussian(1), limit=100, exact=True)

    @pytest.mark.parametrize("n", [40, pytest.param(300, marks=pytest.mark.slow)])
    def test_many_collections_at_once(self, open_db: Opener, tmp_path: Path, n: int) -> None:
        db = open_db(kv=MemoryKV(), open_collections=20, evict_idle_s=0.0)
        for i in range(n):
            make(db, name=f"c{i}").upsert(names(3), gaussian(3, seed=i))
        other = open_db(tmp_path / "other", kv=MemoryKV())
        report = restore(other, archive(db))
        assert len(report.collections) == len(other.list_collections(CONTEXT)) == n
        assert {(one.points, one.recall[""]) for one in report.collections} == {(3, 1.0)}
        for i in (0, 17, n - 1):
            assert same(Handle(db, f"c{i}"), Handle(other, f"c{i}"))
        assert other.database_stats(CONTEXT).commit == 1  # all of them were one commit


class TestConsistency:
    def test_one_commit_of_two_collections_under_writers(self, open_db: Opener) -> None:
        """Writers write the same number to one collection and then to the other: a snapshot never sees the second
        without the first, nor half of a batch, nor anything that came after it began."""
        db = open_db(background=False)
        a, b = make(db, name="a"), make(db, name="b")
        ending = threading.Event()

        def work(seed: int) -> None:
            i = 0
            while not ending.is_set():
                for c in (a, b):
                    c.upsert([f"{seed}-{j}" for j in range(3)], gaussian(3, seed=i), [{"i": i}] * 3)
                i += 1

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
        for thread in threads:
            thread.start()
        try:
            archives = []
            for _ in range(6):
                stream = db.snapshot(CONTEXT)
                first = next(stream)  # pinned
                a.upsert(["after"], gaussian(1))
                archives.append([first, *stream])
                a.delete("after")
        finally:
            ending.set()
            for thread in threads:
                thread.join()
        for i, one in enumerate(archives):
            restore(db, one, rename={"a": f"a{i}", "b": f"b{i}"})
            mine, others = Handle(db, f"a{i}"), Handle(db, f"b{i}")
            found = [{p.id: p.payload["i"] for p in c.scroll() if p.payload} for c in (mine, others)]
            assert not any(p.id == "after" for p in mine.scroll())
            for seed in range(3):
                batches = [{values.get(f"{seed}-{j}", -1) for j in range(3)} for values in found]
                assert [len(batch) for batch in batches] == [1, 1]
                assert batches[0].pop() - batches[1].pop() in (0, 1)

    def test_what_is_deleted_meanwhile_is_still_in_it(self, open_db: Opener) -> None:
        c = edited(make(open_db(), RICH))
        expected = truth(c)
        stream = c.db.snapshot(CONTEXT)
        first = next(stream)
        c.clear()
        c.compact()
        c.db.drop_collection(CONTEXT, "c")
        restore(c.db, [first, *stream], rename={})
        assert truth(Handle(c.db)) == expected

    def test_a_reader_that_stops_lets_go(self, rich: Handle) -> None:
        db = rich.db
        stream = db.snapshot(CONTEXT)
        assert db.database_stats(CONTEXT).pins == ()
        next(stream)
        (pin,) = db.database_stats(CONTEXT).pins
        assert pin.purpose == "snapshot of everything"
        assert pin.commit == db.database_stats(CONTEXT).commit
        stream.close()
        assert db.database_stats(CONTEXT).pins == ()
        assert len(archive(db, "c")) > 3
        assert db.database_stats(CONTEXT).pins == ()

    def test_a_pin_ages(self, open_db: Opener) -> None:
        db = edited(make(open_db(max_snapshot_s=0.02), RICH)).db
        stream = db.snapshot(CONTEXT)
        next(stream)
        (held,) = [*db._pins._held.values()] or [None]
        if held is not None:
            held._timer.join(60)
        assert db.database_stats(CONTEXT).pins == ()
        with pytest.raises(DeadlineExceeded, match="max_snapshot_s"):
            list(stream)

    def test_the_callers_deadline(self, rich: Handle) -> None:
        with pytest.raises(DeadlineExceeded):
            list(rich.db.snapshot(CallContext.within(0.0)))
        whole = archive(rich.db)
        with pytest.raises(DeadlineExceeded):
            rich.db.restore(CallContext.within(0.0), [whole], rename={"c": "d"})
        assert rich.db.database_stats(CONTEXT).pins == ()

    def test_closing_ends_it(self, open_db: Opener, tmp_path: Path) -> None:
        db = edited(make(open_db(), RICH)).db
        stream = db.snapshot(CONTEXT)
        next(stream)
        db.close()
        with pytest.raises(Closed):
            list(stream)
        assert Handle(open_db()).count() == 35

    def test_memory_is_that_of_a_part(self, open_db: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
        """No piece is larger than a part, whatever the collection's size, and parts come while it is read."""
        monkeypatch.setattr(taking, "PART_BYTES", 4_000)
        c = make(open_db(kv=MemoryKV(), growing_rows=10_000), TWO)
        n = 2_100
        c.upsert(names(n), {"": gaussian(n), "image": gaussian(n, 3)}, [{"i": i} for i in range(n)])
        pieces = archive(c.db)
        assert sum(map(len, pieces)) > 80_000
        assert max(map(len, pieces)) < taking.PART_BYTES + 1_024 * 120  # which are read at once
        assert sum(b'{"i":' in piece for piece in pieces) >= n // 1_024
        monkeypatch.undo()
        assert len(archive(c.db)) < len(pieces)
        restore(c.db, pieces, rename={"c": "d"})
        assert truth(c) == truth(Handle(c.db, "d"))

    def test_a_damaged_truth_makes_no_archive(self, rich: Handle) -> None:
        kv, number = rich.db._kv, rich.inner.number
        bodies, vectors = truth(rich)
        for key in (keys.body(number, min(bodies)), keys.vector(number, *max(vectors))):
            value = kv.get(key) or b""
            batch = kv.batch()
            batch.delete(key)
            kv.write(batch)
            with pytest.raises(DataLoss, match="'c' cannot be archived"):
                archive(rich.db)
            batch = kv.batch()
            batch.put(key, value)
            kv.write(batch)
        assert verify([archive(rich.db)])


class TestIncremental:
    def test_a_chain_is_a_whole_snapshot(self, open_db: Opener, tmp_path: Path) -> None:
        c = edited(make(open_db(), RICH))
        db = c.db
        make(db, name="untouched").upsert(names(5), gaussian(5))
        make(db, name="goes").upsert(names(5), gaussian(5))
        chain = [archive(db)]
        c.update(names(10), payloads=[{"x": i} for i in range(10)])  # adopts vectors of the archive before
        c.delete(*names(5, start=12))
        c.upsert(names(7, start=200), {"": gaussian(7, seed=9)})
        db.drop_collection(CONTEXT, "goes")
        make(db, name="comes").upsert(names(3), gaussian(3))
        chain.append(archive(db, base=chain[-1]))
        c.compact()
        db.rename_collection(CONTEXT, "untouched", "renamed")
        c.change(AddVectorField("late", VectorField(2, "euclidean")))
        c.change(SetDefaultVector(""))
        c.change(DropVectorField("image"))
        c.update(names(4, start=200), {"late": gaussian(4, 2)})
        c.update(names(10), texts=["changed"] * 10)
        c.compact()
        chain.append(archive(db, base=chain[-1]))
        sizes = [sum(map(len, one)) for one in chain]
        summaries = verify(chain)
        assert [one.base_commit for one in summaries] == [None, summaries[0].commit, summaries[1].commit]
        assert summaries[1].nbytes == sizes[1]
        other = open_db(tmp_path / "other")
        report = restore(other, *chain)
        assert [one.name for one in report.collections] == ["c", "comes", "renamed"]
        for name in ("c", "comes", "renamed"):
            assert same(Handle(db, name), Handle(other, name))
        assert report.collections[0].recall == {"": 1.0, "late": 1.0}
        assert restore(other, *chain, rename={"c": "c2", "comes": "c3", "renamed": "c4"}, dry_run=True) == replace(
            report,
            dry_run=True,
            collections=tuple(
                replace(one, name=name, recall={})
                for one, name in zip(report.collections, ("c2", "c3", "c4"), strict=True)
            ),
        )
        whole = restore(other, archive(db), rename={"c": "c2", "comes": "c3", "renamed": "c4"})
        assert [one.points for one in whole.collections] == [one.points for one in report.collections]
        assert same(Handle(other, "c"), Handle(other, "c2"))
        other.check(CONTEXT)

    def test_it_holds_only_what_is_new(self, db: Database) -> None:
        c = make(db)
        c.upsert(names(2_000), gaussian(2_000))
        whole = archive(db)
        c.update(["00001"], payloads=[{"x": 1}])
        later = archive(db, base=whole)
        nothing = archive(db, base=later)
        sizes = [sum(map(len, one)) for one in (whole, later, nothing)]
        assert sizes[2] <= sizes[1] < sizes[0] / 10
        restore(db, whole, later, nothing, rename={"c": "d"})
        assert same(c, Handle(db, "d"))

    def test_archives_that_do_not_follow_each_other(self, open_db: Opener, tmp_path: Path) -> None:
        c = make(open_db(kv=MemoryKV()))
        c.upsert(names(20), gaussian(20))
        first = archive(c.db)
        c.upsert(names(20), gaussian(20))
        second = archive(c.db, base=first)
        c.upsert(names(20), gaussian(20))
        third = archive(c.db, base=second)
        other = make(open_db(tmp_path / "other", kv=MemoryKV()))
        other.upsert(names(20), gaussian(20))
        foreign = archive(other.db)
        for chain in (
            [second],
            [first, third],
            [first, first],
            [third, first],
            [foreign, second],
            [first, second, second],
        ):
            with pytest.raises(FailedPrecondition, match="follow each other") as refused:
                verify(chain)
            with pytest.raises(FailedPrecondition, match="follow each other"):
                restore(other.db, *chain, rename={"c": "d"})
            assert refused.value.expected
            assert refused.value.received
            assert refused.value.field in ("archives[0]", "archives[1]", "archives[2]")
        assert [info.name for info in other.db.list_collections(CONTEXT)] == ["c"]
        restore(other.db, first, second, third, rename={"c": "d"})
        with pytest.raises(FailedPrecondition, match="not of this database's past"):
            archive(other.db, base=first)

    def test_a_base_of_a_database_that_was_set_back(self, open_db: Opener, tmp_path: Path) -> None:
        kv = MemoryKV()
        db = Database(kv, tmp_path / "one" / "segments", open_db(kv=MemoryKV()).options, identity="ab")
        c = make(db)
        c.upsert(names(5), gaussian(5))
        kv.sync()
        before = kv.durable_copy()
        c.upsert(names(5, start=5), gaussian(5))
        ahead = archive(db)
        db.close()
        back = Database(before, tmp_path / "two" / "segments", db.options, identity="ab")
        with pytest.raises(FailedPrecondition, match="past"):
            archive(back, base=ahead)
        Handle(back).upsert(["x"], gaussian(1))
        Handle(back).delete("x")
        with pytest.raises(FailedPrecondition, match="knows more of collection 'c'"):
            archive(back, base=ahead)
        back.close()

    def test_numbers_of_dropped_collections_do_not_come_again(self, open_db: Opener, tmp_path: Path) -> None:
        """Else an archive would go on from a collection that has nothing to do with its base."""
        db = open_db(tmp_path / "x")
        make(db).upsert(names(3), gaussian(3))
        whole = archive(db)
        db.drop_collection(CONTEXT, "c")
        db.close()
        db = open_db(tmp_path / "x")
        make(db).upsert([f"new{i}" for i in range(9)], gaussian(9))
        later = archive(db, base=whole)
        restore(db, whole, later, rename={"c": "d"})
        assert same(Handle(db), Handle(db, "d"))


class TestChoosing:
    @pytest.fixture
    def two(self, db: Database) -> Database:
        for i, name in enumerate(("a", "b")):
            make(db, name=name).upsert(names(10), gaussian(10, seed=i))
        return db

    def test_some_of_them(self, two: Database) -> None:
        assert [one.name for one in read_summary(archive(two, "b")).collections] == ["b"]
        whole = archive(two)
        two.drop_collection(CONTEXT, "a")
        assert [one.was for one in restore(two, whole, collections=["a"]).collections] == ["a"]
        assert restore(two, whole, collections=["b"], rename={"b": "b2"}).collections[0].name == "b2"
        with pytest.raises(CollectionNotFound):
            archive(two, "a", "zzz")

    def test_a_name_that_the_last_archive_of_a_chain_has_not_is_refused(self, two: Database) -> None:
        """What was dropped meanwhile is not silently left out."""
        first = archive(two)
        two.drop_collection(CONTEXT, "b")
        second = archive(two, base=first)
        two.drop_collection(CONTEXT, "a")
        for wanted in (["b"], ["a", "b"]):
            with pytest.raises(CollectionNotFound, match="'b'"):
                restore(two, first, second, collections=wanted)
        assert [one.name for one in restore(two, first, second).collections] == ["a"]

    def test_a_chain_with_a_name_that_changed(self, two: Database) -> None:
        first = archive(two)
        Handle(two, "a").upsert(["new"], gaussian(1))
        two.rename_collection(CONTEXT, "a", "c")
        second = archive(two, base=first)
        with pytest.raises(FailedPrecondition, match="ask for it by both"):
            restore(two, first, second, collections=["c"], rename={"c": "d"})
        (by_both,) = restore(two, first, second, collections=["a", "c"], rename={"c": "f"}).collections
        assert (by_both.name, same(Handle(two, "c"), Handle(two, "f"))) == ("f", True)
        with pytest.raises(CollectionNotFound):
            restore(two, first, second, collections=["a"])
        restore(two, first, second, rename={"c": "d", "b": "e"})
        assert same(Handle(two, "c"), Handle(two, "d"))

    @pytest.mark.parametrize(
        ("more", "error"),
        [
            ({}, CollectionExists),
            ({"rename": {"a": "x"}}, CollectionExists),
            ({"rename": {"a": "x", "b": "x"}}, InvalidArgument),
            ({"rename": {"a": "b", "b": "a"}}, CollectionExists),
            ({"rename": {"a": "not a name!", "b": "x"}}, InvalidArgument),
            ({"rename": {"zzz": "x"}}, CollectionNotFound),
            ({"collections": ["zzz"]}, CollectionNotFound),
            ({"collections": ["a"], "rename": {"a": "x", "b": "y"}}, CollectionNotFound),
        ],
    )
    def test_refused_before_anything_is_read(self, two: Database, more: dict[str, Any], error: type[Exception]) -> None:
        whole = archive(two)
        before = dict(two._kv.scan(b"", b"\xff"))
        for dry_run in (False, True):
            with pytest.raises(error):
                restore(two, whole, dry_run=dry_run, **more)
            unread = iter(whole)
            with pytest.raises(error):
                restore(two, unread, dry_run=dry_run, **more)
            assert len(list(unread)) > 5
            with pytest.raises(error):  # where nobody knows that it is the last archive
                two.restore(CONTEXT, (one for one in [whole]), dry_run=dry_run, **more)
        after = dict(two._kv.scan(b"", b"\xff"))
        before.pop(keys.DATABASE), after.pop(keys.DATABASE)
        assert after == before

    def test_an_alias_that_is_taken(self, two: Database) -> None:
        two.set_alias(CONTEXT, "live", "a")
        whole = archive(two, "a")
        two.drop_collection(CONTEXT, "a")
        two.set_alias(CONTEXT, "live", "b")
        with pytest.raises(CollectionExists, match="live"):
            restore(two, whole)
        assert two.describe(CONTEXT, "live").name == "b"

    def test_too_many(self, open_db: Opener, two: Database, tmp_path: Path) -> None:
        whole = archive(two)
        with pytest.raises(ResourceExhausted):
            restore(open_db(tmp_path / "other", kv=MemoryKV(), max_collections=1), whole)

    def test_no_archive(self, db: Database) -> None:
        with pytest.raises(InvalidArgument):
            restore(db)

    def test_a_dry_run_reads_all_and_changes_nothing(self, two: Database) -> None:
        whole = archive(two)
        before = dict(two._kv.scan(b"", b"\xff"))
        report = restore(two, whole, rename={"a": "c", "b": "d"}, dry_run=True)
        assert report.dry_run
        assert [(one.name, one.points, one.vectors) for one in report.collections] == [
            ("c", 10, {"": 10}),
            ("d", 10, {"": 10}),
        ]
        assert dict(two._kv.scan(b"", b"\xff")) == before
        with pytest.raises(DataLoss):
            restore(two, [*whole[:-4], b"x", *whole[-4:]], rename={"a": "c", "b": "d"}, dry_run=True)

    def test_not_for_who_may_not_see_everything(self, two: Database) -> None:
        scoped = CallContext(scope=F("x") == 1)
        for call in (lambda: two.snapshot(scoped), lambda: two.restore(scoped, [archive(two)])):
            with pytest.raises(FailedPrecondition, match="scope"):
                call()


def test_what_an_archive_says_of_itself(rich: Handle) -> None:
    whole = archive(rich.db)
    summary = read_summary(whole)
    assert verify([whole]) == [summary]
    assert isinstance(summary, SnapshotSummary)
    assert (summary.format, summary.database, summary.base_commit) == (1, rich.db._identity, None)
    assert summary.creator.startswith("vecdb ")
    assert summary.nbytes == sum(map(len, whole))
    (one,) = summary.collections
    assert (one.name, one.points, one.next_row) == ("c", 35, rich.inner.committed.next_row)
    assert summary.as_base().collections == {one.number: one.next_row}
