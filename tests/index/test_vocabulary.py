"""Terms that are numbered as they come, against a dict."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vecdb.index import packed
from vecdb.index.packed import PackedTerms
from vecdb.index.postings.vocabulary import NONE, Vocabulary

words = st.text("a\0数z", max_size=20)


def by_the_first_bytes(terms: PackedTerms) -> packed.UInt64:
    """Hashes that meet wherever terms of one size begin alike."""
    return packed._mixed(terms.sizes().astype(np.uint64), terms.words())


@pytest.fixture(params=["hashes", "hashes that meet"])
def hashed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "hashes that meet":
        monkeypatch.setattr(PackedTerms, "hashes", by_the_first_bytes)


def numbered(vocabulary: Vocabulary, known: dict[str, int], terms: list[str]) -> None:
    """Number some terms, and compare with what a dict gives."""
    some = PackedTerms.of(terms)
    firsts, places, hashes = some.distinct()
    distinct = some.take(firsts)
    assert sorted(distinct.strings(np.arange(len(distinct)))) == sorted(set(terms))
    assert [terms[i] for i in firsts[places].tolist()] == terms
    numbers = vocabulary.numbered(distinct, hashes)
    for term, number in zip(distinct.strings(np.arange(len(distinct))), numbers.tolist(), strict=True):
        assert known.setdefault(term, len(known)) == number
    assert len(vocabulary) == len(known)
    assert vocabulary.terms.strings(np.arange(len(known))) == list(known)


@given(st.lists(st.lists(words, max_size=12), max_size=5))
@example([["abcdefgh1", "abcdefgh2", "a" * 256 + "b", "a" * 256 + "c"], ["abcdefgh3", "", "\0", "\0\0"]])
def test_terms_get_numbers_as_they_come(columns: list[list[str]]) -> None:
    vocabulary, known = Vocabulary(), dict[str, int]()
    for terms in columns:
        numbered(vocabulary, known, terms)
    asked = ["nowhere", *known]
    assert vocabulary.find(PackedTerms.of(asked)).tolist() == [int(NONE), *known.values()]


def test_terms_are_found_when_the_table_has_grown(hashed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vecdb.index.postings.vocabulary._FIRST_BITS", 2)
    random, vocabulary, known = Random(0), Vocabulary(), dict[str, int]()
    for _ in range(20):
        numbered(vocabulary, known, [f"beginning{random.randrange(200)}" for _ in range(20)])
    asked = [f"beginning{number}" for number in range(200)]
    expected = [known.get(term, int(NONE)) for term in asked]
    assert vocabulary.find(PackedTerms.of(asked)).tolist() == expected
