"""Recall on demand: what searches find, as people ask them, against what they would find exactly, at one view."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from vecdb.engine import measuring, recall
from vecdb.engine.asked import Asked
from vecdb.engine.near_leg import NearLegs
from vecdb.engine.prepare import FieldIds, check_filter, vector_name
from vecdb.engine.segment import Segment, UInt64
from vecdb.engine.view import View
from vecdb.model.context import CallContext
from vecdb.model.point import Float32, Int64
from vecdb.model.query import Near, SearchRequest
from vecdb.model.recall import MeasuredRecall, RecallRequest, SegmentRecall
from vecdb.model.schema import Schema

LONGEST_S = 1.0
"""After that a call answers what it has: it holds a thread, and another may be made for the rest."""
AT_ONCE = 8
"""Queries between two looks at the clock."""


class Comparing:
    """Measures the recall of searches in one collection. Any thread may use it."""

    def __init__(self, near: NearLegs, fields: FieldIds, schema: Schema) -> None:
        self._near = near
        self._fields = fields
        self._schema = schema

    def measured(self, context: CallContext, view: View, request: RecallRequest, asked: Asked) -> MeasuredRecall:
        """The recall by the queries of a request, or by the first of them, as many as a call has the time for.

        Raises InvalidArgument and its kin, DeadlineExceeded.
        """
        request.validate()
        name = vector_name(self._schema, request.using, "using")
        queries, slots = self._queries(view, request, name, asked)
        search = SearchRequest(
            [Near(queries, name)], filter=request.filter, ef=request.ef, target_recall=request.target_recall
        )
        search.validate()
        check_filter(request.filter, self._schema, "filter")
        if len(queries):
            self._near.check(Near(queries, name), "queries")
        began = time.perf_counter()
        total = MeasuredRecall(request.k)
        while total.queries < len(queries) and time.perf_counter() - began < LONGEST_S:
            context.check("measuring recall")
            some = slice(total.queries, total.queries + AT_ONCE)
            total += self._some(context, view, search, Near(queries[some], name), slots[some], request.k)
        return total

    def _queries(self, view: View, request: RecallRequest, name: str, asked: Asked) -> tuple[Float32, UInt64]:
        """What to search for, and by query the slot of the stored vector that it is, or NO_SLOT."""
        if request.vectors is not None:
            return request.vectors, np.full(len(request.vectors), recall.NO_SLOT, dtype=np.uint64)
        key = self._fields.vectors[name]
        holding = [segment for segment in view.segments if len(segment.parts.get(key, ()))]
        drawn = measuring.draw(
            holding,
            key,
            self._schema.vectors[name],
            asked.vectors(key),
            request.skip + request.count,
            np.random.default_rng(request.seed),
        )
        return drawn[0][request.skip :], drawn[1][request.skip :]

    def _some(
        self, context: CallContext, view: View, search: SearchRequest, leg: Near, slots: UInt64, k: int
    ) -> MeasuredRecall:
        """The recall by a few queries."""
        began = time.perf_counter()
        key = self._fields.vectors[leg.using or ""]
        explain: dict[str, Any] = {"legs": []}
        exact = SearchRequest([leg], filter=search.filter, exact=True)
        stored = int(np.count_nonzero(slots != recall.NO_SLOT))
        need = k + bool(stored)
        true = self._near.addresses(context, view, exact, leg, need)
        met = self._near.addresses(context, view, search, leg, need, explain)
        wanted, scores = _without_own(view, key, slots, k, *true)
        found = recall.matched(scores, _without_own(view, key, slots, k, *met)[1])
        walked = {
            told["segment"]: told.get("ef", explain["legs"][0].get("ef"))
            for told in explain["legs"][0]["segments"]
            if told["plan"] == "graph"
        }
        by_segment = [
            SegmentRecall(
                segment.number,
                int(np.count_nonzero(wanted == index)),
                int(np.count_nonzero(found & (wanted == index))),
                walked.get(segment.number),
            )
            for index, segment in enumerate(view.segments)
            if key in segment.parts
        ]
        return MeasuredRecall(k, len(slots), stored, tuple(by_segment), 1000 * (time.perf_counter() - began))


def _without_own(
    view: View, key: int, slots: UInt64, k: int, segments: Int64, ordinals: Int64, scores: Float32
) -> tuple[Int64, Float32]:
    """The segments and scores ``[q, k]`` of hits that are not the query itself, best first; -1 and -inf where none."""
    own = np.zeros(segments.shape, dtype=np.bool_)
    for index, segment in enumerate(view.segments):
        at, here = _found(segment, key, slots)
        own |= (segments == index) & here[:, None] & (ordinals == at[:, None])
    order = np.argsort(own, axis=1, kind="stable")[:, :k]
    segments = np.take_along_axis(np.where(own, -1, segments), order, axis=1)
    scores = np.take_along_axis(np.where(own, np.float32(-np.inf), scores), order, axis=1)
    return segments, scores


def _found(segment: Segment, key: int, slots: UInt64) -> tuple[Int64, np.ndarray[Any, np.dtype[np.bool_]]]:
    part = segment.parts.get(key)
    if part is None:
        return np.zeros(len(slots), dtype=np.int64), np.zeros(len(slots), dtype=np.bool_)
    return part.find(slots)
