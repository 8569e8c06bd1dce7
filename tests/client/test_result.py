"""What comes back: a lazy sequence that prints, slices, pickles and compares."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from vecdb.client import parse
from vecdb.model.hit import Hit, Point, SearchResult, points_in
from vecdb.model.point import Points, VectorColumn
from vecdb.model.query import SearchAnswer
from vecdb.model.table import table


def answer(**more: object) -> SearchAnswer:
    """Two queries: three hits, then one."""
    points = Points(
        ids=["a", "b", "c", "d"],
        versions=np.array([1, 2, 3, 2**64 - 1], np.uint64),
        payloads=[b'{"n":1}', None, b'{"n":{"deep":[true]}}', b"{}"],
        texts={"": ["first", None, "text 文字 of the\nthird", None], "title": [None, "T", None, None]},
        vectors={"": VectorColumn(np.array([[1, 2], [3, 4]], np.float32), np.array([1, 3]))},
    )
    given = {
        "counts": np.array([3, 1]),
        "scores": np.array([0.9, 0.5, 0.25, 1], np.float32),
        "distances": np.array([0.1, 0.5, 0.75, 0], np.float32),
        "points": points,
        "seq": 42,
        "took_ms": 1.25,
        "warnings": ["slow"],
        **more,
    }
    return SearchAnswer(**given)  # type: ignore[arg-type]


@pytest.fixture
def result() -> SearchResult:
    return parse.results(answer())[0]


def test_each_query_has_its_own_hits() -> None:
    first, second = parse.results(answer())
    assert (first.ids, second.ids) == (["a", "b", "c"], ["d"])
    assert second[0] == Hit("d", 2**64 - 1, b"{}", {}, {"": np.array([3, 4], np.float32)}, 1.0, 0.0)
    assert (first.seq, first.took_ms, first.explain, first.warnings) == (42, 1.25, None, ["slow"])
    assert parse.results(answer(counts=np.array([0, 4])))[0].ids == []


def test_it_is_a_sequence(result: SearchResult) -> None:
    assert len(result) == 3
    assert [hit.id for hit in result] == result.ids == [result[i].id for i in range(3)]
    assert result[-1].id == "c"
    assert [hit.id for hit in result[1:]] == ["b", "c"]
    assert [hit.id for hit in reversed(result)] == ["c", "b", "a"]
    assert result[1] in result
    assert result
    with pytest.raises(IndexError):
        result[3]


def test_a_hit_says_everything(result: SearchResult) -> None:
    first, second, third = result
    assert (first.id, first.version, first.payload, first.text) == ("a", 1, {"n": 1}, "first")
    assert (first.score, first.distance) == (pytest.approx(0.9), pytest.approx(0.1))
    assert first.vector is None
    assert (second.payload, second.text, second.texts) == (None, None, {"title": "T"})
    assert second.vector is not None
    assert second.vector.tolist() == [1, 2]
    assert third.payload == {"n": {"deep": [True]}}
    assert third.payload is third.payload  # parsed once
    assert {type(first.id), type(first.version), type(first.score)} == {str, int, float}


def test_a_fused_hit_has_no_distance() -> None:
    hit = parse.results(answer(distances=None))[0][0]
    assert hit.distance is None


def test_a_hit_does_not_keep_the_columns(result: SearchResult) -> None:
    vector = result[1].vector
    assert vector is not None
    assert vector.base is None


def test_what_was_not_asked_for_is_none() -> None:
    lean = Points(["a"], np.array([1], np.uint64))
    (hit,) = parse.results(answer(counts=np.array([1]), points=lean))[0]
    assert (hit.payload, hit.text, hit.vector, hit.texts, hit.vectors) == (None, None, None, {}, {})


def test_it_prints_as_a_table(result: SearchResult) -> None:
    assert str(result).splitlines() == [
        "id  score   distance  text                    text title  payload",
        'a   0.9000  0.1000    first                               {"n":1}',
        "b   0.5000  0.5000                            T",
        'c   0.2500  0.7500    text 文字 of the third              {"n":{"deep":[true]}}',
        "3 hits in 1.2 ms, seq 42",
        "warning: slow",
    ]


def test_a_long_result_prints_its_beginning() -> None:
    n = 50
    points = Points([str(i) for i in range(n)], np.ones(n, np.uint64))
    scores = np.ones(n, np.float32)
    (result,) = parse.results(answer(counts=np.array([n]), points=points, scores=scores, distances=None, warnings=[]))
    lines = str(result).splitlines()
    assert lines[-2:] == ["... and 30 more", "50 hits in 1.2 ms, seq 42"]
    assert len(lines) == 1 + 20 + 2
    empty = parse.results(answer(counts=np.array([0, 4]), warnings=[]))[0]
    assert str(empty) == "0 hits in 1.2 ms, seq 42"


def test_cells_are_one_line_of_forty_columns() -> None:
    (heading, *rows) = table(
        {"x": ["a" * 41, "语" * 30, "a\tb\x1b[31m", "e\u0301" * 40, ""], "y": ["|"] * 5}
    ).splitlines()
    assert heading == "x" + " " * 41 + "y"
    assert rows[0] == "a" * 39 + "…  |"
    assert rows[1] == "语" * 19 + "…   |"
    assert rows[2].startswith("a b [31m ")
    assert rows[3] == "e\u0301" * 40 + "  |"


def test_it_can_be_pickled(result: SearchResult) -> None:
    back = pickle.loads(pickle.dumps(result))
    assert list(back) == list(result)
    assert repr(back) == repr(result)
    hit = pickle.loads(pickle.dumps(result[1]))
    assert hit == result[1]
    assert hit.vector.tolist() == [1, 2]


def test_points_compare_by_all_they_hold() -> None:
    def point(**more: object) -> Point:
        given = {"id": "a", "version": 1, "json": b'{"x":1}', "texts": {}, "vectors": {"": np.ones(2)}, **more}
        return Point(**given)  # type: ignore[arg-type]

    assert point() == point()
    assert hash(point()) == hash(point())
    assert point(json=b'{ "x": 1 }') == point()
    for other in (
        point(id="b"),
        point(version=2),
        point(json=None),
        point(texts={"": "t"}),
        point(vectors={}),
        point(vectors={"": np.zeros(2)}),
        "a",
    ):
        assert point() != other


def test_a_point_shows_what_it_holds() -> None:
    (a, b, *_) = points_in(answer().points)
    assert repr(a) == "Point(id='a', payload={'n': 1}, text='first', version=1)"
    assert repr(b).startswith("Point(id='b', payload=None, texts['title']='T', vector=array([1., 2.]")
