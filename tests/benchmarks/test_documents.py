"""Made documents are what their workload says, and what was written and not found is noticed."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import documents, mixed
from benchmarks.judged import ndcg, recall
from vecdb.index.analysis.analyzer import analyzer

RANKS = np.unique(np.geomspace(1, documents.VOCABULARY, 2_000).astype(np.int64)) - 1


def test_every_rank_is_a_word_of_its_own_that_no_stemmer_changes() -> None:
    words = [documents.word(int(rank)) for rank in RANKS]
    assert len(set(words)) == len(RANKS)
    by = analyzer()
    assert all(by.terms(word) == [word] for word in words)
    assert documents.texts(RANKS[:2][None]) == [f"{words[0]} {words[1]} "]


def test_documents_have_so_many_words_and_common_ones_are_common() -> None:
    texts = [text for batch in documents.english(2_000) for text in batch]
    counts = Counter(word for text in texts for word in text.split())
    assert all(len(text.split()) == documents.WORDS for text in texts)
    assert texts == [text for batch in documents.english(2_000) for text in batch]
    first, tenth = counts[documents.word(0)], counts[documents.word(9)]
    assert 4 < first / tenth < 12, "the tenth word is seen about a seventh as often as the first"
    assert [len(ids) for ids, _ in documents.numbered(documents.english(2_500))] == [1_000, 1_000, 500]


def test_no_query_is_asked_twice() -> None:
    asked = list(islice(documents.queries(), 5_000))
    assert len(set(asked)) == len(asked)
    assert all(len(text.split()) == 3 for text in asked)


class _Docs:
    """Finds what was written, but for the ids in ``lost``."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.lost: set[str] = set()

    def upsert(self, ids: list[str], texts: list[str], payloads: Any) -> None:
        self.texts[ids[0]] = texts[0]

    def search(self, text: str, limit: int) -> Any:
        words = set(text.split())
        found = [i for i, held in self.texts.items() if words & {held.split()[0]} and i not in self.lost]
        return SimpleNamespace(ids=found[:limit])


@pytest.mark.parametrize("lost", [0, 2])
def test_a_write_that_the_next_search_does_not_find_is_missing(lost: int) -> None:
    docs = _Docs()
    both = mixed.Written(docs)
    for _ in range(5):
        both.write()
    docs.lost = set(list(docs.texts)[:lost])
    both.search()
    both.search()  # each is looked for once
    assert (both.found.looked_for, both.found.missing) == (5, lost)


def test_calls_are_made_at_their_rate() -> None:
    made: list[int] = []
    observed = mixed.Observed()
    mixed.paced(lambda: made.append(1), a_second=1_000.0, seconds=0.02, observed=observed)
    assert len(made) == len(observed.taken) == 20
    assert observed.late >= 0.0


def test_measures_of_an_answer() -> None:
    assert ndcg([2.0, 0.0, 1.0], [2.0, 1.0, 0.0]) == pytest.approx((2 + 1 / 2) / (2 + 1 / np.log2(3)))
    assert ndcg([0.0] * 10 + [1.0], [1.0]) == 0.0
    assert recall([0.0, 1.0], [1.0, 2.0]) == 0.5
