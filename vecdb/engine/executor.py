"""Carry out a search at a view: each leg by who knows its kind, one fusion, one fetch.

Everything up to the fetch is columns over the hits of all queries. Hits are rows and addresses of bodies until the
winners are known; only winners are turned into points.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vecdb.engine.fusion import Given, fuse
from vecdb.engine.keyword.leg import KeywordLegs
from vecdb.engine.lookup import Lookup
from vecdb.engine.mmr import Choosing
from vecdb.engine.modifying import Modifying
from vecdb.engine.near_leg import NearLegs
from vecdb.engine.prepare import FieldIds, check_filter
from vecdb.engine.ranked import EVERYTHING, Narrowing, Ranked, by_segment, ids_of, in_order
from vecdb.engine.sparse_leg import SparseLegs
from vecdb.engine.view import View
from vecdb.errors import DataLoss
from vecdb.model.context import CallContext
from vecdb.model.filter import Filter, both
from vecdb.model.keyword import Keyword
from vecdb.model.modifier import MAX_MMR_CANDIDATES
from vecdb.model.point import Points, Select
from vecdb.model.query import MAX_WINDOW, Leg, Near, SearchAnswer, SearchRequest
from vecdb.model.schema import Schema
from vecdb.model.sparse import Sparse
from vecdb.storage.codec import Body

LEAST_DEPTH = 100
"""Hits each leg gives when it does not say: what RRF was studied with, and cheap."""
STAGE_WINDOWS = 4
"""Windows that each leg gives to what reorders hits: modifiers, and the choice of hits that differ."""


class Executor:
    """Searches one collection. Stateless but for what it was given; any thread may use it."""

    def __init__(
        self,
        lookup: Lookup,
        near: NearLegs,
        words: KeywordLegs,
        sparse: SparseLegs,
        modifying: Modifying,
        choosing: Choosing,
        fields: FieldIds,
        schema: Schema,
        no_graphs: str | None = None,
    ) -> None:
        self._lookup = lookup
        self._near = near
        self._words = words
        self._sparse = sparse
        self._modifying = modifying
        self._choosing = choosing
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
        found = []
        for leg in request.legs:
            depth = depth_of(request, leg)
            found.append(self.leg(context, view, request, leg, depth, narrowing, explain, least_of_leg(request)))
            context.check("searching a leg")
        need = window if request.mmr is None else max(window, candidates(request))
        ranked = self.together(context, view, request, found, explain, need=need)
        if least_of_leg(request) is None:
            ranked = ranked.at_least(request.min_score)
        if request.mmr is not None:
            began = time.perf_counter()
            ranked = self._choosing.chosen(context, view, ranked, request.mmr, candidates(request), window)
            _note(explain, "mmr_ms", began)
        return self.answer(context, view, request, ranked.window(request.offset, window), started, explain)

    def check(self, request: SearchRequest) -> None:
        """Refuse what does not fit the schema. Raises InvalidArgument and its kin."""
        request.validate()
        if request.mmr is not None:
            self._choosing.check(request.mmr)
        for i, leg in enumerate(request.legs):
            where = f"legs[{i}]"
            if isinstance(leg, Keyword):
                self._words.check(leg, where)
            elif isinstance(leg, Sparse):
                self._sparse.check(leg, where)
            else:
                self._near.check(leg, where)
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
        self,
        context: CallContext,
        view: View,
        request: SearchRequest,
        ranked: Ranked,
        started: float,
        explain: dict[str, Any] | None,
    ) -> SearchAnswer:
        """The hits with their points; ``started`` is on ``time.perf_counter``'s clock. Raises DeadlineExceeded."""
        fetching = time.perf_counter()
        select, snippets = request.select, None
        wanted = select.payload or select.texts or select.vectors or request.highlight is not None
        bodies = self._lookup.bodies(ranked.rows.tolist()) if wanted else []
        points = self._points(view, ranked, bodies, select)
        _note(explain, "fetch_ms", fetching)
        if request.highlight is not None:
            began = time.perf_counter()
            snippets = self._words.highlighter.snippets(context, request, ranked.counts, bodies)
            _note(explain, "highlight_ms", began)
        ended = time.perf_counter()
        if explain is not None:
            explain["total_ms"] = 1000 * (ended - started)
        return SearchAnswer(
            ranked.counts,
            ranked.scores,
            ranked.distances,
            points,
            view.seq,
            took_ms=1000 * (ended - started),
            explain=explain,
            warnings=[*ranked.warnings, *_being_built_again(view)],
            legs=ranked.legs,
            snippets=snippets,
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
        if isinstance(leg, Near):
            return self._near.leg(context, view, request, leg, need, narrowing, explain, min_score)
        if isinstance(leg, Sparse):
            return self._sparse.leg(context, view, request, leg, need, narrowing, explain, min_score)
        return self._words.leg(context, view, request, leg, need, narrowing, explain, min_score)

    def together(
        self,
        context: CallContext,
        view: View,
        request: SearchRequest,
        found: Sequence[Ranked],
        explain: dict[str, Any] | None = None,
        *,
        need: int | None = None,
        depth: int | None = None,
    ) -> Ranked:
        """What the legs of a request gave as one list for each query, with modified scores, in order.

        The first ``need`` of each (None: all). Scores are stretched by the best ``depth`` hits of each leg; None: by
        all.
        """
        began = time.perf_counter()
        ranked = found[0]
        if len(found) > 1:
            given = [Given(f.counts, f.rows, f.scores, leg.weight) for f, leg in zip(found, request.legs, strict=True)]
            fused = fuse(request.fusion, given, depth)
            warnings = tuple(dict.fromkeys(warning for each in found for warning in each.warnings))
            segments, ordinals = view.locate(fused.rows)
            ranked = Ranked(fused.counts, fused.rows, segments, ordinals, fused.scores, None, fused.legs, warnings)
            ranked = ranked.sorted(view, None if request.modifiers else need)
            _note(explain, "fusion_ms", began)
        if request.modifiers:
            began = time.perf_counter()
            context.check("changing scores")
            ranked = self._modifying.modified(view, ranked, request.modifiers, need)
            _note(explain, "modifiers_ms", began)
        return ranked

    # -- from addresses to points

    def _points(self, view: View, ranked: Ranked, bodies: Sequence[Body], select: Select) -> Points:
        """The points of the hits, whose ``bodies`` are there if anything is selected."""
        rows, segments, ordinals = ranked.rows, ranked.segments, ranked.ordinals
        versions = np.empty(len(rows), dtype=np.uint64)
        for index, where in by_segment(segments):
            if index < 0:
                raise DataLoss(f"a vector belongs to row {rows[where][0]}, which this view does not have")
            versions[where] = view.segments[index].seqs[ordinals[where]]
        ids = ids_of(view, segments, ordinals)
        if not (select.payload or select.texts or select.vectors):
            return Points(ids, versions)
        payloads, texts, vectors = self._lookup.columns(bodies, rows.tolist(), select, self._fields)
        sparse = self._lookup.sparse(bodies, select, self._fields)
        return Points(ids, versions, payloads, texts, vectors, sparse)


def depth_of(request: SearchRequest, leg: Leg) -> int:
    """How many hits of each query a leg gives; never fewer than the window, so that min(k, matches) come out."""
    window = request.offset + request.limit
    if request.modifiers or request.mmr is not None:
        depth = max(LEAST_DEPTH, STAGE_WINDOWS * window)
        if request.mmr is not None:
            depth = max(depth, request.mmr.candidates or 0)
    elif len(request.legs) > 1:
        depth = LEAST_DEPTH
    else:
        return window
    return max(window, min(leg.depth or depth, MAX_WINDOW))


def least_of_leg(request: SearchRequest) -> float | None:
    """The threshold where it is one of the leg's own scores; else it is asked of those that come out at the end."""
    return request.min_score if len(request.legs) == 1 and not request.modifiers else None


def candidates(request: SearchRequest) -> int:
    """How many hits of each query those that differ are chosen from."""
    assert request.mmr is not None
    default = max(LEAST_DEPTH, STAGE_WINDOWS * (request.offset + request.limit))
    return request.mmr.candidates or min(default, MAX_MMR_CANDIDATES)


def _being_built_again(view: View) -> list[str]:
    """What a searcher should know of segments whose files were damaged."""
    rows = sum(len(segment) for segment in view.segments if segment.damaged)
    return (
        [f"{rows} rows are searched exactly: the files of their segments are damaged and built again"] if rows else []
    )


def _note(explain: dict[str, Any] | None, what: str, began: float) -> None:
    """Add the milliseconds since ``began`` (on ``time.perf_counter``'s clock) to ``what``."""
    if explain is not None:
        explain[what] = explain.get(what, 0.0) + 1000 * (time.perf_counter() - began)
