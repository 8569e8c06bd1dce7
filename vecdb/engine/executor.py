"""Carry out a search at a view: each leg by who knows its kind, one fusion, one fetch.

Everything up to the fetch is columns over the hits of all queries. Hits are rows and addresses of bodies until the
winners are known; only winners are turned into points.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from vecdb.engine import fusion
from vecdb.engine.lookup import Lookup
from vecdb.engine.near_leg import NearLegs
from vecdb.engine.prepare import FieldIds, check_filter
from vecdb.engine.ranked import EVERYTHING, Narrowing, Ranked, by_score_and_id, by_segment, ids_of, in_order
from vecdb.engine.segment import UInt64
from vecdb.engine.view import View
from vecdb.errors import DataLoss, Unimplemented
from vecdb.model.context import CallContext
from vecdb.model.filter import Filter, both
from vecdb.model.fusion import Rrf
from vecdb.model.keyword import Keyword
from vecdb.model.point import Float32, Int64, Points, Select
from vecdb.model.query import Leg, SearchAnswer, SearchRequest
from vecdb.model.schema import Schema

FUSION_DEPTH = 100
"""Hits each leg gives the fusion when it does not say: what RRF was studied with, and cheap."""


class FindsWords(Protocol):
    """What finds the hits of keyword legs, as ``NearLegs`` those of nearest neighbours. Any thread may call it."""

    def check(self, leg: Keyword, path: str) -> None:
        """Refuse what does not fit the schema, naming ``path``. Raises InvalidArgument and its kin."""

    def leg(
        self,
        context: CallContext,
        view: View,
        request: SearchRequest,
        leg: Keyword,
        need: int,
        narrowing: Narrowing,
        explain: dict[str, Any] | None,
        min_score: float | None,
    ) -> Ranked:
        """The best ``need`` hits for each query: exactly min(need, matches) of them.

        Within the scope of ``context``, the filters of request and leg and ``narrowing``; ``min_score`` says what
        matches. What is said of it is appended to ``explain["legs"]``.
        """


class Executor:
    """Searches one collection. Stateless but for what it was given; any thread may use it."""

    def __init__(
        self,
        lookup: Lookup,
        near: NearLegs,
        words: FindsWords | None,
        fields: FieldIds,
        schema: Schema,
        no_graphs: str | None = None,
    ) -> None:
        self._lookup = lookup
        self._near = near
        self._words = words
        self._fields = fields
        self._schema = schema
        self._no_graphs = no_graphs

    def search(
        self, context: CallContext, view: View, request: SearchRequest, narrowing: Narrowing = EVERYTHING
    ) -> SearchAnswer:
        """Answer every query of the request at ``view``. Raises InvalidArgument and its kin."""
        started = time.perf_counter()
        self.check(request)
        explain = self.story(request)
        window = request.offset + request.limit
        context.check("planning the search")
        if len(request.legs) == 1:
            leg = request.legs[0]
            ranked = self.leg(context, view, request, leg, window, narrowing, explain, request.min_score)
        else:
            ranked = self._fused(context, view, request, window, narrowing, explain)
        context.check("searching")
        if request.offset:
            ranked = ranked.window(request.offset, window)
        return self.answer(view, request, ranked, started, explain)

    def check(self, request: SearchRequest) -> None:
        """Refuse what does not fit the schema. Raises InvalidArgument and its kin."""
        request.validate()
        if not isinstance(request.fusion, Rrf) or request.modifiers or request.mmr or request.highlight:
            raise Unimplemented("this part of a search is not there yet")
        for i, leg in enumerate(request.legs):
            where = f"legs[{i}]"
            if not isinstance(leg, Keyword):
                self._near.check(leg, where)
            elif self._words is None:
                raise Unimplemented("searches by keyword are not there yet", field=where)
            else:
                self._words.check(leg, where)
            check_filter(leg.filter, self._schema, f"{where}.filter")
        check_filter(request.filter, self._schema, "filter")
        for i, filter in enumerate(request.query_filters or ()):
            check_filter(filter, self._schema, f"query_filters[{i}]")

    def story(self, request: SearchRequest) -> dict[str, Any] | None:
        """What an explained search is told, to be filled; None when nobody asked."""
        if not request.explain:
            return None
        explain: dict[str, Any] = {"legs": []}
        if self._no_graphs is not None:
            explain["no_graphs"] = self._no_graphs
        return explain

    def answer(
        self, view: View, request: SearchRequest, ranked: Ranked, started: float, explain: dict[str, Any] | None
    ) -> SearchAnswer:
        """The hits with their points; ``started`` is on ``time.perf_counter``'s clock."""
        fetching = time.perf_counter()
        points = self._fetch(view, ranked.rows, ranked.segments, ranked.ordinals, request.select)
        ended = time.perf_counter()
        if explain is not None:
            explain["fetch_ms"] = 1000 * (ended - fetching)
            explain["total_ms"] = 1000 * (ended - started)
        took_ms = 1000 * (ended - started)
        warnings = list(ranked.warnings)
        return SearchAnswer(
            ranked.counts, ranked.scores, ranked.distances, points, view.seq, took_ms, explain, warnings
        )

    def leg(
        self,
        context: CallContext,
        view: View,
        request: SearchRequest,
        leg: Leg,
        need: int,
        narrowing: Narrowing = EVERYTHING,
        explain: dict[str, Any] | None = None,
        min_score: float | None = None,
    ) -> Ranked:
        """The best ``need`` hits of one leg of a request for each query: exactly min(need, matches) of them.

        Queries with the same filter of their own are searched together.
        """
        if request.query_filters is None:
            return self._leg(context, view, request, leg, need, narrowing, explain, min_score)
        groups: dict[Filter | None, list[int]] = {}
        for query, own in enumerate(request.query_filters):
            groups.setdefault(own, []).append(query)
        found = []
        for own, queries in groups.items():
            context.check("searching by a filter")
            part = replace(request, filter=both(request.filter, own), query_filters=None)
            some = leg.take(queries)
            found.append(self._leg(context, view, part, some, need, narrowing.of(queries), explain, min_score))
        return in_order(found, [query for queries in groups.values() for query in queries])

    def _leg(
        self,
        context: CallContext,
        view: View,
        request: SearchRequest,
        leg: Leg,
        need: int,
        narrowing: Narrowing,
        explain: dict[str, Any] | None,
        min_score: float | None,
    ) -> Ranked:
        if not isinstance(leg, Keyword):
            return self._near.leg(context, view, request, leg, need, narrowing, explain, min_score)
        assert self._words is not None
        return self._words.leg(context, view, request, leg, need, narrowing, explain, min_score)

    # -- several legs

    def _fused(
        self,
        context: CallContext,
        view: View,
        request: SearchRequest,
        window: int,
        narrowing: Narrowing,
        explain: dict[str, Any] | None,
    ) -> Ranked:
        ranked, warnings = [], list[str]()
        for leg in request.legs:
            # A leg never gives less than the window: else fewer than min(k, matches) could come out.
            depth = max(leg.depth or FUSION_DEPTH, window)
            found = self.leg(context, view, request, leg, depth, narrowing, explain)
            warnings += found.warnings
            ranked.append((np.split(found.rows, np.cumsum(found.counts)[:-1]), leg.weight))
            context.check("searching a leg")
        all_rows: list[UInt64] = [np.zeros(0, dtype=np.uint64)]
        all_scores: list[Float32] = [np.zeros(0, dtype=np.float32)]
        for query in range(request.queries):
            rows, scores = self.fuse(view, request, [(some[query], weight) for some, weight in ranked])
            all_rows.append(rows[:window])
            all_scores.append(scores[:window])
        counts = np.array([len(rows) for rows in all_rows[1:]], dtype=np.int64)
        rows = np.concatenate(all_rows)
        segments, ordinals = view.locate(rows)
        told = tuple(dict.fromkeys(warnings))
        return Ranked(counts, rows, segments, ordinals, np.concatenate(all_scores), None, told)

    def fuse(
        self, view: View, request: SearchRequest, ranked: Sequence[tuple[UInt64, float]]
    ) -> tuple[UInt64, Float32]:
        """The hits of one query's legs, (rows best first, weight) each, as one list: rows and scores, best first."""
        assert isinstance(request.fusion, Rrf)
        rows, scores = fusion.reciprocal_rank(ranked, request.fusion.k)
        if request.min_score is not None:
            keep = scores.astype(np.float64) >= request.min_score
            rows, scores = rows[keep], scores[keep]
        order = by_score_and_id(view, *view.locate(rows), scores)
        return rows[order], scores[order]

    # -- from addresses to points

    def _fetch(self, view: View, rows: UInt64, segments: Int64, ordinals: Int64, select: Select) -> Points:
        versions = np.empty(len(rows), dtype=np.uint64)
        for index, where in by_segment(segments):
            if index < 0:
                raise DataLoss(f"a vector belongs to row {rows[where][0]}, which this view does not have")
            versions[where] = view.segments[index].seqs[ordinals[where]]
        ids = ids_of(view, segments, ordinals)
        if not (select.payload or select.texts or select.vectors):
            return Points(ids, versions)
        wanted = rows.tolist()
        bodies = self._lookup.bodies(wanted)
        payloads, texts, vectors = self._lookup.columns(bodies, wanted, select, self._fields)
        return Points(ids, versions, payloads, texts, vectors)
