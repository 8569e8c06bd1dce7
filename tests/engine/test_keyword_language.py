"""The query language: what is a sign, and what is a character like others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecdb.engine.keyword.language import Clause, Sign, only_excludes, parse

SHOULD, MUST, NOT = Sign


def word(text: str, sign: Sign = SHOULD) -> Clause:
    return Clause("words", text, sign)


def phrase(text: str, sign: Sign = SHOULD) -> Clause:
    return Clause("phrase", text, sign)


def prefix(text: str, sign: Sign = SHOULD) -> Clause:
    return Clause("prefix", text, sign)


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("", []),
        ("   \u3000", []),
        ("red blue", [word("red"), word("blue")]),
        ('"red house" +must -not pre*', [phrase("red house"), word("must", MUST), word("not", NOT), prefix("pre")]),
        ('+"a b" -"c d" +e* -f*', [phrase("a b", MUST), phrase("c d", NOT), prefix("e", MUST), prefix("f", NOT)]),
        ("+ - * ** +- -*", []),
        ("wi-fi c++ a*b *a", [word("wi-fi"), word("c++"), word("a*b"), word("*a")]),
        ("a**", [prefix("a")]),
        ("++a --b", [word("+a", MUST), word("-b", NOT)]),
        ('"never closed', [word("never"), word("closed")]),
        ('a "b c" "d', [word("a"), phrase("b c"), word("d")]),
        ('+"never closed', [word("never"), word("closed")]),
        ('red"house door"key', [word("red"), phrase("house door"), word("key")]),
        ('""', []),
        ('" "*', []),
        ('"+a -b*"', [phrase("+a -b*")]),
        (
            "“向量 数据库” ＋索引 －图 数据＊",
            [phrase("向量 数据库"), word("索引", MUST), word("图", NOT), prefix("数据")],
        ),
        ("red\u3000blue", [word("red"), word("blue")]),
    ],
)
def test_by_example(text: str, clauses: list[Clause]) -> None:
    assert list(parse(text)) == clauses


@given(st.text() | st.text('ab+-*"“” ', max_size=20))
def test_every_text_is_a_query(text: str) -> None:
    for clause in parse(text):
        assert clause.text.strip()
        assert clause.text in text
        assert clause.kind == "phrase" or not any(character.isspace() for character in clause.text)


@given(st.text('ab +-*“"', max_size=12).filter(lambda text: not set('+-*“"') & set(text)))
def test_without_signs_all_are_words(text: str) -> None:
    assert parse(text) == tuple(word(part) for part in text.split())


def test_only_excludes() -> None:
    assert only_excludes(parse('-a -"b c" -d*'))
    assert not only_excludes(parse("-a b"))
    assert not only_excludes(parse("-"))
