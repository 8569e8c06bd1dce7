"""Filters as dicts, as F and on the wire are one tree; what is malformed is refused where it stands."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings

from tests.filters.trees import refusal, trees
from vecdb.errors import InvalidArgument
from vecdb.model.filter import And, Exists, Facts, Filter, HasVector, Not, Or, Text, from_dict, matches, to_dict
from vecdb.model.filter.expression import F
from vecdb.v1 import filter_pb2
from vecdb.wire.convert.filters import filter_from_proto, filter_to_proto, filters_from_proto, filters_to_proto

TREES = trees(["", "title"], ["", "image"])


@settings(max_examples=400)
@given(TREES)
def test_a_tree_is_its_dict_its_json_and_its_message(tree: Filter) -> None:
    written = to_dict(tree)
    assert from_dict(written) == tree
    assert from_dict(json.loads(json.dumps(written))) == tree
    message = filter_to_proto(tree)
    assert message is not None
    assert filter_from_proto(filter_pb2.Filter.FromString(message.SerializeToString()), "filter") == tree


def test_one_filter_for_each_query_crosses_with_gaps() -> None:
    filters = [F("n") == 1, None, And(())]
    assert filters_from_proto(filters_to_proto(filters), "query_filters") == filters
    assert filters_from_proto(filters_to_proto(None), "query_filters") is None


CET = timezone(timedelta(hours=1))
PAIRS: list[tuple[dict[str, Any], Filter]] = [
    ({}, And(())),
    ({"lang": "zh"}, F("lang") == "zh"),
    (
        {"lang": "zh", "year": {"$gte": 2020, "$lt": 2024}},
        (F("lang") == "zh") & (F("year") >= 2020) & (F("year") < 2024),
    ),
    ({"tags": [1, [2]]}, F("tags") == [1, [2]]),
    ({"tags": {"$eq": (1, 2)}}, F("tags") == (1, 2)),
    ({"year": {"$ne": 1}}, F("year") != 1),
    ({"year": {"$gt": 1}}, F("year") > 1),
    ({"year": {"$lte": 1.5}}, F("year") <= 1.5),
    ({"year": {"$not": {"$gt": 5, "$lt": 9}}}, ~((F("year") > 5) & (F("year") < 9))),
    ({"lang": {"$in": ["a", None]}}, F("lang").is_in(["a", None])),
    ({"lang": {"$any": ["a"]}}, F("lang").any(["a"])),
    ({"lang": {"$nin": ["a"]}}, F("lang").not_in(["a"])),
    ({"tags": {"$all": ["a", "b"]}}, F("tags").all(["a", "b"])),
    ({"a.b": {"$exists": True}}, F(["a", "b"]).exists()),
    ({"a": {"$exists": False}}, ~Exists(("a",))),
    ({"a": {"$is_null": False}}, ~F("a").is_null()),
    ({"a": {"$prefix": "x"}}, F("a").prefix("x")),
    ({"a\\.b": 1}, F(["a.b"]) == 1),
    ({"\\$id": 1}, F(["$id"]) == 1),
    ({"$id": {"$in": [7, "a"]}}, F("$id").is_in(["7", "a"])),
    ({"$version": {"$gt": 7}}, F("$version") > 7),
    ({"$text": "a b"}, F.text("a b")),
    ({"$text": {"title": "a", "": "b"}}, And((Text("title", "a"), Text("", "b")))),
    ({"$has_vector": "image"}, F.has_vector("image")),
    ({"$has_vector": True}, F.has_vector()),
    ({"$has_vector": False}, Not(HasVector(""))),
    ({"$and": [{"a": 1}]}, And((F("a") == 1,))),
    ({"$or": [{"a": 1}, {"b": 2}]}, (F("a") == 1) | (F("b") == 2)),
    ({"$or": []}, Or(())),
    ({"$not": {"a": 1}}, ~(F("a") == 1)),
    ({"at": datetime(2024, 1, 1, 1, tzinfo=CET)}, F("at") == datetime(2024, 1, 1, tzinfo=UTC)),
    ({"at": {"$gt": datetime(2024, 1, 1, 1, tzinfo=CET)}}, F("at") > "2024-01-01T00:00:00Z"),
]


@pytest.mark.parametrize(("written", "expression"), PAIRS, ids=lambda given: str(given) if type(given) is dict else "")
def test_dicts_and_expressions_are_equal(written: dict[str, Any], expression: Filter) -> None:
    assert from_dict(written) == expression


def test_a_datetime_equals_the_same_moment_written_otherwise() -> None:
    moment = from_dict({"at": datetime(2024, 1, 1, 1, tzinfo=CET)})
    assert matches(moment, Facts("a", payload={"at": "2024-01-01T03:00:00+03:00"}))
    assert not matches(moment, Facts("a", payload={"at": "2024-01-01T03:00:00+02:00"}))


def test_a_long_chain_of_expressions_is_flat() -> None:
    parts = [F("n") == i for i in range(500)]
    joined, chosen = parts[0], parts[0]
    for part in parts[1:]:
        joined, chosen = joined & part, chosen | part
    assert (joined, chosen) == (And(tuple(parts)), Or(tuple(parts)))


def nested(depth: int) -> dict[str, Any]:
    out: dict[str, Any] = {"a": 1}
    for _ in range(depth):
        out = {"$not": out}
    return out


deep: Any = 1
for _ in range(2_000):
    deep = [deep]

REFUSED: dict[str, tuple[Any, str, str]] = {
    "no object": (5, "filter", "an object"),
    "a list": ([], "filter", "an object"),
    "a typo": ({"a": {"$gtt": 5}}, "filter.a.$gtt", "$gt"),
    "a typo on top": ({"$adn": []}, "filter.$adn", "$and"),
    "an operator on top": ({"$gt": 5}, "filter.$gt", '{"key": {"$gt": ...}}'),
    "an unknown operator": ({"a": {"$where": "x"}}, "filter.a.$where", "$eq"),
    "$where": ({"$where": "1"}, "filter.$where", "$and | $or"),
    "an object": ({"a": {"b": 1}}, "filter.a", '"a.b"'),
    "no operator": ({"a": {}}, "filter.a", "$eq | $ne"),
    "an object as operand": ({"a": {"$eq": {"b": 1}}}, "filter.a.$eq", "a string, number"),
    "a number for a list": ({"a": {"$in": 5}}, "filter.a.$in", "a list"),
    "a string for a list": ({"a": {"$all": "ab"}}, "filter.a.$all", "a list"),
    "null in order": ({"$and": [{"x": 1}, {"y": {"$gt": None}}]}, "filter.$and[1].y.$gt", "a number or a string"),
    "true in order": ({"y": {"$lt": True}}, "filter.y.$lt", "a number or a string"),
    "an array in order": ({"y": {"$lt": [1]}}, "filter.y.$lt", "a string, number"),
    "$or of one": ({"$or": {"a": 1}}, "filter.$or", "a list"),
    "$not of a list": ({"$or": [{"$not": []}]}, "filter.$or[0].$not", "an object"),
    "$not of a value": ({"a": {"$not": 5}}, "filter.a.$not", "operators"),
    "$exists: 1": ({"a": {"$exists": 1}}, "filter.a.$exists", "true | false"),
    "$is_null: null": ({"a": {"$is_null": None}}, "filter.a.$is_null", "true | false"),
    "NaN": ({"a": float("nan")}, "filter.a", "finite"),
    "65 bits": ({"a": 2**64}, "filter.a", "64 bits"),
    "NaN in an array": ({"a": [1, [float("inf")]]}, "filter.a", "finite"),
    "no words": ({"$text": " "}, "filter.$text", "words"),
    "words that are none": ({"$text": {"title": 5}}, "filter.$text.title", "words"),
    "$text under a key": ({"title": {"$text": "a"}}, "filter.title.$text", '{"$text": {"title": ...}}'),
    "no field": ({"$has_vector": 1}, "filter.$has_vector", "name of a vector field"),
    "a number for an id": ({"$id": 5.5}, "filter.$id", "a string"),
    "a string for a version": ({"$version": {"$gt": "5"}}, "filter.$version.$gt", "an integer"),
    "an object of Python": ({"a": object()}, "filter.a", "a string, number"),
    "no prefix": ({"a": {"$prefix": 1}}, "filter.a.$prefix", "a string"),
    "a time without zone": ({"a": {"$gt": datetime(2024, 1, 1)}}, "filter.a.$gt", "tzinfo"),  # noqa: DTZ001
    "a key that is no text": ({5: 1}, "filter", "text"),
    "too deep": (nested(33), "filter", "<= 32"),
    "very deep": (nested(20_000), "filter", "<= 32"),
    "an array too deep": ({"a": deep}, "filter.a", "<= 32"),
    "too many values": ({"a": {"$in": list(range(10_001))}}, "filter.a.$in", "<= 10000"),
    "too many in an array": ({"a": list(range(100_000))}, "filter.a", "<= 10000"),
    "too many conditions": ({"$or": [{"a": i} for i in range(1_000)]}, "filter", "<= 1000"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_malformed_is_refused_where_it_stands(kind: str) -> None:
    written, field, expected = REFUSED[kind]
    error = refusal(lambda: from_dict(written))
    assert str(error.field).startswith(field), error
    assert expected in str(error.expected), error
    assert error.received


def test_a_message_of_too_many_conditions_is_refused_before_it_is_read() -> None:
    leaf = filter_pb2.Filter(exists=filter_pb2.Exists(key=filter_pb2.Key(path=["a"])))
    row = filter_pb2.Filter(all=filter_pb2.Conditions(conditions=[leaf] * 900))
    with pytest.raises(InvalidArgument, match="too many conditions"):
        filter_from_proto(filter_pb2.Filter(any=filter_pb2.Conditions(conditions=[row] * 900)), "filter")
    values = [filter_pb2.Scalar(integer=1)] * 100_000
    many = filter_pb2.Filter(one_of=filter_pb2.OneOf(key=filter_pb2.Key(path=["a"]), values=values))
    with pytest.raises(InvalidArgument, match="too many values"):
        filter_from_proto(many, "filter")
