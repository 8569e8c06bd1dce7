"""What comes back: a lazy sequence that prints, slices, pickles and compares."""

from __future__ import annotations

import copy
import pickle
import sys

import numpy as np
import pytest

from vecdb import errors
from vecdb.client import parse
from vecdb.client.near import Near
from vecdb.model.collection import CollectionInfo, CollectionStats, DatabaseStats, SegmentStats
from vecdb.model.hit import Hit, Page, Point, SearchResult, points_in
from vecdb.model.info import Limits, ServerInfo
from vecdb.model.point import Points, VectorColumn, WriteResult
from vecdb.model.query import SearchAnswer
from vecdb.model.schema import Schema, VectorField
from vecdb.model.table import table

SEGMENT = SegmentStats(1, "sealed", {"": "hnsw"}, 9, 1, 2, 3, 4)


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


@pytest.mark.parametrize(
    "value",
    [
        points_in(answer().points),
        list(parse.results(answer())[0]),
        WriteResult(7, 3),
        Page(points_in(answer().points), "cursor"),
        CollectionInfo("docs", Schema({"": VectorField(2, "dot", model="m")}), "auto", 1, 2, ("a",)),
        CollectionStats("docs", 1, 0, 1, 0, "auto", "ready", 9, {"disk": 1}, [SEGMENT], 1.0, 0.0),
        DatabaseStats(1, 1, 9, None, {"resident": 1}),
        ServerInfo(version="9", limits=Limits(message_bytes=7)),
        Near([1.0, 2.0], "image", 2.0),
    ],
)
def test_every_result_can_be_pickled_and_copied(value: object) -> None:
    for back in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
        assert type(back) is type(value)
        assert repr(back) == repr(value)
        assert isinstance(value, Near) or back == value


def test_a_search_result_can_be_pickled_and_copied(result: SearchResult) -> None:
    for back in (pickle.loads(pickle.dumps(result)), copy.copy(result), copy.deepcopy(result)):
        assert list(back) == list(result)
        assert back.scores.tolist() == result.scores.tolist()
        assert repr(back) == repr(result)


@pytest.mark.parametrize(
    "error",
    [
        errors.DimensionMismatch("bad", field="vectors[3]", expected="4", received="2"),
        errors.IndexingBehind("later", retry_after_s=1.5),
        errors.PartialWrite(3, 3, errors.ReadOnly("disk", expected="a disk")),
    ],
)
def test_errors_can_be_pickled_and_copied(error: errors.VecdbError) -> None:
    for back in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(back) is type(error)
        assert (str(back), back.reason, back.field, back.retry_after_s) == (
            str(error),
            error.reason,
            error.field,
            error.retry_after_s,
        )
        if isinstance(error, errors.PartialWrite):
            assert (back.written, back.next_index, type(back.cause)) == (3, 3, errors.ReadOnly)
            assert back.cause.expected == "a disk"


def test_it_becomes_a_data_frame() -> None:
    pytest.importorskip("pandas")
    frame = parse.results(answer())[0].to_pandas()
    assert list(frame) == ["id", "score", "distance", "payload", "text", "text title", "vector", "version"]
    assert frame["id"].tolist() == ["a", "b", "c"]
    assert frame["score"].dtype == np.float32
    assert frame["payload"].tolist() == [{"n": 1}, None, {"n": {"deep": [True]}}]
    assert frame["text title"][1] == "T"
    assert (frame["vector"][0], frame["vector"][1].tolist()) == (None, [1, 2])
    assert frame["version"].tolist() == [1, 2, 3]
    lean = Points(["a"], np.array([1], np.uint64))
    fused = parse.results(answer(counts=np.array([1]), points=lean, scores=np.ones(1, np.float32), distances=None))
    assert list(fused[0].to_pandas()) == ["id", "score", "version"]
    assert len(parse.results(answer(counts=np.array([0, 4])))[0].to_pandas()) == 0


def test_without_pandas_it_says_how_to_install_it(result: SearchResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(errors.FailedPrecondition) as refused:
        result.to_pandas()
    assert "pip install pandas" in str(refused.value)


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
