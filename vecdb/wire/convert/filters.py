"""Filters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import orjson

from vecdb.errors import InvalidArgument
from vecdb.model.filter import (
    And,
    Attribute,
    Comparator,
    Compare,
    Exists,
    Filter,
    HasVector,
    In,
    Key,
    Not,
    Or,
    Prefix,
    Scalar,
    Text,
    check_size,
    name_of,
)
from vecdb.model.filter.tree import MAX_CONDITIONS, MAX_VALUES
from vecdb.v1 import filter_pb2
from vecdb.wire.convert.refusals import unknown_kind

_ATTRIBUTES = {Attribute.ID: filter_pb2.ATTRIBUTE_ID, Attribute.VERSION: filter_pb2.ATTRIBUTE_VERSION}
_COMPARATORS = {
    Comparator.EQ: filter_pb2.COMPARATOR_EQUAL,
    Comparator.GT: filter_pb2.COMPARATOR_GREATER,
    Comparator.GTE: filter_pb2.COMPARATOR_GREATER_OR_EQUAL,
    Comparator.LT: filter_pb2.COMPARATOR_LESS,
    Comparator.LTE: filter_pb2.COMPARATOR_LESS_OR_EQUAL,
}
_ATTRIBUTE_OF = {number: attribute for attribute, number in _ATTRIBUTES.items()}
_COMPARATOR_OF = {number: comparator for comparator, number in _COMPARATORS.items()}


def filter_to_proto(filter: Filter | None) -> filter_pb2.Filter | None:
    if filter is None:
        return None
    check_size(filter)
    return _to_proto(filter)


def filter_from_proto(message: filter_pb2.Filter, path: str) -> Filter:
    """The filter. Raises InvalidArgument, or Unimplemented for a kind that is not known here."""
    _check_size(message, path)
    filter = _from_proto(message, path)
    check_size(filter, path)
    return filter


def optional_filter(message: Any) -> Filter | None:
    """The field ``filter`` of a request, None when it is not set. Raises as ``filter_from_proto``."""
    return filter_from_proto(message.filter, "filter") if message.HasField("filter") else None


def filters_to_proto(filters: Sequence[Filter | None] | None) -> list[filter_pb2.Filter]:
    """One for each query, an empty one for None."""
    return [filter_to_proto(filter) or filter_pb2.Filter() for filter in filters or ()]


def filters_from_proto(messages: Sequence[filter_pb2.Filter], path: str) -> list[Filter | None] | None:
    """The inverse of ``filters_to_proto``. Raises as ``filter_from_proto``."""
    if not messages:
        return None
    return [  # one that holds something unknown is not empty
        filter_from_proto(message, f"{path}[{i}]") if message.ByteSize() else None for i, message in enumerate(messages)
    ]


def key_to_proto(key: Key) -> filter_pb2.Key:
    if isinstance(key, Attribute):
        return filter_pb2.Key(attribute=_ATTRIBUTES[key])
    return filter_pb2.Key(path=key)


def key_from_proto(message: filter_pb2.Key, path: str) -> Key:
    """What is looked at. Raises InvalidArgument, or Unimplemented for an attribute that is not known here."""
    if message.attribute:
        attribute = _ATTRIBUTE_OF.get(message.attribute)
        if attribute is None:
            raise unknown_kind("attribute", path)
        if message.path:
            raise InvalidArgument(
                "both a path and an attribute", field=path, expected="one of them", received=attribute.value
            )
        return attribute
    if not message.path:
        raise InvalidArgument("no path", field=f"{path}.path", expected="at least one key", received="none")
    return tuple(message.path)


def scalar_to_proto(value: Scalar, path: str) -> filter_pb2.Scalar:
    """One value. Raises InvalidArgument for an integer of more than 64 bits."""
    if value is None:
        return filter_pb2.Scalar(null=True)
    if isinstance(value, bool):
        return filter_pb2.Scalar(boolean=value)
    if isinstance(value, int):
        if -(2**63) <= value < 2**63:
            return filter_pb2.Scalar(integer=value)
        if 0 <= value < 2**64:
            return filter_pb2.Scalar(large_integer=value)
        raise InvalidArgument("integer out of range", field=path, expected="64 bits", received=str(value)[:40])
    if isinstance(value, float):
        return filter_pb2.Scalar(number=value)
    return filter_pb2.Scalar(text=value)


def scalar_from_proto(message: filter_pb2.Scalar, path: str) -> Scalar:
    """One value. Raises InvalidArgument, or Unimplemented for a kind that is not known here."""
    kind = message.WhichOneof("value")
    if kind is None:
        raise unknown_kind("value", path)
    value: Scalar = None if kind == "null" else getattr(message, kind)
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidArgument("number is not finite", field=path, expected="a finite number", received=str(value))
    return value


def _to_proto(filter: Filter) -> filter_pb2.Filter:
    match filter:
        case And():
            return filter_pb2.Filter(all=filter_pb2.Conditions(conditions=map(_to_proto, filter.parts)))
        case Or():
            return filter_pb2.Filter(any=filter_pb2.Conditions(conditions=map(_to_proto, filter.parts)))
        case Not():
            return filter_pb2.Filter(negated=_to_proto(filter.part))
        case Compare():
            return filter_pb2.Filter(comparison=_comparison(filter))
        case In():
            values = [scalar_to_proto(value, name_of(filter.key)) for value in filter.values]
            return filter_pb2.Filter(one_of=filter_pb2.OneOf(key=key_to_proto(filter.key), values=values))
        case Exists():
            return filter_pb2.Filter(exists=filter_pb2.Exists(key=key_to_proto(filter.path)))
        case Prefix():
            return filter_pb2.Filter(prefix=filter_pb2.Prefix(key=key_to_proto(filter.key), prefix=filter.prefix))
        case Text():
            return filter_pb2.Filter(text=filter_pb2.TextContains(field=filter.field, words=filter.words))
        case HasVector():
            return filter_pb2.Filter(has_vector=filter_pb2.HasVector(field=filter.field))


def _comparison(filter: Compare) -> filter_pb2.Comparison:
    key, comparator = key_to_proto(filter.key), _COMPARATORS[filter.comparator]
    if isinstance(filter.value, tuple):
        return filter_pb2.Comparison(key=key, comparator=comparator, array_json=orjson.dumps(filter.value))
    value = scalar_to_proto(filter.value, name_of(filter.key))
    return filter_pb2.Comparison(key=key, comparator=comparator, value=value)


def _from_proto(message: filter_pb2.Filter, path: str) -> Filter:
    match message.WhichOneof("condition"):
        case "equals":
            equals = message.equals
            value = scalar_from_proto(equals.value, f"{path}.equals.value")
            return Compare((equals.field,), Comparator.EQ, value)
        case "all":
            return And(_parts(message.all.conditions, f"{path}.all"))
        case "any":
            return Or(_parts(message.any.conditions, f"{path}.any"))
        case "negated":
            return Not(_from_proto(message.negated, f"{path}.negated"))
        case "comparison":
            return _compare(message.comparison, f"{path}.comparison")
        case "one_of":
            key = key_from_proto(message.one_of.key, f"{path}.one_of.key")
            if len(message.one_of.values) > MAX_VALUES:
                raise InvalidArgument(
                    "too many values",
                    field=f"{path}.one_of.values",
                    expected=f"<= {MAX_VALUES}",
                    received=str(len(message.one_of.values)),
                )
            given = enumerate(message.one_of.values)
            return In(key, tuple(scalar_from_proto(value, f"{path}.one_of.values[{i}]") for i, value in given))
        case "exists":
            key = key_from_proto(message.exists.key, f"{path}.exists.key")
            if isinstance(key, Attribute):
                raise InvalidArgument(
                    "every point has it", field=f"{path}.exists.key", expected="a path", received=key.value
                )
            return Exists(key)
        case "prefix":
            return Prefix(key_from_proto(message.prefix.key, f"{path}.prefix.key"), message.prefix.prefix)
        case "text":
            return Text(message.text.field, message.text.words)
        case "has_vector":
            return HasVector(message.has_vector.field)
    raise unknown_kind("condition", path)


def _check_size(message: filter_pb2.Filter, path: str) -> None:
    """Refuse too many conditions before any object is made of them. (protobuf itself reads 100 levels at most.)"""
    left, count = [message], 0
    while left:
        one = left.pop()
        kind = one.WhichOneof("condition")
        if kind == "negated":
            left.append(one.negated)
        elif kind in ("all", "any"):
            conditions = getattr(one, kind).conditions
            count += len(conditions)
            if count >= MAX_CONDITIONS:  # with the outermost there are more
                raise InvalidArgument(
                    "the filter has too many conditions", field=path, expected=f"<= {MAX_CONDITIONS}", received="more"
                )
            left.extend(conditions)


def _parts(messages: Sequence[filter_pb2.Filter], path: str) -> tuple[Filter, ...]:
    return tuple(_from_proto(message, f"{path}.conditions[{i}]") for i, message in enumerate(messages))


def _compare(message: filter_pb2.Comparison, path: str) -> Compare:
    key = key_from_proto(message.key, f"{path}.key")
    comparator = _COMPARATOR_OF.get(message.comparator)
    if comparator is None:
        raise unknown_kind("comparator", path)
    if message.WhichOneof("operand") != "array_json":
        return Compare(key, comparator, scalar_from_proto(message.value, f"{path}.value"))
    try:
        array = orjson.loads(message.array_json)
    except orjson.JSONDecodeError as error:
        raise InvalidArgument(
            "not JSON", field=f"{path}.array_json", expected="a JSON array", received=str(error)
        ) from None
    if not isinstance(array, list):
        raise InvalidArgument(
            "not an array", field=f"{path}.array_json", expected="a JSON array", received=type(array).__name__
        )
    return Compare(key, comparator, tuple(array))
