"""Filters."""

from __future__ import annotations

import numpy as np

from vecdb.errors import InvalidArgument
from vecdb.model.filter import Equals, Filter, Scalar
from vecdb.v1 import filter_pb2
from vecdb.wire.convert.refusals import unknown_kind


def filter_to_proto(condition: Filter | None) -> filter_pb2.Filter | None:
    if condition is None:
        return None
    return filter_pb2.Filter(
        equals=filter_pb2.Equals(field=condition.field, value=_scalar_to_proto(condition.value, "filter.equals.value"))
    )


def filter_from_proto(message: filter_pb2.Filter, path: str) -> Filter:
    """The condition. Raises InvalidArgument, or Unimplemented for a kind that is not known here."""
    if message.WhichOneof("condition") != "equals":
        raise unknown_kind("condition", path)
    equals = message.equals
    return Equals(equals.field, _scalar_from_proto(equals.value, f"{path}.equals.value"))


def _scalar_to_proto(value: Scalar, path: str) -> filter_pb2.Scalar:
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


def _scalar_from_proto(message: filter_pb2.Scalar, path: str) -> Scalar:
    kind = message.WhichOneof("value")
    if kind is None:
        raise unknown_kind("value", path)
    value: Scalar = None if kind == "null" else getattr(message, kind)
    if isinstance(value, float) and not np.isfinite(value):
        raise InvalidArgument("number is not finite", field=path, expected="a finite number", received=str(value))
    return value
