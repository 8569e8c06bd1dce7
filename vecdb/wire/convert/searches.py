"""Searches and their answers."""

from __future__ import annotations

import numpy as np
import orjson

from vecdb.errors import InvalidArgument
from vecdb.model.fusion import DEFAULT_RRF_K, Rrf
from vecdb.model.point import Select
from vecdb.model.query import NO_VECTORS, Leg, Near, SearchAnswer, SearchRequest
from vecdb.v1 import leg_pb2, search_pb2
from vecdb.wire.convert.columns import (
    FLOAT32,
    fill_points,
    fill_vectors,
    numbers,
    points_from_proto,
    select_from_proto,
    select_to_proto,
    vectors_from_proto,
)
from vecdb.wire.convert.filters import (
    filter_from_proto,
    filter_to_proto,
    filters_from_proto,
    filters_to_proto,
    optional_filter,
)
from vecdb.wire.convert.groups import (
    examples_from_proto,
    fill_examples,
    group_by_from_proto,
    group_by_to_proto,
    groups_from_proto,
    groups_to_proto,
)
from vecdb.wire.convert.refusals import lengths_differ, unknown_kind
from vecdb.wire.convert.writes import seq_from_proto, seq_to_proto


def search_to_proto(collection: str, request: SearchRequest) -> search_pb2.SearchRequest:
    message = search_pb2.SearchRequest(
        collection=collection,
        filter=filter_to_proto(request.filter),
        query_filters=filters_to_proto(request.query_filters),
        limit=request.limit,
        offset=request.offset,
        ef=request.ef,
        exact=request.exact,
        min_score=request.min_score,
        select=select_to_proto(request.select),
        explain=request.explain,
        group_by=group_by_to_proto(request.group_by),
    )
    if isinstance(request.fusion, Rrf):
        message.fusion.rrf.k = request.fusion.k
    for leg in request.legs:
        assert isinstance(leg, Near)
        _fill_leg(message.legs.add(weight=leg.weight, depth=leg.depth, filter=filter_to_proto(leg.filter)).near, leg)
    return message


def search_from_proto(message: search_pb2.SearchRequest) -> SearchRequest:
    """The search. Raises InvalidArgument, or Unimplemented for a kind that is not known here."""
    if message.HasField("fusion") and message.fusion.WhichOneof("method") != "rrf":
        raise unknown_kind("fusion", "fusion")
    request = SearchRequest(
        legs=[_leg_from_proto(leg, f"legs[{i}]") for i, leg in enumerate(message.legs)],
        fusion=Rrf(message.fusion.rrf.k or DEFAULT_RRF_K),
        filter=optional_filter(message),
        query_filters=filters_from_proto(message.query_filters, "query_filters"),
        limit=message.limit or 10,
        offset=message.offset,
        ef=message.ef if message.HasField("ef") else None,
        exact=message.exact,
        min_score=message.min_score if message.HasField("min_score") else None,
        select=select_from_proto(message.select),
        explain=message.explain,
        group_by=group_by_from_proto(message.group_by) if message.HasField("group_by") else None,
    )
    if request.legs and not request.queries:
        raise InvalidArgument("there is nothing to search for", field="legs", expected=">= 1 query", received="0")
    return request


def _fill_leg(message: leg_pb2.Near, near: Near) -> None:
    if near.examples is None:
        fill_vectors(message.vectors, near.vectors)
    else:
        fill_examples(message.examples, near.examples)
    if near.using is not None:
        message.using = near.using
    if near.model is not None:
        message.model = near.model


def _leg_from_proto(message: leg_pb2.Leg, path: str) -> Leg:
    if message.WhichOneof("kind") != "near":
        raise unknown_kind("leg", path)
    near = message.near
    target = near.WhichOneof("target")
    if target is None:
        raise unknown_kind("target", f"{path}.near")
    by_example = target == "examples"
    return Near(
        vectors=NO_VECTORS if by_example else vectors_from_proto(near.vectors, f"{path}.near.vectors"),
        examples=examples_from_proto(near.examples) if by_example else None,
        using=near.using if near.HasField("using") else None,
        weight=message.weight if message.HasField("weight") else 1.0,
        depth=message.depth if message.HasField("depth") else None,
        filter=filter_from_proto(message.filter, f"{path}.filter") if message.HasField("filter") else None,
        model=near.model if near.HasField("model") else None,
    )


def answer_to_proto(answer: SearchAnswer, content: int) -> search_pb2.SearchResponse:
    """The answer, with payloads, texts and vectors of the first ``content`` hits alone."""
    message = search_pb2.SearchResponse(
        counts=answer.counts.tolist(),
        scores=answer.scores.astype(FLOAT32, copy=False).tobytes(),
        content_hits=content,
        seq=seq_to_proto(answer.seq),
        took_ms=answer.took_ms,
        warnings=answer.warnings,
        groups=groups_to_proto(answer.groups or ()),
    )
    if answer.distances is not None:
        message.distances = answer.distances.astype(FLOAT32, copy=False).tobytes()
    if answer.explain is not None:
        message.explain_json = orjson.dumps(answer.explain, option=orjson.OPT_SERIALIZE_NUMPY)
    fill_points(message.hits, answer.points, content)
    return message


def answer_from_proto(message: search_pb2.SearchResponse, select: Select) -> SearchAnswer:
    """The answer; hits from ``message.content_hits`` on lack their payloads, texts and vectors."""
    points = points_from_proto(message.hits, select, "hits")
    counts = np.fromiter(message.counts, dtype=np.int64, count=len(message.counts))
    if counts.sum() != len(points):
        raise lengths_differ("counts", f"a sum of {len(points)}", int(counts.sum()))
    distances = None
    if message.HasField("distances"):
        distances = numbers(message.distances, "<f4", len(points), "distances")
    return SearchAnswer(
        counts=counts,
        scores=numbers(message.scores, "<f4", len(points), "scores"),
        distances=distances,
        points=points,
        seq=seq_from_proto(message.seq),
        took_ms=message.took_ms,
        explain=orjson.loads(message.explain_json) if message.explain_json else None,
        warnings=list(message.warnings),
        groups=groups_from_proto(message.groups, message.counts),
    )
