"""Orders and facets."""

from __future__ import annotations

from vecdb.model.facet import DEFAULT_VALUES, Facet, FacetRequest, FacetValue
from vecdb.model.filter import Filter, Scalar
from vecdb.model.order import OrderBy
from vecdb.v1 import filter_pb2, points_pb2
from vecdb.wire.convert.filters import (
    filter_to_proto,
    key_from_proto,
    key_to_proto,
    scalar_from_proto,
    scalar_to_proto,
)


def order_to_proto(order: OrderBy) -> points_pb2.OrderBy:
    return points_pb2.OrderBy(key=key_to_proto(order.at), descending=order.descending)


def order_from_proto(message: points_pb2.OrderBy) -> OrderBy:
    """The order. Raises InvalidArgument, or Unimplemented for an attribute that is not known here."""
    return OrderBy(key_from_proto(message.key, "order_by.key"), message.descending)


def facet_request_to_proto(collection: str, request: FacetRequest, filter: Filter | None) -> points_pb2.FacetRequest:
    return points_pb2.FacetRequest(
        collection=collection, key=key_to_proto(request.key), filter=filter_to_proto(filter), limit=request.limit
    )


def facet_request_from_proto(message: points_pb2.FacetRequest) -> FacetRequest:
    """What is counted. Raises InvalidArgument."""
    return FacetRequest(key_from_proto(message.key, "key"), message.limit or DEFAULT_VALUES)


def facet_to_proto(facet: Facet) -> points_pb2.FacetResponse:
    return points_pb2.FacetResponse(
        values=(
            points_pb2.FacetValue(value=scalar_to_proto(held.value, "values"), count=held.count)
            for held in facet.values
        ),
        distinct=facet.distinct,
        present=facet.present,
        missing=facet.missing,
        min=_bound_to_proto(facet.min),
        max=_bound_to_proto(facet.max),
    )


def facet_from_proto(message: points_pb2.FacetResponse) -> Facet:
    values = [
        FacetValue(scalar_from_proto(held.value, f"values[{i}].value"), held.count)
        for i, held in enumerate(message.values)
    ]
    least = scalar_from_proto(message.min, "min") if message.HasField("min") else None
    greatest = scalar_from_proto(message.max, "max") if message.HasField("max") else None
    return Facet(values, message.distinct, message.present, message.missing, least, greatest)


def _bound_to_proto(value: Scalar) -> filter_pb2.Scalar | None:
    """Null is no bound: a facet's bounds are numbers or strings."""
    return None if value is None else scalar_to_proto(value, "min")
