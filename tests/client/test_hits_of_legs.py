"""What a hit says of its legs and of the words in it; and hits at other places of a result."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from tests.client.test_result import answer
from vecdb import Snippet
from vecdb.client import parse
from vecdb.model.hit import SearchResult
from vecdb.model.query import LegColumns, SearchAnswer

SNIPPETS = [
    [Snippet("", "用faiss建索引", 4, [(5, 10), (11, 13)])],
    [],
    [Snippet("title", "one", 0, [(0, 3)]), Snippet("", "two one", 10, [(14, 17)])],
    [Snippet("", "fourth", 0, [])],
]


def fused() -> SearchAnswer:
    """As ``answer``, of two legs and with snippets."""
    near = LegColumns(np.array([1, 0, 2, 1], np.uint32), np.array([0.9, np.nan, 0.5, 0.25], np.float32))
    words = LegColumns(np.array([2, 1, 0, 0], np.uint32), np.array([3.5, 7, np.nan, np.nan], np.float32))
    return answer(distances=None, legs=[near, words], snippets=SNIPPETS, warnings=[])


@pytest.fixture
def result() -> SearchResult:
    return parse.results(fused())[0]


def test_each_query_has_its_own() -> None:
    first, second = parse.results(fused())
    assert [hit.legs for hit in first] == [
        [(1, pytest.approx(0.9)), (2, 3.5)],
        [(None, None), (1, 7.0)],
        [(2, 0.5), (None, None)],
    ]
    assert second[0].legs == [(1, 0.25), (None, None)]
    assert [hit.snippets for hit in first] == SNIPPETS[:3]
    assert second[0].snippets == SNIPPETS[3]
    assert (first[0].legs[0].rank, first[1].legs[0].score) == (1, None)
    assert {type(first[0].legs[0].rank), type(first[0].legs[0].score)} == {int, float}
    plain = parse.results(answer())[0][0]
    assert (plain.legs, plain.snippets, plain.rerank_score) == (None, None, None)


def test_a_snippet_marks_characters() -> None:
    assert SNIPPETS[0][0].marked() == "用**faiss**建**索引**"
    assert SNIPPETS[2][1].marked("<b>", "</b>") == "two <b>one</b>"
    assert SNIPPETS[3][0].marked() == "fourth"


def test_it_prints_them(result: SearchResult) -> None:
    lines = repr(result).splitlines()
    assert lines[0].split()[:8] == ["id", "score", "leg", "0", "leg", "1", "snippets", "text"]
    assert lines[1].split()[:6] == ["a", "0.9000", "0.9000", "#1", "3.5000", "#2"]
    assert "用**faiss**建**索引**" in lines[1]
    assert lines[2].split()[:4] == ["b", "0.5000", "7.0000", "#1"]
    assert "**one** … two **one**" in lines[3]
    assert "nan" not in repr(result)
    assert "legs=[InLeg(rank=1," in repr(result[0])


def test_a_data_frame_has_them(result: SearchResult) -> None:
    frame = result.to_pandas()
    assert list(frame.columns)[:7] == [
        "id",
        "score",
        "leg 0 rank",
        "leg 0 score",
        "leg 1 rank",
        "leg 1 score",
        "snippets",
    ]
    assert frame["leg 0 rank"].tolist()[::2] == [1.0, 2.0]
    assert frame["leg 0 rank"].isna().tolist() == [False, True, False]
    assert frame["leg 0 score"].isna().tolist() == [False, True, False]
    assert frame["snippets"].tolist() == SNIPPETS[:3]


def test_hits_at_other_places(result: SearchResult) -> None:
    for order in ([2, 0, 1], [1], [2, 1], []):
        chosen = result.at(np.array(order, dtype=np.int64))
        assert list(chosen) == [result[i] for i in order]
    assert list(pickle.loads(pickle.dumps(result))) == list(result)


def test_equal_hits_have_equal_legs(result: SearchResult) -> None:
    other = parse.results(answer(distances=None, snippets=SNIPPETS, warnings=[]))[0]
    assert result[0] == result[0]
    assert result[0] != other[0]
