"""Texts as parts of segments: whose they are, how many live, what their postings say, whatever happened before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.conftest import make
from tests.engine.handle import SMALL, TWO, Handle, delete, gaussian, names, update, upsert
from vecdb.engine import prepare
from vecdb.engine import texts as texts_module
from vecdb.engine.database import Database
from vecdb.engine.view import TextCounts, View
from vecdb.index.analysis.analyzer import analyzer
from vecdb.index.postings.chunk import Chunk
from vecdb.index.postings.contract import Postings
from vecdb.model.context import CallContext
from vecdb.model.filter.expression import F
from vecdb.model.point import Clear, DeleteWhere, PayloadMode, PutMode, UpdateWhere
from vecdb.model.schema import TextField
from vecdb.model.schema_change import SetTextField
from vecdb.storage.codec import TEXT
from vecdb.storage.memory import MemoryKV

Opener = Callable[..., Database]

MAIN, TITLE = TEXT | 0, TEXT | 1
WORDS = ["red", "green", "blue", "HNSW-2024", "数据库", "資料庫", "naïve", "running", "the"]


def texts_of(postings: Postings) -> list[Counter[str]]:
    """What each text holds, as its postings tell."""
    table = postings.table()
    blob, found = table.blob.tobytes(), [Counter[str]() for _ in range(len(postings))]
    for i in range(len(table.offsets) - 1):
        term = blob[table.offsets[i] : table.offsets[i + 1]].decode()
        for at in range(int(table.starts[i]), int(table.starts[i + 1])):
            found[int(table.ordinals[at])][term] += int(table.frequencies[at])
    return found


def held(c: Handle, key: int = MAIN, view: View | None = None) -> dict[str, Counter[str]]:
    """By id, the terms of every text that ``view`` shows, as postings tell them; each must be there once."""
    view = view or c.look()
    found: dict[str, Counter[str]] = {}
    for index, segment in enumerate(view.segments):
        part = segment.parts.get(key)
        postings, _ = c.inner.reading.texts.of(CallContext(), view, index, key)
        terms = texts_of(postings)
        assert [sum(some.values()) for some in terms] == postings.lengths.tolist()
        if part is None:
            continue
        alive = np.flatnonzero(part.died > np.uint64(view.seq)).astype(np.int64)
        for ordinal, row in zip(alive.tolist(), part.owner_rows(alive).tolist(), strict=True):
            shown = c.inner.lookup.step_back(view, row)
            assert shown is not None
            (body,) = c.inner.lookup.bodies([shown])
            assert body.id not in found
            found[body.id] = terms[ordinal]
    return found


def terms_of(texts: dict[str, str], by: str = "multilingual") -> dict[str, Counter[str]]:
    made = analyzer(by)
    return {point_id: Counter(made.terms(text)) for point_id, text in texts.items()}


def agree(c: Handle, texts: dict[str, str], key: int = MAIN, by: str = "multilingual") -> None:
    """The collection holds exactly these texts in a field, and counts them so."""
    wanted = terms_of(texts, by)
    assert held(c, key) == wanted
    counts = TextCounts(len(wanted), sum(sum(terms.values()) for terms in wanted.values()))
    view = c.look()
    assert c.inner.reading.texts.counts(CallContext(), view, key) == counts
    assert view.texts.get(key, counts) == counts


@pytest.fixture
def analyses(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that is analyzed from now on."""
    seen: list[str] = []

    def watching(module: Any) -> None:
        real = module.analyzed

        def analyzed(texts: Sequence[str | None], by: Any) -> Chunk:
            seen.extend(text for text in texts if text is not None)
            chunk: Chunk = real(texts, by)
            return chunk

        monkeypatch.setattr(module, "analyzed", analyzed)

    watching(prepare.postings)
    watching(texts_module)
    return seen


# -- adoption


def test_a_text_is_analyzed_once_however_often_its_point_is_edited(c: Handle, analyses: list[str]) -> None:
    c.upsert(names(30), gaussian(30), [{"n": i} for i in range(30)], [f"word{i} red" for i in range(30)])
    assert len(analyses) == 30
    c.update(names(20), payloads=[{"n": 7}] * 20)
    c.write(UpdateWhere(F("n") == 7, b'{"m": 1}', PayloadMode.MERGE))
    c.update(names(10), gaussian(10, seed=2))
    agree(c, {point_id: f"word{i} red" for i, point_id in enumerate(names(30))})
    c.seal()
    c.update(names(5), payloads=[{"n": 8}] * 5)
    c.seal()
    agree(c, {point_id: f"word{i} red" for i, point_id in enumerate(names(30))})
    assert len(analyses) == 30


def test_a_new_text_takes_the_place_of_the_old_one(c: Handle) -> None:
    c.upsert(["a", "b"], texts=["red", "blue"])
    c.update(["a"], texts=["green green"])
    agree(c, {"a": "green green", "b": "blue"})
    c.upsert(["b"], payloads=[{"n": 1}])
    agree(c, {"a": "green green"})
    c.delete("a")
    agree(c, {})


def test_an_empty_text_is_a_text(c: Handle) -> None:
    c.upsert(["a", "b", "c"], texts=["", "red", None])
    agree(c, {"a": "", "b": "red"})


def test_a_long_column_is_taken_apart_in_pieces(
    c: Handle, analyses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whatever order its rows come: ids that come twice stand where they came first, with the last text."""
    monkeypatch.setattr("vecdb.index.postings.chunk.PIECE", 12)
    ids = ["a", "b", "c", "d", "a", "e", "b"]
    texts = ["one red", None, "two green words", "", "three blue", "four", "five black"]
    c.upsert(ids, texts=texts)
    agree(c, {"a": "three blue", "b": "five black", "c": "two green words", "d": "", "e": "four"})
    asked: list[str] = []
    prepared = prepare.PreparedPut(PutMode.UPSERT, ids, {}, {0: texts}, None, None)
    batch = prepare.analyzed(
        prepare.PreparedBatch([prepared], 0), {0: analyzer("multilingual")}, lambda: asked.append("")
    )
    (op,) = batch.operations
    assert isinstance(op, prepare.PreparedPut)
    assert [start for start, _ in op.postings[0].chunks] == [0, 3, 6]
    assert len(asked) == 3


def test_fields_are_apart(db: Database) -> None:
    c = make(db, TWO)
    c.upsert(names(4), texts={"": ["one", None, "three", None], "title": [None, "two", "three", None]})
    c.update(["00000"], texts={"title": ["new"]})
    agree(c, {"00000": "one", "00002": "three"})
    agree(c, {"00000": "new", "00001": "two", "00002": "three"}, TITLE)
    c.seal()
    agree(c, {"00000": "new", "00001": "two", "00002": "three"}, TITLE)


def test_within_a_batch_the_last_text_stands(c: Handle) -> None:
    c.write(
        upsert(["a", "b", "a", "c"], texts=["one", "two", "three", "four"]),
        update(["a"], payloads=[{"n": 1}]),
        update(["b", "c", "b"], texts=["five", None, "six"]),
        delete(["c"]),
    )
    agree(c, {"a": "three", "b": "six"})


def test_bodies_name_a_slot_only_where_it_is_anothers(c: Handle) -> None:
    c.upsert(["a"], texts=["red"])
    c.update(["a"], payloads=[{"n": 1}])
    first, second = (codec_body.slots for codec_body in c.inner.lookup.bodies([0, 1]))
    assert (first, second) == ({}, {MAIN: 0})


def test_a_held_view_keeps_its_texts(c: Handle) -> None:
    c.upsert(names(20), texts=["red"] * 20)
    before = c.look()
    c.upsert(names(10), texts=["blue"] * 10)
    c.update(names(20), payloads=[{"n": 1}] * 20)
    c.seal()
    c.cover()
    assert held(c, view=before) == terms_of(dict.fromkeys(names(20), "red"))
    agree(c, dict.fromkeys(names(10), "blue") | dict.fromkeys(names(10, start=10), "red"))


# -- any history

ids = st.sampled_from(names(25))
texts = st.one_of(st.none(), st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join))
rows = st.lists(st.tuples(ids, texts, texts), min_size=1, max_size=15)
steps = st.one_of(
    st.tuples(st.sampled_from(["upsert", "update", "update", "delete", "edit"]), rows),
    st.tuples(
        st.sampled_from(["where", "unwhere", "clear", "expire", "settle", "seal", "cover", "reopen", "power"]), rows
    ),
    st.tuples(st.sampled_from(["deferred", "auto", "english", "multilingual", "off"]), rows),
)


class History:
    """A collection on a store that can lose power, and the texts that it should have."""

    def __init__(self, folder: Path) -> None:
        self.kv = MemoryKV()
        self.folder = folder
        self.now = 1_000.0
        self.c = make(self.open(), TWO)
        self.texts: dict[int, dict[str, str]] = {MAIN: {}, TITLE: {}}
        self.points: dict[str, int] = {}
        self.mortal: set[str] = set()
        self.by = "multilingual"
        self.keywords = True

    def open(self) -> Database:
        return Database(self.kv, self.folder / "segments", SMALL, clock=lambda: self.now)

    def take(self, what: str, rows: list[tuple[str, str | None, str | None]]) -> None:
        c, ids = self.c, [i for i, _, _ in rows]
        columns = {"": [text for _, text, _ in rows], "title": [title for _, _, title in rows]}
        if what in ("upsert", "update"):
            kept = [r for r in rows if what == "upsert" or r[0] in self.points]
            ttl = [1_000 if what == "upsert" and len(rows) % 5 == 0 else 0]
            if what == "upsert":
                c.upsert(
                    ids,
                    {"": [v if i % 3 != 1 else None for i, v in enumerate(gaussian(len(ids)))]},
                    [{"n": len(t or "")} for _, t, _ in rows],
                    columns,
                    ttl_ms=ttl,
                )
            else:
                c.update(ids, texts=columns)
            for i, text, title in kept:
                if what == "upsert":
                    self.forget([i])
                    self.points[i] = len(text or "")
                    if ttl[0]:
                        self.mortal.add(i)
                for key, given_text in ((MAIN, text), (TITLE, title)):
                    if given_text is not None:
                        self.texts[key][i] = given_text
        elif what == "edit":
            c.update(ids, payloads=[{"n": 3}] * len(ids), payload_mode=PayloadMode.REPLACE)
            self.points.update({i: 3 for i in ids if i in self.points})
        elif what == "delete":
            c.delete(*ids)
            self.forget(ids)
        elif what == "where":
            c.write(UpdateWhere(F("n") > 4, b'{"n": 5}', PayloadMode.REPLACE))
            self.points.update({i: 5 for i, n in self.points.items() if n > 4})
        elif what == "unwhere":
            c.write(DeleteWhere(F("n") == 3))
            self.forget([i for i, n in self.points.items() if n == 3])
        elif what == "clear":
            c.write(Clear())
            self.forget(list(self.points))
        elif what == "expire":
            self.now += 10
            c.db.sweep(CallContext(), "c")
            self.forget(list(self.mortal))
        elif what in ("reopen", "power"):
            assert c.db.check(CallContext()) == []
            left = self.kv.durable_copy()
            c.db.close()
            self.kv = left if what == "power" else self.kv.durable_copy()
            self.c = Handle(self.open())
        elif what in ("deferred", "auto"):
            c.db.set_indexing(CallContext(), "c", what)  # type: ignore[arg-type]
        elif what in ("english", "multilingual", "off"):
            self.by = self.by if what == "off" else what
            self.keywords = what != "off"
            c.change(SetTextField("", TextField(self.by, keywords=self.keywords)))
        else:
            getattr(c, what)()

    def forget(self, ids: Sequence[str]) -> None:
        for i in ids:
            self.points.pop(i, None)
            self.mortal.discard(i)
            for texts_of_field in self.texts.values():
                texts_of_field.pop(i, None)

    def compare(self) -> None:
        """The texts are there, each once; their postings are those of some analyzer, as ``check`` tells."""
        assert held(self.c).keys() == self.texts[MAIN].keys()
        agree(self.c, self.texts[TITLE], TITLE)
        assert self.c.db.check(CallContext()) == []


@settings(max_examples=60, deadline=None)
@given(history=st.lists(steps, min_size=1, max_size=14))
def test_any_history_leaves_the_texts_of_a_dict(
    history: list[tuple[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    now = History(tmp_path_factory.mktemp("history"))
    try:
        for what, rows in history:
            now.take(what, rows)
            now.compare()
        now.take("off", [])
        now.take("english", [])
        now.c.db.set_indexing(CallContext(), "c", "auto")
        now.c.settle()
        agree(now.c, now.texts[MAIN], MAIN, "english")
        now.compare()
    finally:
        now.c.db.close()
