"""What people give as ids, vectors, texts and payloads: taken if it is exact, refused by its row if not."""

from __future__ import annotations

import datetime
import decimal
import uuid

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecdb.client.ids import to_ids
from vecdb.client.payloads import to_payloads
from vecdb.client.texts import to_texts
from vecdb.client.vectors import to_columns, to_matrix, to_query
from vecdb.errors import DimensionMismatch, InvalidArgument, InvalidVector

# -- ids --


def test_ids_become_strings_in_canonical_form() -> None:
    number = uuid.UUID("12345678-1234-5678-1234-567812345678")
    given = ["a", 7, -1, number, np.int64(5), np.uint8(6), np.str_("b"), 10**30]
    assert to_ids(given) == ["a", "7", "-1", str(number), "5", "6", "b", str(10**30)]
    assert {type(id) for id in to_ids(given)} == {str}


@pytest.mark.parametrize(
    "given", [range(3), np.arange(3), (i for i in range(3)), {0: "x", 1: "y", 2: "z"}.keys(), (0, 1, 2)]
)
def test_ids_may_be_any_list(given: object) -> None:
    assert to_ids(given) == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ("abc", "ids"),
        (b"abc", "ids"),
        ({"a": 1}, "ids"),
        (7, "ids"),
        (None, "ids"),
        (["a", 1.0], "ids[1]"),
        (["a", True], "ids[1]"),
        (["a", None], "ids[1]"),
        ([b"a"], "ids[0]"),
        ([np.float32(1)], "ids[0]"),
        (np.zeros((2, 2), int), "ids[0]"),
        (["a", "b\ud800"], "ids[1]"),
        (["\ud83d", "\ude00"], "ids[0]"),
    ],
)
def test_what_is_no_id_is_refused(given: object, field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        to_ids(given)
    assert refused.value.field == field


# -- vectors --


@pytest.mark.parametrize(
    "given",
    [
        [[1, 2], [3, 4]],
        ((1.0, 2.0), (3.0, 4.0)),
        [np.array([1, 2]), np.array([3, 4])],
        map(list, ((1, 2), (3, 4))),
        *(np.array([[1, 2], [3, 4]], dtype) for dtype in ("f2", "f4", "f8", "i1", "u2", "i8", ">f4", ">f8")),
        np.asfortranarray(np.array([[1, 2], [3, 4]], np.float64)),
        np.array([[1, 9, 2, 9], [3, 9, 4, 9]], np.float32)[:, ::2],
        [[1, np.float64(2)], [3, 4]],
    ],
    ids=lambda given: "map" if isinstance(given, map) else repr(given),
)
def test_vectors_become_float32(given: object) -> None:
    column = to_columns(given, 2)[None]
    assert column.rows is None
    assert column.data.dtype == np.float32
    assert column.data.flags.c_contiguous
    assert column.data.tolist() == [[1, 2], [3, 4]]


def test_a_list_may_have_gaps() -> None:
    column = to_columns([None, [1, 2], None, [3, 4]], 4)[None]
    assert column.rows is not None
    assert column.rows.tolist() == [1, 3]
    assert column.data.tolist() == [[1, 2], [3, 4]]


def test_an_array_of_objects_may_be_a_list_of_vectors() -> None:
    given = np.empty(3, object)
    given[0], given[2] = [1, 2], np.array([3, 4])
    column = to_columns(given, 3)[None]
    assert column.rows is not None
    assert column.rows.tolist() == [0, 2]


def test_fields_have_columns_of_their_own() -> None:
    columns = to_columns({"": [[1], [2]], "image": [None, [1, 2, 3]], "none": [None, None]}, 2)
    assert sorted(columns) == ["", "image"]
    assert columns["image"].data.shape == (1, 3)


@pytest.mark.parametrize("given", [None, [], {}, {"": []}, np.zeros((0, 3))])
def test_no_vectors_are_no_column(given: object) -> None:
    assert to_columns(given, 0) == {}


V = 'vectors[""]'


@pytest.mark.parametrize(
    ("given", "kind", "field"),
    [
        ([[1, 2], [3]], DimensionMismatch, f"{V}[1]"),
        ([None, [1, 2], [3]], DimensionMismatch, f"{V}[2]"),
        ([[1, 2], 3], InvalidArgument, f"{V}[1]"),
        ([[1, "a"], [2, 3]], InvalidArgument, V),
        ([["1", "2"], ["3", "4"]], InvalidArgument, V),
        ([[True, False], [True, True]], InvalidArgument, V),
        ([[1j, 2], [3, 4]], InvalidArgument, V),
        ([[decimal.Decimal(1)], [2]], InvalidArgument, V),
        ([[10**30, 1], [2, 3]], InvalidArgument, V),
        ([[[1]], [[2]]], InvalidArgument, V),
        ([1, 2], InvalidArgument, V),
        ("ab", InvalidArgument, V),
        (b"ab", InvalidArgument, V),
        (5, InvalidArgument, V),
        ({"image": [[1], [np.nan]]}, InvalidVector, 'vectors["image"][1]'),
        ([None, [1, np.inf]], InvalidVector, f"{V}[1]"),
        ([[1, 2], [1e39, 0]], InvalidVector, f"{V}[1]"),
        ([[1, 2]], InvalidArgument, V),
        ([[1, 2]] * 3, InvalidArgument, V),
    ],
)
def test_what_are_no_vectors_is_refused(given: object, kind: type, field: str) -> None:
    n = 3 if isinstance(given, list) and given[0] is None and len(given) == 3 else 2
    with pytest.raises(kind) as refused:
        to_columns(given, n)
    assert type(refused.value) is kind
    assert refused.value.field == field
    assert refused.value.expected
    assert refused.value.received


def test_a_query_is_one_vector() -> None:
    for query in ([1, 2], np.array([1, 2]), [[1, 2]], np.array([[1, 2]])):
        assert to_query(query, "vector").tolist() == [[1, 2]]
    for wrong in ([[1, 2], [3, 4]], 5, "ab", [[[1]]], [None]):
        with pytest.raises(InvalidArgument):
            to_query(wrong, "vector")


def test_a_matrix_of_queries() -> None:
    assert to_matrix(([x, x] for x in (1, 2)), "vectors").shape == (2, 2)
    for wrong in ("ab", {"": [[1]]}, [1, 2], [None, [1]]):
        with pytest.raises(InvalidArgument):
            to_matrix(wrong, "vectors")


# -- texts --


def test_texts() -> None:
    assert to_texts(None, 2) == {}
    assert to_texts(["a", None], 2) == {"": ["a", None]}
    assert to_texts({"title": ("", "文"), "": np.array(["x", "y"])}, 2) == {"title": ["", "文"], "": ["x", "y"]}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ("ab", 'texts[""]'),
        (["a"], 'texts[""]'),
        (["a", 1], 'texts[""][1]'),
        ({"t": [b"a", "b"]}, 'texts["t"][0]'),
        (["a", "\udfff"], 'texts[""][1]'),
        (7, 'texts[""]'),
    ],
)
def test_what_are_no_texts_is_refused(given: object, field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        to_texts(given, 2)
    assert refused.value.field == field


# -- payloads --

json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), json))
def test_a_payload_comes_back_exactly(payload: dict[str, object]) -> None:
    (encoded,) = to_payloads([payload], 1)
    back = orjson.loads(encoded)
    assert repr(back) == repr(payload)  # repr tells 1 from 1.0 and True


def test_payloads_may_have_gaps_and_values_of_numpy() -> None:
    assert to_payloads(None, 3) is None
    assert to_payloads([{"a": np.int64(1), "b": np.array([1.5, 2])}, None], 2) == [b'{"a":1,"b":[1.5,2.0]}', None]
    when = datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC)
    assert to_payloads([{"when": when}], 1) == [b'{"when":"2024-01-02T00:00:00+00:00"}']


def test_null_is_not_mistaken_for_nan() -> None:
    assert to_payloads([{"a": None, "b": "null", "c": [None, {"d": None}]}], 1) is not None


@pytest.mark.parametrize(
    "payload",
    [
        {"a": float("nan")},
        {"a": [1, {"b": float("inf")}]},
        {"a": (float("-inf"),)},
        {"a": np.float32("nan")},
        {"a": np.array([1, np.nan])},
        {1: "a"},
        {None: 1},
        {"a": 2**64},
        {"a": -(2**63) - 1},
        {"a": {1, 2}},
        {"a": ...},
        {"a": b"bytes"},
        {"a": "\ud800"},
        {"a": decimal.Decimal("1.1")},
        [1],
        "text",
        7,
        b"{}",
    ],
    ids=repr,
)
def test_what_json_cannot_keep_is_refused(payload: object) -> None:
    with pytest.raises(InvalidArgument) as refused:
        to_payloads([{}, payload], 2)
    assert refused.value.field == "payloads[1]"


def test_a_payload_that_holds_itself_is_refused() -> None:
    endless: dict[str, object] = {}
    endless["a"] = endless
    with pytest.raises(InvalidArgument):
        to_payloads([endless], 1)


@pytest.mark.parametrize("given", [{"a": 1}, "text", 7, [{}], [{}, {}, {}]])
def test_what_are_no_payloads_is_refused(given: object) -> None:
    with pytest.raises(InvalidArgument) as refused:
        to_payloads(given, 2)
    assert refused.value.field == "payloads"
