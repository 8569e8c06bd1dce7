"""What analyzers make of texts, and what must hold for any text."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.docs.pages import read
from vecdb.errors import InvalidArgument
from vecdb.index.analysis import dictionary, folding, language, memory, splitting
from vecdb.index.analysis.analyzer import NAMES, analyzer
from vecdb.index.analysis.column import Column
from vecdb.index.analysis.scripts import HAN, KANA

PAGE = read(Path("docs/analyzers.md"))
EXAMPLES = re.findall(r"^\| `(\w+)` \| `([^`]+)` \| (`.*`) \|$", PAGE, re.MULTILINE)

MULTILINGUAL = analyzer()
TRADITIONAL = analyzer("multilingual", {"fold_traditional": True})
CHINESE, FRENCH, WHITESPACE = analyzer("chinese"), analyzer("french"), analyzer("whitespace")
WITH_ACCENTS = analyzer("multilingual", {"fold_accents": False})

CJK = re.compile(f"[{HAN}{KANA}]")
HAN_RUNS = re.compile(f"[{HAN}]{{2,}}")
# Characters that meet each other: folded apart or together they differ, or they join words.
ODD = (
    "aZé éＡｶﾞがﾡￂㄱㅏ각ﬁǅİıß \u0301\u0307\u200d\u00ad\u3099¨½①㍿⽇々〇数据庫裡的"
    "，。-.'’@&+#_٣३กำ한국のー\n\t\u3000\x1f😀"
)
texts = st.text(st.one_of(st.sampled_from(ODD), st.characters(exclude_categories=("Cs",))), max_size=40)


def terms_in(column: Column) -> list[str]:
    return column.terms.strings(np.arange(len(column.terms)))


@pytest.mark.parametrize(("name", "text", "terms"), EXAMPLES, ids=lambda value: value if len(value) < 40 else "terms")
def test_the_table_of_the_page(name: str, text: str, terms: str) -> None:
    assert analyzer(name).terms(text) == re.findall("`([^`]+)`", terms)


def test_the_page_has_its_examples() -> None:
    assert len(EXAMPLES) >= 15


@pytest.mark.parametrize("name", NAMES)
def test_every_name_makes_an_analyzer_that_the_page_names(name: str) -> None:
    made = analyzer(name)
    assert made.identity == analyzer(name, {}).identity
    assert made.identity.name == name
    assert made.terms("vector database 42") != []
    assert name in PAGE


@given(texts)
@example("ﾡￂ x")
@example("ㄱㅏ나")
@example("e\u200d\u0301a")
def test_terms_and_query_are_those_of_analyze(text: str) -> None:
    for by in (MULTILINGUAL, TRADITIONAL, CHINESE, FRENCH, WHITESPACE):
        analyzed = by.analyze(text)
        assert by.terms(text) == analyzed.index()
        assert by.query(text) == analyzed.query()
        assert set(by.query(text)) <= set(by.terms(text)), "a text is found by itself"
        assert "" not in by.terms(text)


@pytest.mark.parametrize("few", [0, language._FEW])
@given(st.lists(texts, max_size=6))
@example(["数\u200d据库", "数々据", "数据\u3099库の", "⼀数据", "i̇数", "鿿数鿿", "中华人民共和国的我们", "的", "の"])
@example(["Runs (2running), runs! node.js \xa0runs", "", "of THE running", "a" * 200, "x\x1cRunning\x00 'tis ß"])
@example(["数据" * 5_000 + "库", "x " * 20_000 + "数据"])
def test_a_column_counts_the_terms_of_each_text(few: int, column: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(language, "_FEW", few)
        for by in (MULTILINGUAL, TRADITIONAL, CHINESE, FRENCH, WHITESPACE):
            counted = by.column(column)
            held: list[dict[str, int]] = [{} for _ in column]
            for i, term in enumerate(terms_in(counted)):
                begin, end = counted.starts[i], counted.starts[i + 1]
                rows = counted.rows[begin:end].tolist()
                assert rows and rows == sorted(set(rows))
                for row, count in zip(rows, counted.counts[begin:end].tolist(), strict=True):
                    assert term not in held[row]
                    held[row][term] = count
            expected = [Counter(by.terms(text)) for text in column]
            assert held == expected
            assert counted.lengths.tolist() == [counts.total() for counts in expected]


@given(texts)
@example("数,\u0301a;\u3099か。か\u3099!b")
def test_a_long_text_gives_what_its_pieces_give(text: str) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(splitting, "PIECE", 2)
        for by in (MULTILINGUAL, CHINESE, FRENCH):
            column = by.column([text])
            counts = dict(zip(terms_in(column), column.counts.tolist(), strict=True))
            assert counts == Counter(by.terms(text))


def test_words_of_many_runs_are_those_of_each() -> None:
    runs = ["中华人民共和国", "的", "向量数据库" * 1_000, "々〇", "資料庫", "北京大学生前来应聘"] * 3
    words = dictionary.words_of_many(runs)
    assert [word for word in words if word != dictionary.BREAK] == [
        word for run in runs for word in dictionary.words(run)
    ]
    assert words.count(dictionary.BREAK) == len(runs) - 1
    assert dictionary.words_of_many([]) == []


def test_what_folding_passes_over_would_stay_as_it_is() -> None:
    for code in range(0x4E00, 0xA000):
        assert folding.fold(chr(code)) == chr(code)
    every = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    assert [character for character in every if folding.PLACE in folding.fold(character)] == [folding.PLACE]
    assert all(folding.fold(each.lower()) == folding.fold(each) for each in [*every, "ΑΣ", "ΑΣ Σ"])
    assert all(map(splitting.may_hold_cjk, (each for each in every if CJK.search(folding.fold(each)))))
    assert all(folding._NOT_SAME.search(chr(code)) for code in folding._SAME if isinstance(code, int))


@given(texts)
def test_places_are_in_the_text_and_of_what_gives_the_term(text: str) -> None:
    for token in WITH_ACCENTS.analyze(text).tokens:
        assert 0 <= token.start < token.end <= len(text)
        if token.kind != "word" or not token.term.isascii():  # ASCII words are stems
            there = folding.fold(text[token.start : token.end])
            # A piece that several characters fold from stands for each of them.
            assert token.term in there or token.term in folding.fold(text)


@given(st.text("数据庫裡ab １ＡéC+-.が ", max_size=30))
def test_where_pieces_do_not_meet_places_are_exact(text: str) -> None:
    for token in WHITESPACE.analyze(text).tokens:
        assert text[token.start : token.end] == token.term
    for token in WITH_ACCENTS.analyze(text).tokens:
        assert folding.fold(text[token.start : token.end]).startswith(token.term[:1])
        if not token.term.isalpha() or not token.term.isascii():
            assert folding.fold(text[token.start : token.end]) == token.term


@given(texts, st.data())
@example("資料庫與記憶體", None)
def test_any_run_of_han_finds_its_document(text: str, data: st.DataObject | None) -> None:
    for run in HAN_RUNS.findall(text):
        start = 1 if data is None else data.draw(st.integers(0, len(run) - 2))
        end = len(run) if data is None else data.draw(st.integers(start + 2, len(run)))
        for by in (MULTILINGUAL, TRADITIONAL, CHINESE):
            bigrams = {token.term for token in by.analyze(run[start:end]).tokens if token.kind == "bigram"}
            assert bigrams
            assert bigrams <= set(by.terms(text))
            for character in run:
                assert by.query(character), "one character is something to ask for"
                assert set(by.query(character)) <= set(by.terms(text))


@given(texts, texts)
def test_white_space_keeps_texts_apart(one: str, other: str) -> None:
    assert MULTILINGUAL.terms(one + " " + other) == MULTILINGUAL.terms(one) + MULTILINGUAL.terms(other)


@given(texts)
@example("İ\u0307x")
def test_folding_again_changes_nothing(text: str) -> None:
    folded = folding.fold(text)
    assert folding.fold(folded) == folded
    assert len(folding.spans(text, folding.fold)) == len(folded)


@pytest.mark.parametrize(
    ("query", "document"),
    [
        ("hnsw-2024", "the code is HNSW-2024."),
        ("HNSW", "see (hnsw-2024)"),
        ("Ｃ＋＋", "written in C++, not C"),
        ("v1.2.3", "since V1.2.3:"),
        ("node.js", "Node.js"),
        ("li@example.com", "mail <LI@example.com>"),
        ("state of the art", "state-of-the-art"),
        ("c++11", "C++11/C++14"),
        ("猫", "我家的黑猫很大"),
        ("日", "日本語の本"),
        ("ﾃﾞｰﾀ", "データベース"),
        ("검색", "벡터검색엔진"),
    ],
)
def test_a_query_asks_for_what_the_document_has(query: str, document: str) -> None:
    asked = MULTILINGUAL.query(query)
    assert asked
    assert set(asked) <= set(MULTILINGUAL.terms(document))


def test_one_sign_makes_another_word() -> None:
    assert MULTILINGUAL.query("C++") == ["c++"]
    assert MULTILINGUAL.query("C#") == ["c#"]
    assert MULTILINGUAL.query("C") == ["c"]


def test_a_phrase_stands_at_the_same_distances_in_a_document() -> None:
    for phrase, document, is_there in [
        ("数据库系统", "分布式数据库系统论文", True),
        ("库系", "数据库系统", True),
        ("数据系统", "数据库系统", False),
        ("hnsw 索引", "用 HNSW 索引 向量", True),
        ("猫 hnsw", "黑猫 HNSW", True),
        ("fi network", "a Wi-Fi network", True),
        ("network wi-fi", "a Wi-Fi network", False),
    ]:
        wanted = MULTILINGUAL.analyze(phrase).phrase()
        places = {(token.term, token.position) for token in MULTILINGUAL.analyze(document).tokens}
        starts = [position - wanted[0].position for term, position in places if term == wanted[0].term]
        found = any(all((token.term, token.position + by) in places for token in wanted) for by in starts)
        assert found is is_there, (phrase, document)


def test_traditional_is_found_by_simplified_and_by_mainland_words() -> None:
    terms = TRADITIONAL.terms("分散式資料庫與記憶體")
    for query in ("资料库", "数据库", "数据", "記憶體", "内存"):
        assert set(TRADITIONAL.query(query)) & set(terms), query
    assert "数据库" in TRADITIONAL.query("資料庫")
    assert "数据库" not in MULTILINGUAL.terms("資料庫")
    text = "分散式資料庫與記憶體" * 2_000  # in seconds, where comparing it at once would take hours
    assert TRADITIONAL.terms(text).count("内存") > 1_000


def test_places_of_folded_text() -> None:
    text = "①ﬁn ＨＮＳＷ가"
    at = {token.term: text[token.start : token.end] for token in MULTILINGUAL.analyze(text).tokens}
    assert at["hnsw"] == "ＨＮＳＷ"
    assert at["가"] == "가"
    assert at["1fin"] == "①ﬁn"


def test_a_long_word_is_cut_alike() -> None:
    word = "a" * 1_000
    assert MULTILINGUAL.terms(word) == MULTILINGUAL.query(word) == [word[:128]]


def test_what_was_remembered_changes_nothing() -> None:
    by = analyzer("english")
    words = [f"Running-{number}" for number in range(70_000)]  # more than are remembered
    first = by.column(words[:1])
    assert sorted(terms_in(first)) == sorted(by.terms(words[0]))
    assert by.column([" ".join(words)]).lengths.tolist() == [3 * len(words)]
    assert len(by._remembered) <= memory._CHUNKS  # type: ignore[attr-defined]
    assert terms_in(by.column(words[:1])) == terms_in(first)


def test_stop_words_are_left_out_and_keep_their_place() -> None:
    by = analyzer("multilingual", {"stop_words": ["The", "of"]})
    assert by.terms("the state of THE art") == ["state", "art"]
    assert [token.position for token in by.analyze("the state of THE art").tokens] == [1, 4]


@pytest.mark.parametrize(
    ("name", "options", "field", "expected"),
    [
        ("multilingaul", {}, "analyzer", "multilingual"),
        ("english", {"fold_accent": True}, "analyzer.fold_accent", "fold_accents"),
        ("english", {"fold_accents": 1}, "analyzer.fold_accents", "true or false"),
        ("english", {"stop_words": "the"}, "analyzer.stop_words", "a list of words"),
        ("exact", {"fold_accents": True}, "analyzer.fold_accents", "no option"),
    ],
)
def test_what_is_unknown_is_refused(name: str, options: dict[str, object], field: str, expected: str) -> None:
    with pytest.raises(InvalidArgument, match=expected) as refused:
        analyzer(name, options)
    assert refused.value.field == field
    assert refused.value.expected is not None
    assert refused.value.received is not None


def test_the_nearest_name_is_told() -> None:
    with pytest.raises(InvalidArgument, match="did you mean multilingual"):
        analyzer("multilingaul")


def test_equal_settings_have_equal_identities() -> None:
    one = analyzer("german", {"stop_words": ["der"], "fold_accents": False}).identity
    assert one == analyzer("german", {"fold_accents": False, "stop_words": ("der",)}).identity
    assert one != analyzer("german", {"fold_accents": False}).identity
    assert hash(one) is not None
