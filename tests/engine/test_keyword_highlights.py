"""Snippets: the words asked for, where they stand in the text as it was written."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.conftest import make
from tests.engine.handle import DIM, Handle, gaussian, names
from vecdb.engine.database import Database
from vecdb.engine.keyword.highlighting import Place, snippets
from vecdb.errors import DeadlineExceeded
from vecdb.model.context import CallContext
from vecdb.model.highlight import Highlight, Snippet
from vecdb.model.keyword import Keyword
from vecdb.model.point import Select
from vecdb.model.query import Near, SearchRequest
from vecdb.model.schema import Schema, TextField, VectorField

SCHEMA = Schema({"": VectorField(DIM)}, {"": TextField(), "title": TextField("english")})
NOTHING = Select(False, False, False)


@pytest.fixture
def c(db: Database) -> Handle:
    return make(db, SCHEMA)


def found(c: Handle, *legs: Keyword | Near, how: Highlight | None = None) -> list[list[Snippet]]:
    request = SearchRequest(legs, highlight=how or Highlight(), select=NOTHING)
    answer = c.db.search(c.context(), "c", request)
    assert answer.points.texts is None
    assert answer.snippets is not None
    return [list(some) for some in answer.snippets]


def marked(c: Handle, text: str, query: str, language: bool = True, fuzzy: int = 0) -> str | None:
    """The one snippet of one text, with [what was asked for] marked; None where there is none."""
    c.upsert(["a"], gaussian(1), texts=[text])
    (some,) = found(c, Near(gaussian(1), ""), Keyword([query], language=language, fuzzy=fuzzy))
    return some[0].marked("[", "]") if some else None


@pytest.mark.parametrize(
    ("text", "query", "expected"),
    [
        ("The Red house.", "red HOUSES", "The [Red] [house]."),
        ("Ｎｏｄｅ.js and node", "node.js", "[Ｎｏｄｅ.js] and [node]"),
        ("cafés in Paris", "café", "[cafés] in Paris"),
        ("red house, red door", '"red house"', "[red] [house], red door"),
        ("red house, red door", '"red house" door', "[red] [house], red [door]"),
        ("red house, red door", "red -house", "[red] house, [red] door"),
        ("gardens and gardeners", "garden*", "[gardens] and [gardeners]"),
        ("我们的向量数据库很快", "向量数据库", "我们的[向量数据库]很快"),
        ("数据库和数据", "数据库", "[数据库]和[数据]"),
        ("数据库和数据", "+数据库", "[数据库]和数据"),
        ("向量，数据库", "向量 数据库", "[向量]，[数据库]"),
        ("我家的猫", "猫", "我家的[猫]"),
        ("用faiss建索引", "索引 FAISS", "用[faiss]建[索引]"),
        ("nothing of it", "red", None),
        ("", "red", None),
    ],
)
def test_by_example(c: Handle, text: str, query: str, expected: str | None) -> None:
    assert marked(c, text, query) == expected


def test_typos(c: Handle) -> None:
    assert marked(c, "the red house", "hause", fuzzy=1) == "the red [house]"
    assert marked(c, "the red house", "hause") is None


def test_plain_words_have_no_signs(c: Handle) -> None:
    assert marked(c, "red house", '-red "house', language=False) == "[red] [house]"


def test_by_field_and_only_those_searched(c: Handle) -> None:
    c.upsert(["a"], gaussian(1), texts={"": ["red house"], "title": ["the reds"]})
    (some,) = found(c, Keyword(["red"]))
    assert [(one.field, one.marked("[", "]")) for one in some] == [("", "[red] house"), ("title", "the [reds]")]
    (some,) = found(c, Keyword(["red"], {"title": 2.0}))
    assert [one.field for one in some] == ["title"]


def test_each_query_of_a_batch_has_its_own(c: Handle) -> None:
    c.upsert(["a", "b"], gaussian(2), texts=["red house", "blue house"])
    got = found(c, Keyword(["house", "blue"]))
    assert [[one.marked("[", "]") for one in some] for some in got] == [
        ["red [house]"],
        ["blue [house]"],
        ["[blue] house"],
    ]


def test_without_words_there_are_none(c: Handle) -> None:
    c.upsert(names(3), gaussian(3), texts=["red"] * 3)
    assert found(c, Near(gaussian(1), "")) == [[], [], []]


def test_the_part_with_most_of_the_words(c: Handle) -> None:
    filler = "lorem ipsum dolor sit amet " * 30
    text = f"{filler}red {filler}a red house with a garden {filler}house {filler}"
    c.upsert(["a"], gaussian(1), texts=[text])
    ((one,),) = found(c, Keyword(["red house garden"]), how=Highlight(characters=80))
    assert "[red] [house] with a [garden]" in one.marked("[", "]")
    assert text[one.offset : one.offset + len(one.text)] == one.text
    assert len(one.text) <= 80
    assert text[one.offset - 1] == " "
    assert text[one.offset + len(one.text)] == " "
    ((first, second, third),) = found(c, Keyword(["red house garden"]), how=Highlight(80, 3))
    assert first.offset < second.offset < third.offset
    assert [len(some.spans) for some in (first, second, third)] == [1, 3, 1]


def test_chinese_is_cut_anywhere_but_in_what_was_asked(c: Handle) -> None:
    filler = "春眠不觉晓处处闻啼鸟" * 20
    c.upsert(["a"], gaussian(1), texts=[f"{filler}向量数据库{filler}"])
    ((one,),) = found(c, Keyword(["向量数据库"]), how=Highlight(characters=20))
    assert len(one.text) == 20
    assert "[向量数据库]" in one.marked("[", "]")


PLACED = st.text("ab 数。é\u0301", min_size=1, max_size=400).flatmap(
    lambda text: st.tuples(st.just(text), st.lists(st.integers(0, len(text)), max_size=12, unique=True).map(sorted))
)


@given(PLACED, st.integers(20, 60), st.integers(1, 4))
def test_snippets_are_parts_of_the_text(placed: tuple[str, list[int]], characters: int, count: int) -> None:
    text, cuts = placed
    pairs = zip(cuts[::2], cuts[1::2], strict=False)
    places = [Place(start, end, frozenset([str(start % 3)])) for start, end in pairs]
    some = snippets("", text, places, Highlight(characters, count))
    assert bool(some) == bool(places)
    assert len(some) <= count
    end = 0
    for one in some:
        assert one.offset >= end
        end = one.offset + len(one.text)
        assert text[one.offset : end] == one.text
        assert 0 < len(one.text) <= characters
        assert one.spans
        before = one.offset
        for a, b in one.spans:
            assert before <= a < b <= end
            before = b
        assert one.marked("", "") == one.text


def test_any_text_that_is_found_is_marked(c: Handle) -> None:
    rng = random.Random(1)
    words = "red house garden node.js c++ 数据库 向量 猫 Café ｒｅｄ".split()
    some = [" ".join(rng.choices(words, k=rng.randint(1, 40))) for _ in range(30)]
    c.upsert(names(30), gaussian(30), texts=some)
    for query in [*words, "数据", "据库", "+数据库 red", '"red house"', "gar*"]:
        leg = Keyword([query], {"": 1.0}, language=True)
        got = found(c, leg)
        assert all(one.spans for hit in got for one in hit)
        assert all(got)


def test_the_deadline_holds(c: Handle, monkeypatch: pytest.MonkeyPatch) -> None:
    c.upsert(names(3), gaussian(3), texts=["red"] * 3)
    request = SearchRequest([Keyword(["red"])], highlight=Highlight())
    look = c.inner._look()
    ranked = look.executor.leg(CallContext(), look.view, request, request.legs[0], 10)
    with pytest.raises(DeadlineExceeded):
        look.executor.answer(CallContext.within(0.0), look.view, request, ranked, 0.0, None)
    assert np.count_nonzero(ranked.counts) == 1
