"""Searches by keyword in a collection: as brute force over the living documents has it, wherever the rows are."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.bm25 import Corpus, Words
from tests.engine.conftest import Opener, make
from tests.engine.handle import DIM, Handle, gaussian, names
from vecdb.engine.database import Database
from vecdb.engine.keyword.language import only_excludes, parse
from vecdb.errors import DeadlineExceeded, FailedPrecondition, FieldNotFound, InvalidArgument
from vecdb.model.context import CallContext
from vecdb.model.filter import Facts, Filter, matches
from vecdb.model.filter.expression import F
from vecdb.model.keyword import Keyword
from vecdb.model.query import Examples, GroupBy, Near, SearchAnswer, SearchRequest
from vecdb.model.schema import Schema, TextField, VectorField
from vecdb.model.schema_change import SetTextField
from vecdb.storage.memory import MemoryKV

FIELDS = {"": TextField(), "title": TextField("english", k1=0.9, b=0.4)}
SCHEMA = Schema({"": VectorField(DIM)}, FIELDS)
WORDS = "red reed house garden gardens tree river node.js c++ the 数据库 向量 索引 猫".split()
QUERIES = [
    Words("red"),
    Words("the red house, the garden"),
    Words("数据库 索引"),
    Words("red", {"": 1.0}),
    Words("garden tree", {"title": 3.0}),
    Words("garden tree", {"title": 0.5, "": 2.0}),
    Words('"red house"', language=True),
    Words('+garden -river "tree river" c++', language=True),
    Words("+数据库 re*", language=True),
    Words("hause gardem rivers", fuzzy=1),
    Words("nowhere"),
]


class Library:
    """A collection, and its points in a dict: (texts, payload)."""

    def __init__(self, db: Database, seed: int = 0) -> None:
        self.c = make(db, SCHEMA)
        self.points: dict[str, tuple[dict[str, str], dict[str, Any]]] = {}
        self._random = random.Random(seed)

    def text(self) -> str:
        return " ".join(self._random.choices(WORDS, k=self._random.randint(1, 7)))

    def texts(self) -> dict[str, str]:
        """Of both fields, of one, seldom of none."""
        return {name: self.text() for name in FIELDS if self._random.random() < 0.8}

    def write(self, ids: Sequence[str]) -> None:
        for i in ids:
            self.points[i] = (self.texts(), {"tenant": self._random.choice("ab"), "n": self._random.randint(0, 9)})
        columns = {name: [self.points[i][0].get(name) for i in ids] for name in FIELDS}
        self.c.upsert(ids, gaussian(len(ids)), [self.points[i][1] for i in ids], columns)

    def edit(self, ids: Sequence[str]) -> None:
        """Payloads alone: the texts stay."""
        for i in ids:
            self.points[i] = (self.points[i][0], {**self.points[i][1], "n": self._random.randint(0, 9)})
        self.c.update(ids, payloads=[self.points[i][1] for i in ids])

    def rewrite(self, ids: Sequence[str], name: str) -> None:
        """One text alone."""
        for i in ids:
            self.points[i] = ({**self.points[i][0], name: self.text()}, self.points[i][1])
        self.c.update(ids, texts={name: [self.points[i][0][name] for i in ids]})

    def delete(self, ids: Sequence[str]) -> None:
        for i in ids:
            del self.points[i]
        self.c.delete(*ids)

    def some(self, n: int) -> list[str]:
        return self._random.sample(sorted(self.points), n)

    def corpus(self, scope: Filter | None = None) -> Corpus:
        return Corpus.of({i: texts for i, (texts, _) in self.points.items() if self.fits(i, scope)}, FIELDS)

    def fits(self, i: str, filter: Filter | None) -> bool:
        return filter is None or matches(filter, Facts(i, payload=self.points[i][1]))

    def query(self) -> Words:
        """Any query there is to ask, but one that only excludes."""
        draw = self._random
        clauses = []
        for _ in range(draw.randint(1, 4)):
            sign, kind = draw.choice(["", "", "", "+", "-"]), draw.choice(["word", "word", "phrase", "prefix"])
            words = " ".join(draw.choices([*WORDS, "nowhere", "数", "g", "..."], k=draw.choice([1, 1, 2])))
            clauses.append(sign + (f'"{words}"' if kind == "phrase" else f"{words}*" if kind == "prefix" else words))
        boosts = draw.choice([None, {"": 1.0}, {"title": 1.0}, {"title": 3.0, "": 0.5}])
        text = " ".join(clauses)
        return Words(text, boosts, not only_excludes(parse(text)), draw.choice([0, 0, 0, 1, 2]))

    def agrees(self, scope: Filter | None = None, filter: Filter | None = None) -> None:
        corpus, c = self.corpus(scope), Handle(self.c.db, scope=scope)
        allowed = {i for i in self.points if self.fits(i, filter)}
        for query in [*QUERIES, *(self.query() for _ in range(6))]:
            expected = corpus.ranked(query, allowed)
            for limit in (3, 100):
                answer = ask(c, query, limit=limit, filter=filter)
                same(answer, expected, limit, query)


def ask(c: Handle, *queries: Words, **more: Any) -> SearchAnswer:
    """The answer to queries that differ in their text alone."""
    first = queries[0]
    leg = Keyword([query.text for query in queries], first.boosts, first.language, first.fuzzy)
    return c.db.search(c.context(), "c", SearchRequest([leg], **more))


def same(answer: SearchAnswer, expected: Sequence[tuple[str, float]], limit: int, about: object) -> None:
    """Whether the hits are the best of ``expected``, in order; equal scores may differ by rounding until they are told
    apart by ids.
    """
    ids, scores = answer.points.ids, answer.scores.tolist()
    assert len(ids) == min(limit, len(expected)), about
    by_id = dict(expected)
    assert scores == pytest.approx([by_id[i] for i in ids], rel=1e-6), about
    assert scores == pytest.approx([score for _, score in expected[:limit]], rel=1e-6), about
    assert [(-score, i.encode()) for i, score in zip(ids, scores, strict=True)] == sorted(
        (-score, i.encode()) for i, score in zip(ids, scores, strict=True)
    ), about
    assert answer.distances is None


@pytest.fixture
def library(open_db: Opener) -> Library:
    """60 points, all of them growing."""
    library = Library(open_db(kv=MemoryKV(), growing_rows=10_000))
    library.write(names(60))
    return library


def in_ten_segments(library: Library) -> None:
    """The same points again, in segments of six."""
    for start in range(0, 60, 6):
        library.write(names(6, start=start))
        with library.c.inner.publish_lock:
            library.c.inner.freeze()
    library.c.settle()


@pytest.mark.parametrize("where", ["growing", "frozen", "sealed", "in ten segments"])
def test_everywhere_alike(library: Library, where: str) -> None:
    if where == "frozen":
        with library.c.inner.publish_lock:
            library.c.inner.freeze()
    elif where == "sealed":
        library.c.seal()
    elif where == "in ten segments":
        in_ten_segments(library)
    library.agrees()
    library.agrees(filter=F("n") < 5)


def test_after_any_history(library: Library) -> None:
    """Deaths, texts that stay with a payload that changes, texts that change, in memory and on disk."""
    fresh = 60
    for turn in range(9):
        library.delete(library.some(4))
        library.edit(library.some(9))
        library.rewrite(library.some(5), "" if turn % 2 else "title")
        library.write(names(5, start=fresh))
        fresh += 5
        if turn % 3 == 1:
            with library.c.inner.publish_lock:
                library.c.inner.freeze()
        if turn % 3 == 2:
            library.c.settle()
        library.agrees()
    library.agrees(filter=F("n") >= 4)
    library.agrees(scope=F("tenant") == "a")
    library.agrees(scope=F("tenant") == "b", filter=F("n") < 8)
    library.c.compact()
    library.agrees()
    library.agrees(scope=F("tenant") == "a")


def test_the_dead_are_not_counted(library: Library) -> None:
    library.c.seal()
    library.delete(library.some(25))
    before = ask(library.c, QUERIES[1], limit=100)
    same(before, library.corpus().ranked(QUERIES[1]), 100, "deleted")
    library.c.compact()
    after = ask(library.c, QUERIES[1], limit=100)
    assert after.points.ids == before.points.ids
    assert after.scores.tolist() == before.scores.tolist()


@pytest.mark.parametrize("query", [Words("the red house"), Words("the red house", {"": 1.0})], ids=["fields", "field"])
def test_a_view_stays_as_it_is(library: Library, query: Words) -> None:
    """Texts that later rows adopted, deaths and other texts: a reader of an older view sees none of it."""
    library.c.seal()
    library.edit(library.some(10))
    view, expected = library.c.look(), library.corpus().ranked(query)
    for _ in range(2):
        library.edit(library.some(20))
        library.rewrite(library.some(10), "")
        library.delete(library.some(5))
        library.write(names(5, start=90))
    request = SearchRequest([Keyword([query.text], query.boosts)], limit=100)
    same(library.c.inner.reading.executor.search(CallContext(), view, request), expected, 100, query)


def test_only_the_scope_is_counted(library: Library) -> None:
    """A tenant learns nothing of others, not by a score either."""
    library.c.seal()
    scope = F("tenant") == "a"
    mine = Handle(library.c.db, scope=scope)
    before = ask(mine, QUERIES[1], limit=100)
    library.delete([i for i in library.points if not library.fits(i, scope)])
    after = ask(mine, QUERIES[1], limit=100)
    assert after.points.ids == before.points.ids
    assert after.scores.tolist() == before.scores.tolist()


def test_a_filter_does_not_change_scores(library: Library) -> None:
    everything = ask(library.c, QUERIES[1], limit=100)
    score_of = dict(zip(everything.points.ids, everything.scores.tolist(), strict=True))
    some = ask(library.c, QUERIES[1], limit=100, filter=F("n") == 3)
    assert 0 < len(some.points) < len(everything.points)
    assert some.scores.tolist() == [score_of[i] for i in some.points.ids]


def test_what_has_expired_is_not_counted(open_db: Opener) -> None:
    now = [1e9]
    c = make(open_db(kv=MemoryKV(), clock=lambda: now[0]), SCHEMA)
    some = ["red house", "red", "house garden", "red garden tree"]
    c.upsert(names(4), gaussian(4), texts=some, ttl_ms=[0, 5_000, 0, 5_000])
    c.seal()
    now[0] += 10
    corpus = Corpus.of({i: {"": text} for i, text in list(zip(names(4), some, strict=True))[::2]}, FIELDS)
    for query in (Words("red house"), Words("red"), Words("tree")):
        same(ask(c, query), corpus.ranked(query), 10, query)


def test_a_batch_answers_like_its_queries(library: Library) -> None:
    words = [Words("red"), Words("nowhere"), Words("garden the"), Words("猫 tree")]
    filters = [F("n") < 5, None, F("n") < 5, F("n") > 2]
    together = ask(library.c, *words, limit=5, query_filters=filters)
    ends = np.cumsum(together.counts).tolist()
    for query, filter, count, end in zip(words, filters, together.counts.tolist(), ends, strict=True):
        alone = ask(library.c, query, limit=5, filter=filter)
        assert together.points.ids[end - count : end] == alone.points.ids
        assert together.scores[end - count : end].tolist() == alone.scores.tolist()


def test_pages_and_thresholds(library: Library) -> None:
    query = Words("red house garden")
    whole = ask(library.c, query, limit=50)
    page = ask(library.c, query, limit=7, offset=4)
    assert page.points.ids == whole.points.ids[4:11]
    least = float(whole.scores[8])
    assert ask(library.c, query, limit=50, min_score=least).scores.tolist() == [
        score for score in whole.scores.tolist() if score >= least
    ]


def test_a_filter_of_the_leg_narrows_it(library: Library) -> None:
    leg = Keyword(["red house"], filter=F("n") < 3)
    answer = library.c.db.search(CallContext(), "c", SearchRequest([leg], limit=100))
    allowed = {i for i in library.points if library.fits(i, F("n") < 3)}
    same(answer, library.corpus().ranked(Words("red house"), allowed), 100, leg)


def test_equal_scores_stand_by_id(c: Handle) -> None:
    c.upsert(["b", "d", "a", "c"], gaussian(4), texts=["red"] * 4)
    assert ask(c, Words("red"), limit=3).points.ids == ["a", "b", "c"]
    c.seal()
    c.upsert(["0"], gaussian(1), texts=["red"])
    assert ask(c, Words("red"), limit=3).points.ids == ["0", "a", "b"]


def test_of_very_many_equal_scores_the_first_ids(open_db: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vecdb.engine.keyword.leg._MANY", 5)
    c = make(open_db(kv=MemoryKV(), growing_rows=10_000), SCHEMA)
    rng = random.Random(3)
    ids = ["x" * 16 + "".join(rng.choices("ab\0é", k=rng.randint(0, 6))) for _ in range(400)]
    ids = sorted(set(ids), key=lambda i: rng.random())
    for some in (ids[:60], ids[60:130], ids[130:]):
        c.upsert(some, gaussian(len(some)), texts=["red"] * len(some))
        if some is not ids[130:]:
            c.seal()
    c.upsert(["z"], gaussian(1), texts=["red red red"])
    for limit in (2, 30, 100):
        assert ask(c, Words("red"), limit=limit).points.ids == ["z", *sorted(ids)[: limit - 1]]


def test_in_groups(library: Library) -> None:
    answer = ask(library.c, Words("red"), limit=3, group_by=GroupBy(("n",), 2))
    assert answer.groups is not None
    best = ask(library.c, Words("red"), limit=1)
    assert answer.points.ids[0] == best.points.ids[0]
    for group, end in zip(answer.groups[0].values, np.cumsum(answer.groups[0].hits).tolist(), strict=True):
        assert library.points[answer.points.ids[end - 1]][1]["n"] == group


def test_beside_examples(library: Library) -> None:
    """An example is left out of every leg."""
    first = ask(library.c, Words("red"), limit=1).points.ids[0]
    near = Near(np.zeros((0, 0), dtype=np.float32), examples=[Examples([first])])
    answer = library.c.db.search(CallContext(), "c", SearchRequest([near, Keyword(["red"])], limit=100))
    assert first not in answer.points.ids
    assert len(answer.points) == 59


@pytest.mark.parametrize("text", ["", "   ", "...", "!?"])
def test_a_text_without_words_finds_nothing_and_says_so(library: Library, text: str) -> None:
    answer = ask(library.c, Words(text))
    assert answer.points.ids == []
    assert len(answer.warnings) == 1
    assert "no word" in answer.warnings[0]


def test_no_warning_without_need(library: Library) -> None:
    assert ask(library.c, Words("nowhere")).warnings == []


def test_only_exclusions_are_refused(library: Library) -> None:
    with pytest.raises(InvalidArgument) as refused:
        ask(library.c, Words("red", language=True), Words('-red -"a b"', language=True))
    assert refused.value.field == "legs[0].keyword.texts[1]"


def test_half_a_character_is_refused(library: Library) -> None:
    with pytest.raises(InvalidArgument) as refused:
        ask(library.c, Words("red \ud83d"))
    assert refused.value.field == "legs[0].keyword.texts[0]"


def test_fields_that_cannot_be_searched(db: Database) -> None:
    c = make(db, Schema({"": VectorField(DIM)}, {"": TextField(), "note": TextField(keywords=False)}))
    c.upsert(["a"], gaussian(1), texts={"": ["red"], "note": ["blue"]})
    with pytest.raises(FieldNotFound) as unknown:
        ask(c, Words("red", {"body": 1.0}))
    assert unknown.value.field == 'legs[0].keyword.fields["body"]'
    with pytest.raises(FailedPrecondition):
        ask(c, Words("red", {"note": 1.0}))
    assert ask(c, Words("red blue")).points.ids == ["a"]
    assert ask(c, Words("blue")).points.ids == []
    bare = make(db, Schema({"": VectorField(DIM)}, {"": TextField(keywords=False)}), "bare")
    with pytest.raises(FailedPrecondition):
        bare.db.search(bare.context(), "bare", SearchRequest([Keyword(["red"])]))


def test_a_phrase_in_its_order_alone(c: Handle) -> None:
    some = ["a red house", "house red", "red big house", "Red-House!", "red. House", "the reds houses"]
    c.upsert(names(6), gaussian(6), texts=some)
    found = ask(c, Words('"red house"', language=True)).points.ids
    assert sorted(found) == ["00000", "00003", "00004", "00005"]
    assert sorted(ask(c, Words('red -"red house"', language=True)).points.ids) == ["00001", "00002"]


def test_chinese_words_with_signs_stand_as_they_are_written(c: Handle) -> None:
    some = ["向量数据库很快", "数据存在库里", "据库数据", "图数据库与向量"]
    c.upsert(names(4), gaussian(4), texts=some)
    assert sorted(ask(c, Words("+数据库", language=True)).points.ids) == ["00000", "00003"]
    assert ask(c, Words("+数据库 -向量数据库", language=True)).points.ids == ["00003"]
    assert ask(c, Words("向量数*", language=True)).points.ids == ["00000"]


def test_every_run_of_han_characters_finds_its_document(c: Handle) -> None:
    rng = random.Random(0)
    some = ["".join(rng.choices("向量数据库里的猫我家资料索引很快", k=rng.randint(2, 12))) for _ in range(40)]
    c.upsert(names(20), gaussian(20), texts=[f"{text}, and more" for text in some[:20]])
    c.seal()
    c.upsert(names(20, start=20), gaussian(20), texts=some[20:])
    runs = [
        (i, text[start:end])
        for i, text in zip(names(40), some, strict=True)
        for start in range(len(text))
        for end in range(start + 2, len(text) + 1)
    ]
    answer = ask(c, *(Words(run) for _, run in runs), limit=40)
    ends = np.cumsum(answer.counts).tolist()
    for (i, run), count, end in zip(runs, answer.counts.tolist(), ends, strict=True):
        assert i in answer.points.ids[end - count : end], run


def test_each_segment_is_asked_in_the_words_it_was_indexed_by(c: Handle) -> None:
    c.upsert(["old"], gaussian(1), texts=["The Houses"])
    c.seal()
    c.change(SetTextField("", TextField("whitespace")))
    c.upsert(["new"], gaussian(1), texts=["The Houses"])
    assert ask(c, Words("the")).points.ids == ["old"]
    assert ask(c, Words("Houses")).points.ids == ["new", "old"]
    assert ask(c, Words('"the houses"', language=True)).points.ids == ["old"]
    assert ask(c, Words('"The Houses"', language=True)).points.ids == ["new", "old"]
    c.settle()
    assert ask(c, Words("the")).points.ids == []
    assert ask(c, Words('"The Houses"', language=True)).points.ids == ["new", "old"]


def test_the_deadline_holds(library: Library) -> None:
    with pytest.raises(DeadlineExceeded):
        library.c.db.search(CallContext.within(0.0), "c", SearchRequest([Keyword(["red"])]))


def test_explained(library: Library) -> None:
    library.c.seal()
    told = ask(library.c, Words('red +"house garden" ga*', {"": 2.0}, language=True), explain=True).explain
    assert told is not None
    (leg,) = told["legs"]
    corpus = library.corpus()
    assert leg["fields"][""]["boost"] == 2.0
    assert leg["fields"][""]["texts"] == len(corpus.texts[""])
    (query,) = leg["queries"]
    holding = sum("red" in text.split() for text in corpus.texts[""].values())
    assert query["terms"][""]["red"] == holding
    assert query["terms"][""]["ga*"] >= query["terms"][""]["garden"]
    assert query["plan"] == "texts"
    assert query["texts_read"] >= 1
