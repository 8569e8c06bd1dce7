"""Queries over postings in pieces, with dead texts and texts that are not allowed, against one document at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bm25 import Corpus, Words, distance, made_analyzer
from vecdb.engine.keyword import counting, language, phrases
from vecdb.engine.keyword.counting import Field, Source
from vecdb.engine.keyword.matching import asked
from vecdb.index import bm25
from vecdb.index.postings.contract import Posting, TermTable
from vecdb.model.context import CallContext
from vecdb.model.schema import TextField

MULTILINGUAL = TextField()
WORDS = [
    "red",
    "reed",
    "house",
    "houses",
    "garden",
    "gardener",
    "c++",
    "node.js",
    "js",
    "数据库",
    "数据",
    "据库",
    "猫",
    "the",
]
texts = st.lists(st.sampled_from(WORDS), max_size=8).flatmap(
    lambda words: st.lists(st.sampled_from(["", " ", " "]), min_size=len(words), max_size=len(words)).map(
        lambda gaps: "".join(gap + word for gap, word in zip(gaps, words, strict=True))
    )
)


class FakePostings:
    """Postings from a dict, by the contract."""

    def __init__(self, some: Sequence[str], field: TextField = MULTILINGUAL) -> None:
        self._counts = [Counter(made_analyzer(field.analyzer, ()).terms(text)) for text in some]
        self.lengths = np.array([counts.total() for counts in self._counts], dtype=np.uint32)
        self._terms = sorted({term for counts in self._counts for term in counts})

    def __len__(self) -> int:
        return len(self._counts)

    def find(self, terms: Sequence[str]) -> list[Posting | None]:
        return [self._posting(term) for term in terms]

    def _posting(self, term: str) -> Posting | None:
        held = [(i, counts[term]) for i, counts in enumerate(self._counts) if term in counts]
        if not held:
            return None
        ordinals, frequencies = zip(*held, strict=True)
        return Posting(np.array(ordinals, dtype=np.uint32), np.array(frequencies, dtype=np.uint8))

    def starting(self, prefix: str, most: int) -> list[str]:
        return [term for term in self._terms if term.startswith(prefix)][:most]

    def near(self, term: str, edits: int, most: int) -> list[tuple[str, int]]:
        away = [(other, distance(term, other)) for other in self._terms]
        return sorted((pair for pair in away if pair[1] <= edits), key=lambda pair: (pair[1], pair[0]))[:most]

    def table(self) -> TermTable:
        raise AssertionError("not asked for by searches")

    def nbytes(self) -> tuple[int, int]:
        return 0, 0


class Shelf:
    """Texts of some fields in pieces; ``dead`` and ``barred`` are documents by number."""

    def __init__(
        self,
        columns: Mapping[str, Sequence[str]],
        pieces: int,
        dead: set[int],
        barred: set[int],
        fields: Mapping[str, TextField],
        boosts: Mapping[str, float] | None = None,
    ) -> None:
        self.columns = columns
        self.names = list(boosts or fields)
        self.size = len(next(iter(columns.values())))
        counted = np.array([i not in dead for i in range(self.size)], dtype=np.bool_)
        allowed = counted & np.array([i not in barred for i in range(self.size)], dtype=np.bool_)
        self.corpus = Corpus.of(
            {f"{i:03d}": {name: columns[name][i] for name in columns} for i in np.flatnonzero(counted).tolist()}, fields
        )
        self.allowed = {f"{i:03d}" for i in np.flatnonzero(allowed).tolist()}
        cuts = np.linspace(0, self.size, pieces + 1).astype(int).tolist()
        self.fields = []
        for name in self.names:
            by, boost = fields[name], 1.0 if boosts is None else boosts[name]
            sources = []
            for start, end in pairwise(cuts):
                places = np.s_[start:end]
                # Documents that are numbered one by one must give what those numbered together do.
                documents = np.arange(start, end) if start % 2 else None
                sources.append(
                    Source(
                        FakePostings(columns[name][places], by),
                        made_analyzer(by.analyzer, ()),
                        start,
                        None if counted[places].all() else counted[places],
                        None if allowed[places].all() else allowed[places],
                        documents,
                    )
                )
            parameters = bm25.Parameters(by.k1, by.b)
            self.fields.append(Field(name, tuple(sources), counting.totals(sources), boost, parameters))

    def find(self, query: Words, need: int) -> tuple[dict[str, float], int]:
        clauses = language.parse(query.text) if query.language else language.plain(query.text)
        verifier = phrases.Verifier(self._texts)
        found = asked(CallContext(), clauses, self.fields, query.fuzzy)
        documents, scores = found.find(CallContext(), need, self.size, verifier)
        assert (np.diff(documents) > 0).all()
        return {f"{i:03d}": s for i, s in zip(documents.tolist(), scores.tolist(), strict=True)}, verifier.verified

    def _texts(self, documents: Any) -> list[Mapping[int, str]]:
        return [{f: self.columns[name][i] for f, name in enumerate(self.names)} for i in documents.tolist()]

    def agrees(self, query: Words, need: int) -> None:
        found, _ = self.find(query, need)
        wanted = self.corpus.ranked(query, self.allowed)
        expected = dict(wanted)
        assert found.keys() <= expected.keys(), (query, found, wanted)
        assert len(found) >= min(need, len(wanted)), (query, found, wanted)
        for point_id, _ in wanted[:need]:
            assert found.get(point_id) == pytest.approx(expected[point_id], rel=1e-9), (query, point_id)


clause_texts = st.builds(
    lambda sign, word, kind: sign + (f'"{word}"' if kind == "phrase" else f"{word}*" if kind == "prefix" else word),
    st.sampled_from(["", "", "", "+", "-"]),
    st.lists(st.sampled_from([*WORDS, "g", "数", "zebra", "..."]), min_size=1, max_size=3).map(" ".join),
    st.sampled_from(["word", "word", "phrase", "phrase", "prefix"]),
)
queries = st.builds(
    Words,
    st.lists(clause_texts, min_size=1, max_size=4).map(" ".join),
    language=st.booleans(),
    fuzzy=st.sampled_from([0, 0, 1, 2]),
)


@given(
    st.lists(texts, min_size=1, max_size=40),
    st.sets(st.integers(0, 39), max_size=8),
    st.sets(st.integers(0, 39), max_size=8),
    st.integers(1, 5),
    st.lists(queries, min_size=1, max_size=3),
    st.integers(1, 12),
)
def test_any_query_finds_what_it_should(
    some: list[str], dead: set[int], barred: set[int], pieces: int, asked_for: list[Words], need: int
) -> None:
    shelf = Shelf({"": some}, pieces, dead, barred, {"": MULTILINGUAL})
    for query in asked_for:
        shelf.agrees(query, need)


@given(
    st.lists(st.tuples(texts, texts), min_size=1, max_size=25),
    st.sets(st.integers(0, 24), max_size=5),
    st.integers(1, 3),
    queries,
    st.integers(1, 6),
)
def test_fields_add_up(pairs: list[tuple[str, str]], dead: set[int], pieces: int, query: Words, need: int) -> None:
    columns = {"": [body for body, _ in pairs], "title": [title for _, title in pairs]}
    fields = {"": TextField("english", k1=0.9, b=0.4), "title": MULTILINGUAL}
    boosts = {"title": 2.5, "": 1.0}
    shelf = Shelf(columns, pieces, dead, set(), fields, boosts)
    shelf.agrees(Words(query.text, boosts, query.language, query.fuzzy), need)


@pytest.mark.parametrize("need", [1, 10, 100])
@pytest.mark.parametrize("pieces", [1, 7])
def test_what_is_skipped_was_no_hit(need: int, pieces: int) -> None:
    rng = np.random.default_rng(0)
    vocabulary = np.array([f"w{i}" for i in range(300)])
    zipf = 1 / np.arange(1, 301)
    some = [" ".join(rng.choice(vocabulary, rng.integers(1, 30), p=zipf / zipf.sum())) for _ in range(1_500)]
    shelf = Shelf({"": some}, pieces, set(range(0, 1_500, 11)), set(range(0, 1_500, 7)), {"": MULTILINGUAL})
    for query in ["w0", "w0 w1", "w0 w40 w250", "w3 w3 w100 w299", "w299 nowhere"]:
        shelf.agrees(Words(query), need)


def test_a_query_of_many_terms() -> None:
    rng = np.random.default_rng(1)
    some = [" ".join(f"w{i}" for i in rng.zipf(1.3, 20) if i < 400) for _ in range(300)]
    shelf = Shelf({"": some}, 3, set(), {3, 4, 5}, {"": MULTILINGUAL})
    for need in (1, 10, 300):
        shelf.agrees(Words(" ".join(f"w{i}" for i in range(1, 400))), need)


def test_a_phrase_reads_as_few_texts_as_it_needs() -> None:
    some = ["red house " * 3] * 200 + ["house red"] * 2_000
    shelf = Shelf({"": some}, 3, set(), set(), {"": MULTILINGUAL})
    found, verified = shelf.find(Words('"red house"', language=True), 10)
    assert len(found) >= 10
    assert max(found) < "200"
    assert verified < 500


def test_expansions_are_bounded_over_all_pieces_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vecdb.engine.keyword.clauses.MAX_PREFIX_TERMS", 3)
    some = [f"zz{letter}" for letter in "abcdef"]
    for pieces in (1, 2, 6):
        shelf = Shelf({"": some}, pieces, set(), set(), {"": MULTILINGUAL})
        found = asked(CallContext(), language.parse("zz*"), shelf.fields, 0)
        assert found.cut == ("zz*",)
        assert found.find(CallContext(), 10, 6, phrases.Verifier(shelf._texts))[0].tolist() == [0, 1, 2]


def test_a_term_that_only_texts_of_another_analyzer_hold_adds_nothing() -> None:
    about = TextField("english", k1=0.0)
    shelf = Shelf({"": ["red", "house"]}, 2, set(), set(), {"": about})
    (field,) = shelf.fields
    other = replace(field.sources[0], analyzer=made_analyzer("multilingual", ()))
    both = asked(CallContext(), language.plain("house"), [replace(field, sources=(other, field.sources[1]))], 0)
    assert [(scorer.holding, scorer.bound > 0) for scorer in both.adding] == [(1, False), (1, True)]
    documents, _ = both.find(CallContext(), 10, 2, phrases.Verifier(shelf._texts))
    assert documents.tolist() == [1]


@pytest.mark.parametrize("query", [Words("1*", language=True), Words("reed", fuzzy=2)])
def test_texts_of_two_analyzers_count_a_prefix_or_a_typo_alike(query: Words) -> None:
    """A field is indexed anew: what a word stands for is held by texts of either."""
    some = ["17", "red", "1", "reed", "19", "feed", "16", "rend"]
    shelf = Shelf({"": some}, 4, set(), set(), {"": MULTILINGUAL})
    (field,) = shelf.fields
    english = made_analyzer("english", ())
    sources = [replace(one, analyzer=english) if i % 2 else one for i, one in enumerate(field.sources)]
    shelf.fields = [replace(field, sources=tuple(sources))]
    shelf.agrees(query, 10)
