"""Postings that are not known are made: when somebody asks, and in the background; and when the analyzer is another."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from tests.engine.conftest import make
from tests.engine.handle import TWO, Handle, gaussian, names
from tests.engine.test_texts import MAIN, TITLE, agree, analyses, held, terms_of
from vecdb import failpoint
from vecdb.engine import manifest, recovery, text_indexing, text_sealing
from vecdb.engine.collection import Collection
from vecdb.engine.database import Database
from vecdb.engine.texts import Texts
from vecdb.errors import DataLoss, DeadlineExceeded, FieldNotFound, InvalidArgument
from vecdb.index.analysis import analyzer as analyzers
from vecdb.index.analysis.contract import Identity
from vecdb.model.context import CallContext
from vecdb.model.schema import Schema, TextField, VectorField
from vecdb.model.schema_change import AddTextField, SetTextField
from vecdb.storage import codec, keys
from vecdb.storage.memory import MemoryKV

Opener = Callable[..., Database]
__all__ = ["analyses"]

TEXTS = {point_id: f"running word{i % 7} 数据库" for i, point_id in enumerate(names(40))}


def fill(c: Handle) -> None:
    c.upsert(list(TEXTS), gaussian(len(TEXTS)), [{"n": 1}] * len(TEXTS), list(TEXTS.values()))


def set_indexing(c: Handle, mode: str) -> None:
    c.db.set_indexing(CallContext(), "c", mode)  # type: ignore[arg-type]


def terms_files(c: Handle) -> list[str]:
    return sorted(name for s in c.inner.segments for name in s.files if text_sealing.is_terms(name))


def known(c: Handle, key: int = MAIN) -> list[bool]:
    return [s.parts[key].postings is not None for s in c.look().segments]


# -- unknown


def test_deferred_writes_are_not_analyzed_and_found_all_the_same(c: Handle, analyses: list[str]) -> None:
    set_indexing(c, "deferred")
    fill(c)
    c.settle()
    assert analyses == []
    assert not any(known(c))
    assert MAIN not in c.look().texts
    agree(c, TEXTS)
    assert len(analyses) == 40
    agree(c, TEXTS)
    assert len(analyses) == 40


def test_a_growing_segment_goes_on_from_what_a_reader_made(db: Database, analyses: list[str]) -> None:
    c = make(db)
    set_indexing(c, "deferred")
    c.upsert(["a", "b"], texts=["red", "blue"])
    agree(c, {"a": "red", "b": "blue"})
    c.upsert(["c"], texts=["green"])
    set_indexing(c, "auto")
    c.upsert(["d"], texts=["black"])
    assert known(c) == [False]
    agree(c, {"a": "red", "b": "blue", "c": "green", "d": "black"})
    analyses.clear()
    c.upsert(["e"], texts=["white"])
    assert known(c) == [True]
    assert analyses == ["white"]
    agree(c, {"a": "red", "b": "blue", "c": "green", "d": "black", "e": "white"})
    c.delete("a", "e")
    agree(c, {"b": "blue", "c": "green", "d": "black"})


def test_the_background_makes_what_was_deferred(c: Handle) -> None:
    set_indexing(c, "deferred")
    fill(c)
    set_indexing(c, "auto")
    c.settle()
    assert all(known(c))
    assert c.look().texts[MAIN].texts == 40
    agree(c, TEXTS)


def test_two_readers_do_not_make_the_same(c: Handle, analyses: list[str]) -> None:
    set_indexing(c, "deferred")
    fill(c)
    view, texts = c.look(), c.inner.reading.texts
    found: list[int] = []

    def read() -> None:
        for index in range(len(view.segments)):
            found.append(len(texts.of(CallContext(), view, index, MAIN)[0]))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(found) == 4 * 40
    assert len(analyses) == 40


def test_a_deadline_stops_the_making_and_what_was_made_stays(c: Handle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vecdb.engine.texts.READ_ROWS", 4)
    set_indexing(c, "deferred")
    fill(c)
    view = c.look()
    asked = 0

    class Late(CallContext):
        def check(self, stage: str) -> None:
            nonlocal asked
            asked += 1
            if asked > 2:
                raise DeadlineExceeded(stage)

    with pytest.raises(DeadlineExceeded):
        c.inner.reading.texts.of(Late(), view, 0, MAIN)
    text = view.segments[0].parts[MAIN].text
    assert text is not None
    assert text.known == 8
    agree(c, TEXTS)


def test_a_text_that_is_gone_is_a_loss(c: Handle) -> None:
    set_indexing(c, "deferred")
    c.upsert(["a"], texts=["red"])
    part = c.look().segments[0].parts[MAIN]
    texts = Texts(lambda rows: [None] * len(rows), c.inner.texts)
    with pytest.raises(Exception, match="row 0 has no text"):
        texts.make(part, part.text, MAIN, c.look().seq, lambda: None)  # type: ignore[arg-type]


# -- files


def test_postings_are_sealed_merged_and_read_back(open_db: Opener, analyses: list[str]) -> None:
    kv = MemoryKV()
    c = make(open_db(kv=kv), TWO)
    fill(c)
    c.update(names(10), payloads=[{"n": 2}] * 10)
    c.seal()
    assert terms_files(c) == ["t0.0.terms"]
    agree(c, TEXTS)
    c.upsert(names(30, start=100), texts={"title": ["title"] * 30})
    c.delete(*names(5))
    c.seal()
    left = {i: text for i, text in TEXTS.items() if i not in names(5)}
    agree(c, left)
    assert len(analyses) == 70
    c.db.close()
    c = Handle(open_db(kv=kv.durable_copy()))
    assert all(known(c)) and all(known(c, TITLE))
    agree(c, left)
    agree(c, dict.fromkeys(names(30, start=100), "title"), TITLE)
    assert len(analyses) == 70


@pytest.mark.parametrize("damage", ["gone", "cut", "a-folder"])
def test_damaged_postings_are_named_and_made_again(
    open_db: Opener, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    kv = MemoryKV()
    c = make(open_db(kv=kv))
    fill(c)
    c.seal()
    c.db.close()
    (file,) = (tmp_path / "data" / "segments").rglob("*.terms")
    raw = file.read_bytes()
    file.unlink()
    if damage == "cut":
        file.write_bytes(raw[: len(raw) // 2])
    elif damage == "a-folder":
        file.mkdir()
    c = Handle(open_db(kv=(kv := kv.durable_copy())))
    assert not all(known(c))
    assert any("t0.0.terms" in r.getMessage() for r in caplog.records if r.levelno == logging.WARNING)
    agree(c, TEXTS)
    c.settle()
    assert (terms_files(c), all(known(c))) == (["t0.0.terms"], True)
    c.db.close()
    caplog.clear()
    c = Handle(open_db(kv=kv.durable_copy()))
    agree(c, TEXTS)
    assert not any("t0.0.terms" in r.getMessage() for r in caplog.records)


def test_postings_of_another_version_are_made_anew(
    open_db: Opener, monkeypatch: pytest.MonkeyPatch, analyses: list[str]
) -> None:
    kv = MemoryKV()
    c = make(open_db(kv=kv))
    fill(c)
    c.seal()
    c.db.close()
    for module in (analyzers, text_sealing):
        monkeypatch.setattr(module, "VERSION", 2)
    analyzers.made_by.cache_clear()
    analyses.clear()
    c = Handle(open_db(kv=kv.durable_copy()))
    assert not any(known(c))
    c.settle()
    assert len(analyses) == 40
    agree(c, TEXTS)
    assert {s.parts[MAIN].analyzer for s in c.inner.segments} == {Identity("multilingual", (), 2)}
    c.db.close()
    analyzers.made_by.cache_clear()


def test_a_segment_of_an_older_release_gets_parts_of_its_texts(open_db: Opener, tmp_path: Path) -> None:
    """Its manifest, its folder and the catalog know nothing of texts; nor does it when this release is cut off."""
    kv = MemoryKV()
    c = make(open_db(kv=kv))
    fill(c)
    c.upsert(names(3, start=50))
    c.seal()
    c.delete(*names(4))
    c.cover()
    c.db.close()
    kv = kv.durable_copy()
    for file in (tmp_path / "data" / "segments").rglob("t0.*"):
        file.unlink()
    document = orjson.loads((kv.get(keys.manifest(1)) or b"")[1:])
    for entry in document["segments"]:
        del entry["texts"]
        entry["files"] = {name: about for name, about in entry["files"].items() if not name.startswith("t0.")}
    batch = kv.batch()
    batch.put(keys.manifest(1), codec.encode_json(1, document))
    entry = orjson.loads((kv.get(keys.catalog(1)) or b"")[1:])
    entry["texts"] = {name: {"id": f["id"], "analyzer": f["analyzer"]} for name, f in entry["texts"].items()}
    batch.put(keys.catalog(1), codec.encode_json(2, entry))
    kv.write(batch)
    kv.sync()
    left = {i: text for i, text in TEXTS.items() if i not in names(4)}
    for _ in range(2):
        c = Handle(open_db(kv=kv))
        agree(c, left)
        c.update(names(20), payloads=[{"n": 3}] * 20)
        agree(c, left)
        assert c.db.check(CallContext()) == []
        left_over = kv.durable_copy()
        c.db.close()
        kv = left_over
    c = Handle(open_db(kv=kv))
    assert c.count() == 39
    c.settle()
    c.cover()
    agree(c, left)
    c.db.close()
    kv = kv.durable_copy()
    assert "texts" in manifest.load(kv, 1).segments[0]
    c = Handle(open_db(kv=kv))
    assert all(known(c))
    agree(c, left)


# -- recovery


@pytest.fixture
def left(open_db: Opener, analyses: list[str]) -> MemoryKV:
    """The store of a database that was closed with texts that are in no segment file."""
    kv = MemoryKV()
    c = make(open_db(kv=kv, growing_rows=1_000))
    fill(c)
    c.db.close()
    analyses.clear()
    return kv.durable_copy()


def test_few_texts_are_analyzed_before_a_collection_opens_and_many_after(
    left: MemoryKV, open_db: Opener, monkeypatch: pytest.MonkeyPatch, analyses: list[str]
) -> None:
    c = Handle(open_db(kv=left, growing_rows=1_000))
    assert known(c) == [True]
    assert len(analyses) == 40
    agree(c, TEXTS)
    c.db.close()
    monkeypatch.setattr(recovery, "ANALYZED_CHARACTERS", 100)
    analyses.clear()
    c = Handle(open_db(kv=left.durable_copy(), growing_rows=1_000, idle_seal_s=1_000.0))
    assert (known(c), analyses) == ([False], [])
    c.settle()
    assert known(c) == [True]
    assert len(analyses) == 40


def test_texts_do_not_hold_up_a_close_that_comes_before_they_are_analyzed(
    left: MemoryKV, open_db: Opener, monkeypatch: pytest.MonkeyPatch, analyses: list[str]
) -> None:
    analyze = recovery._analyze

    def closed_meanwhile(collection: Collection) -> None:
        collection.closing = True
        analyze(collection)
        collection.closing = False

    monkeypatch.setattr(recovery, "_analyze", closed_meanwhile)
    c = Handle(open_db(kv=left, growing_rows=1_000, idle_seal_s=1_000.0))
    assert (known(c), analyses) == ([False], [])
    agree(c, TEXTS)


def test_a_text_that_is_gone_does_not_keep_a_collection_from_opening(
    left: MemoryKV, open_db: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise DataLoss("row 7 has no text")

    monkeypatch.setattr(Texts, "texts", gone)
    c = Handle(open_db(kv=left, growing_rows=1_000, idle_seal_s=1_000.0))
    assert len(c.search(gaussian(1), exact=True, limit=50)) == c.count() == 40
    with pytest.raises(DataLoss, match="row 7"):
        agree(c, TEXTS)


def test_a_slot_whose_body_is_gone_is_found_through_its_owner(open_db: Opener) -> None:
    """Every body that brought a text was edited and deleted; no key of the store names its slot any more."""
    kv = MemoryKV()
    c = make(open_db(kv=kv))
    fill(c)
    for n in range(2):
        c.update(names(30), payloads=[{"n": n}] * 30)
        c.cover()
    assert c.inner.garbage_rows == 0
    for _ in range(2):
        c.db.close()
        c = Handle(open_db(kv=(kv := kv.durable_copy())))
        agree(c, TEXTS)
        assert c.db.check(CallContext()) == []
    c.seal()
    agree(c, TEXTS)


def test_a_damaged_segment_gets_back_the_slots_that_others_have_adopted(open_db: Opener, tmp_path: Path) -> None:
    kv = MemoryKV()
    c = make(open_db(kv=kv, max_segment_bytes=2_000, seal_bytes=1))
    fill(c)
    c.seal()
    c.update(names(30), payloads=[{"n": 9}] * 30)
    c.seal()
    c.cover()
    c.db.close()
    first = min((tmp_path / "data" / "segments" / "1").iterdir(), key=lambda folder: int(folder.name))
    shutil.rmtree(first)
    c = Handle(open_db(kv=kv.durable_copy()))
    agree(c, TEXTS)


# -- other declarations


def test_an_unknown_analyzer_is_refused_wherever_one_is_named(db: Database) -> None:
    bad = TextField("klingon")
    with pytest.raises(InvalidArgument, match="klingon"):
        db.create_collection(CallContext(), "bad", Schema({"": VectorField(4)}, {"": bad}))
    c = make(db)
    for change in (SetTextField("", bad), AddTextField("more", TextField(options={"speed": 1}))):
        with pytest.raises(InvalidArgument):
            c.change(change)
    for k1 in (-1.0, float("nan"), "1.2", True, None):
        with pytest.raises(InvalidArgument, match=r"k1"):
            c.change(SetTextField("", TextField(k1=k1)))  # type: ignore[arg-type]
    with pytest.raises(FieldNotFound):
        c.change(SetTextField("nothing", TextField()))
    assert c.change(SetTextField("", TextField(k1=2.0))).schema.texts[""].k1 == 2.0


def test_the_formula_changes_at_once_and_nothing_is_analyzed(c: Handle, analyses: list[str]) -> None:
    fill(c)
    c.seal()
    segments = list(c.inner.segments)
    c.change(SetTextField("", TextField(k1=0.5, b=0.1)))
    c.settle()
    assert c.inner.reading.schema.texts[""].b == 0.1
    assert c.inner.segments == segments
    assert len(analyses) == 40


def test_another_analyzer_takes_over_in_the_background(open_db: Opener, analyses: list[str]) -> None:
    kv = MemoryKV()
    c = make(open_db(kv=kv))
    fill(c)
    c.seal()
    c.upsert(names(5, start=200), texts=["was running"] * 5)
    c.change(SetTextField("", TextField("english", {"stop_words": ["word1"]})))
    c.upsert(names(5, start=300), texts=["word1 runs"] * 5)
    analyses.clear()
    everything = TEXTS | dict.fromkeys(names(5, start=200), "was running")
    found = held(c)
    assert {i: found[i] for i in everything} == terms_of(everything)
    assert analyses == []
    c.settle()
    assert len(analyses) == 45
    english = analyzers.analyzer("english", {"stop_words": ["word1"]})
    assert {p.analyzer for s in c.look().segments for p in s.parts.values()} == {None, english.identity}
    assert sum(held(c)["00300"].values()) == 1
    assert c.stats().indexed_texts == c.stats().texts == 50
    assert terms_files(c) != ["t0.0.terms"]
    c.db.close()
    analyses.clear()
    c = Handle(open_db(kv=kv.durable_copy()))
    assert held(c)["00001"] == terms_of({"": TEXTS["00001"].replace("word1", "")}, "english")[""]
    assert not analyses or len(analyses) == 10


def test_a_merge_goes_by_the_declared_analyzer(c: Handle) -> None:
    fill(c)
    c.seal()
    c.change(SetTextField("", TextField("whitespace")))
    set_indexing(c, "deferred")
    c.delete("00000")
    c.compact()
    assert all(known(c))
    agree(c, {i: text for i, text in TEXTS.items() if i != "00000"}, by="whitespace")


def test_progress_is_told(c: Handle, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(c)
    c.seal()
    assert (c.stats().texts, c.stats().indexed_texts) == (40, 40)
    assert c.stats().segments[0].texts == {"": "terms"}
    monkeypatch.setattr("vecdb.engine.texts.READ_ROWS", 10)
    monkeypatch.setattr(text_indexing, "SLICE_S", 0.0)
    c.change(SetTextField("", TextField("english")))
    assert (c.stats().texts, c.stats().indexed_texts) == (40, 0)
    set_indexing(c, "deferred")
    c.settle()
    assert c.stats().indexed_texts == 0
    set_indexing(c, "auto")
    monkeypatch.setattr(text_indexing, "SLICE_S", 1.0)
    c.settle()
    assert c.stats().indexed_texts == 40


def test_writes_go_on_while_the_analyzer_changes(open_db: Opener) -> None:
    c = make(open_db(kv=MemoryKV()))
    texts: dict[str, str] = {}
    stop = threading.Event()

    def write() -> None:
        for i in range(10_000):
            if stop.is_set():
                return
            some = dict.fromkeys(names(3, start=3 * (i % 40)), f"running runs {i}")
            c.upsert(list(some), texts=list(some.values()))
            texts.update(some)

    thread = threading.Thread(target=write)
    thread.start()
    for i in range(20):
        c.change(SetTextField("", TextField(["english", "whitespace", "multilingual"][i % 3])))
        c.db.maintain()
    stop.set()
    thread.join()
    c.change(SetTextField("", TextField("whitespace")))
    c.settle()
    agree(c, texts, by="whitespace")


def test_a_field_that_is_not_searched_is_not_analyzed_until_it_is(open_db: Opener, analyses: list[str]) -> None:
    kv = MemoryKV()
    db = open_db(kv=kv)
    db.create_collection(CallContext(), "c", Schema({"": VectorField(4)}, {"": TextField(keywords=False)}))
    c = Handle(db)
    fill(c)
    c.seal()
    assert (analyses, terms_files(c)) == ([], [])
    c.db.close()
    c = Handle(open_db(kv=(kv := kv.durable_copy())))
    c.change(SetTextField("", TextField()))
    c.settle()
    assert (len(analyses), terms_files(c)) == (40, ["t0.0.terms"])
    agree(c, TEXTS)
    c.change(SetTextField("", TextField(keywords=False)))
    c.settle()
    assert (known(c), terms_files(c)) == ([False], [])
    c.db.close()
    c = Handle(open_db(kv=kv.durable_copy()))
    assert (known(c), terms_files(c)) == ([False], [])


def test_a_field_that_is_added_takes_texts_from_then_on(c: Handle) -> None:
    fill(c)
    c.seal()
    c.change(AddTextField("title", TextField("english")))
    agree(c, {}, TITLE, "english")
    c.update(names(3), texts={"title": ["running"] * 3})
    agree(c, dict.fromkeys(names(3), "running"), TITLE, "english")
    c.seal()
    agree(c, dict.fromkeys(names(3), "running"), TITLE, "english")
    agree(c, TEXTS)


def test_waiting_for_the_index_waits_for_texts(c: Handle) -> None:
    fill(c)
    c.seal()
    c.change(SetTextField("", TextField("english")))
    c.db.wait_indexed(CallContext.within(10.0), "c")
    agree(c, TEXTS, by="english")


def test_cut_off_at_every_step_of_a_change_it_is_done_again(open_db: Opener) -> None:
    for name in [name for name in failpoint.NAMES if name.startswith("texts.")]:
        kv = MemoryKV()
        c = make(open_db(kv=kv), name=name)
        c = Handle(c.db, name)
        fill(c)
        c.seal()
        c.change(SetTextField("", TextField("english")))
        failpoint.arm_from_text(f"{name}=raise")
        with pytest.raises(OSError, match="texts"):
            c.settle()
        failpoint.disarm()
        left = kv.durable_copy()
        c.db.close()
        c = Handle(open_db(kv=left), name)
        assert held(c) in (terms_of(TEXTS), terms_of(TEXTS, "english"))
        c.settle()
        agree(c, TEXTS, by="english")
        folder = c.db._root / str(c.inner.number)
        assert len(list(folder.rglob("*.terms*"))) == 1
        c.db.drop_collection(CallContext(), name)
        c.db.close()
