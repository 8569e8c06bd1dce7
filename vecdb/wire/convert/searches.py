"""Searches and their answers."""

from __future__ import annotations

import numpy as np
import orjson

from vecdb.errors import InvalidArgument
from vecdb.model.fusion import Rrf
from vecdb.model.point import Select
from vecdb.model.query import LegColumns, SearchAnswer, SearchRequest
from vecdb.v1 import search_pb2
from vecdb.wire.convert.columns import (
    FLOAT32,
    numbers,
    select_from_proto,
    select_to_proto,
)
from vecdb.wire.convert.filters import filter_to_proto, filters_from_proto, filters_to_proto, optional_filter
from vecdb.wire.convert.groups import group_by_from_proto, group_by_to_proto, groups_from_proto, groups_to_proto
from vecdb.wire.convert.highlights import (
    highlight_from_proto,
    highlight_to_proto,
    snippets_from_proto,
    snippets_to_proto,
)
from vecdb.wire.convert.legs import fill_leg, fusion_from_proto, fusion_to_proto, leg_from_proto
from vecdb.wire.convert.modifiers import mmr_from_proto, mmr_to_proto, modifier_from_proto, modifier_to_proto
from vecdb.wire.convert.points import fill_points, points_from_proto
from vecdb.wire.convert.refusals import lengths_differ
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
        fusion=fusion_to_proto(request.fusion),
        highlight=highlight_to_proto(request.highlight),
        modifiers=map(modifier_to_proto, request.modifiers),
        mmr=mmr_to_proto(request.mmr),
        target_recall=request.target_recall,
    )
    for leg in request.legs:
        fill_leg(message.legs.add(), leg)
    return message


def search_from_proto(message: search_pb2.SearchRequest) -> SearchRequest:
    """The search. Raises InvalidArgument, or Unimplemented for a kind that is not known here."""
    request = SearchRequest(
        legs=[leg_from_proto(leg, f"legs[{i}]") for i, leg in enumerate(message.legs)],
        fusion=fusion_from_proto(message.fusion) if message.HasField("fusion") else Rrf(),
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
        highlight=highlight_from_proto(message.highlight) if message.HasField("highlight") else None,
        modifiers=[modifier_from_proto(one, f"modifiers[{i}]") for i, one in enumerate(message.modifiers)],
        mmr=mmr_from_proto(message.mmr) if message.HasField("mmr") else None,
        target_recall=message.target_recall if message.HasField("target_recall") else None,
    )
    if request.legs and not request.queries:
        raise InvalidArgument("there is nothing to search for", field="legs", expected=">= 1 query", received="0")
    return request


def answer_to_proto(answer: SearchAnswer, content: int) -> search_pb2.SearchResponse:
    """The answer, with payloads, texts, vectors and snippets of the first ``content`` hits alone."""
    message = search_pb2.SearchResponse(
        counts=answer.counts.tolist(),
        scores=answer.scores.astype(FLOAT32, copy=False).tobytes(),
        content_hits=content,
        seq=seq_to_proto(answer.seq),
        took_ms=answer.took_ms,
        warnings=answer.warnings,
        groups=groups_to_proto(answer.groups or ()),
        legs=map(_leg_columns_to_proto, answer.legs or ()),
        snippets=snippets_to_proto((answer.snippets or ())[:content]),
    )
    if answer.distances is not None:
        message.distances = answer.distances.astype(FLOAT32, copy=False).tobytes()
    if answer.explain is not None:
        message.explain_json = orjson.dumps(answer.explain, option=orjson.OPT_SERIALIZE_NUMPY)
    fill_points(message.hits, answer.points, content)
    return message


def answer_from_proto(message: search_pb2.SearchResponse, select: Select, highlighted: bool = False) -> SearchAnswer:
    """The answer to a search, with snippets if it is ``highlighted``.

    Hits from ``message.content_hits`` on lack their payloads, texts, vectors and snippets.
    """
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
        legs=[_leg_columns_from_proto(leg, len(points), f"legs[{i}]") for i, leg in enumerate(message.legs)] or None,
        snippets=snippets_from_proto(message.snippets, message.content_hits, len(points)) if highlighted else None,
    )


def _leg_columns_to_proto(columns: LegColumns) -> search_pb2.LegColumns:
    return search_pb2.LegColumns(
        ranks=columns.ranks.astype("<u4", copy=False).tobytes(),
        scores=columns.scores.astype(FLOAT32, copy=False).tobytes(),
    )


def _leg_columns_from_proto(message: search_pb2.LegColumns, hits: int, path: str) -> LegColumns:
    return LegColumns(
        ranks=numbers(message.ranks, "<u4", hits, f"{path}.ranks"),
        scores=numbers(message.scores, "<f4", hits, f"{path}.scores"),
    )
