"""A leg of nearest neighbours at a view: candidates by part, one scoring step, one order.

All of it is columns over the queries. A hit is an address, (segment index, ordinal in the field's part), until its
body is asked for.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vecdb.engine import planner, recall
from vecdb.engine.allowed import vectors_of
from vecdb.engine.lookup import Lookup
from vecdb.engine.matcher import Matcher, Verified
from vecdb.engine.planner import PartFacts, Plan
from vecdb.engine.prepare import FieldIds, check_model, check_vectors, vector_name
from vecdb.engine.ranked import Flags, Narrowing, Ranked, by_score_and_id, owners
from vecdb.engine.recall import Width
from vecdb.engine.segment import Part, Segment
from vecdb.engine.view import View
from vecdb.index import flat, metric
from vecdb.index.contract import Mask
from vecdb.index.hnsw import DEFAULT_EF
from vecdb.model.context import CallContext
from vecdb.model.filter import both
from vecdb.model.point import Float32, Int64
from vecdb.model.query import Near, SearchRequest
from vecdb.model.schema import Metric, Schema

SPARE_COLUMNS = 8
"""Candidates scored beyond those needed: the index's own rounding may swap neighbours near the cut."""
WALK_WIDTH, WIDEST_EF = 4, 1_000
"""Where a search names no ef a walk is so many times as wide as the hits it is for, up to that ef: the last of as many
hits as ef are the ones a walk misses, and fusions look at all of them. On the hardest set of `python -m benchmarks
hybrid` (qbqtc, the first 100) nDCG@10 of vectors is .797 with ef 96, .813 with 400, .817 exactly.
"""
SCORE_BYTES = 32 << 20
"""Vectors gathered at once for scoring."""


class NearLegs:
    """Finds the nearest neighbours in one collection. Any thread may use it."""

    def __init__(self, lookup: Lookup, matcher: Matcher, fields: FieldIds, schema: Schema, threads: int) -> None:
        self.lookup = lookup
        self.matcher = matcher
        self.fields = fields
        self.schema = schema
        self.threads = threads

    def check(self, leg: Near, path: str) -> None:
        """Refuse what does not fit the schema, naming ``path``. Raises InvalidArgument and its kin."""
        declared = self.schema.vectors[vector_name(self.schema, leg.using, f"{path}.using")]
        check_model(declared, leg.model, f"{path}.model")
        check_vectors(declared, leg.vectors, f"{path}.vectors")

    def addresses(
        self,
        context: CallContext,
        view: View,
        request: SearchRequest,
        leg: Near,
        need: int,
        explain: dict[str, Any] | None = None,
    ) -> tuple[Int64, Int64, Float32]:
        """The best ``need`` of each query as (segment indexes, ordinals in the field's part, scores) ``[q, w]``.

        Padded with -1 and -inf.
        """
        hits = _Leg(self, context, view, leg, request, explain, None, _ef(request, need)).best(need, request.exact)
        return hits.segments, hits.ordinals, np.where(hits.segments < 0, np.float32(-np.inf), hits.scores)

    def leg(
        self,
        context: CallContext,
        view: View,
        request: SearchRequest,
        leg: Near,
        need: int,
        narrowing: Narrowing,
        explain: dict[str, Any] | None,
        min_score: float | None,
    ) -> Ranked:
        """The best ``need`` hits for each query: exactly min(need, matches) of them."""
        wanted = need + narrowing.spare
        search = _Leg(self, context, view, leg, request, explain, narrowing.bodies, _ef(request, wanted))
        hits = search.best(wanted, request.exact)
        if min_score is not None:
            hits = search.at_least(hits, wanted, min_score)
        counts, hits = hits.flat()
        rows, segments, ordinals = owners(self.lookup, view, search.field_id, hits.segments, hits.ordinals)
        ranked = Ranked(counts, rows, segments, ordinals, hits.scores, hits.distances, warnings=search.warnings())
        return narrowing.left(ranked, need)


def _ef(request: SearchRequest, need: int) -> int:
    """How widely graphs are walked for ``need`` hits of a leg."""
    if request.ef is not None:
        return request.ef
    return max(DEFAULT_EF, min(WALK_WIDTH * need, WIDEST_EF))


@dataclass(slots=True)
class _Hits:
    """Ranked hits of q queries: addresses and scores ``[q, w]``, best first, padded with segment -1."""

    segments: Int64
    ordinals: Int64
    scores: Float32
    distances: Float32

    def flat(self) -> tuple[Int64, _Hits]:
        """How many hits each query has, and these without padding, ``[counts.sum()]``."""
        there = self.segments >= 0
        if there.all():
            queries, width = there.shape
            return np.full(queries, width), _Hits(
                self.segments.ravel(), self.ordinals.ravel(), self.scores.ravel(), self.distances.ravel()
            )
        counts: Int64 = there.sum(axis=1, dtype=np.int64)
        return counts, _Hits(self.segments[there], self.ordinals[there], self.scores[there], self.distances[there])


class _Leg:
    """One leg at one view."""

    def __init__(
        self,
        legs: NearLegs,
        context: CallContext,
        view: View,
        leg: Near,
        request: SearchRequest,
        explain: dict[str, Any] | None,
        within: Sequence[Mask] | None,
        ef: int,
    ) -> None:
        self._legs = legs
        self._context = context
        self._view = view
        name = vector_name(legs.schema, leg.using, "using")
        self.field_id, self._field = legs.fields.vectors[name], legs.schema.vectors[name]
        self._filter = both(context.scope, request.filter, leg.filter)
        self._within = within
        self._ef = ef
        self._target = request.target_recall
        self._unmeasured = self._unreached = 0  # graphs that were walked, and scanned, for that
        self._queries = metric.prepare(self._field.metric, np.ascontiguousarray(leg.vectors, dtype=np.float32))
        self._explain: dict[str, Any] | None = None
        if explain is not None:
            asked = {"ef": self._ef} if self._target is None else {"target_recall": self._target}
            self._explain = {"using": name, **asked, "segments": []}
            explain["legs"].append(self._explain)
        self._walked = False
        self._masks: list[Mask | None] | None = None

    def best(self, need: int, exact: bool) -> _Hits:
        """The best ``need`` hits of each query, in order of score, then id."""
        return self._best(self._queries, need, exact)

    def at_least(self, hits: _Hits, need: int, min_score: float) -> _Hits:
        """Keep hits with a score of at least ``min_score``.

        When a graph was walked and the threshold cut a query's hits short, others above it may have been
        missed, so that query is answered again by an exact scan: approximate about which, never how many.
        """
        if self._walked:
            enough = np.count_nonzero(_passing(hits, min_score), axis=1) >= need
            short = np.flatnonzero(~enough)
            if len(short):
                again = self._best(self._queries[short], need, True)
                hits = _replace(hits, short, again)
                if self._explain is not None:
                    self._explain["scanned_again_for_min_score"] = len(short)
        keep = _passing(hits, min_score)
        hits.segments = np.where(keep, hits.segments, -1)
        return hits

    def warnings(self) -> tuple[str, ...]:
        """What a person should be told of how the target was met."""
        if self._target is None:
            return ()
        told = []
        if self._unmeasured:
            told.append(
                f"target_recall {self._target}: graphs whose recall is not measured yet: {self._unmeasured}; "
                "they were walked as widely as was enough for other data"
            )
        if self._unreached:
            told.append(
                f"target_recall {self._target}: graphs that do not reach it, and were scanned: {self._unreached}"
            )
        return tuple(told)

    def _best(self, queries: Float32, need: int, exact: bool) -> _Hits:
        allowed_by_segment = self._allowed()
        found: list[_Hits] = []
        for index, segment in enumerate(self._view.segments):
            part = segment.parts.get(self.field_id)
            if part is None or len(part) == 0:
                continue
            allowed = allowed_by_segment[index]
            count = len(part) - part.dead if allowed is None else int(np.count_nonzero(allowed))
            facts = PartFacts(len(part), count, self._field.dim, _has_graph(part))
            width = self._width(part, need)
            scans = exact or width.ef is None
            ef = self._ef if width.ef is None else width.ef
            plan = planner.choose(facts, need=need, ef=ef, exact=scans)
            self._unmeasured += plan.kind == "graph" and width.recall is None
            self._unreached += facts.graph and width.ef is None and not exact
            began = time.perf_counter()
            threads = self._legs.threads
            search = _PartSearch(
                self._context, self._view.seq, self._field.metric, part, facts, plan, allowed, need, ef, threads
            )
            ordinals = search.candidates(queries)
            self._walked |= search.walked
            scores, distances = self._score(part, queries, ordinals)
            segments = np.where(ordinals < 0, -1, index)
            found.append(_Hits(segments, ordinals, scores, distances))
            if self._explain is not None:
                story = _story(segment, plan, facts, ordinals, began)
                self._explain["segments"].append({**story, **self._told(part, width), **search.again})
        return self._order(found, len(queries), need)

    def _width(self, part: Part, need: int) -> Width:
        """How widely a part is walked, if it is."""
        if self._target is None or not _has_graph(part):
            return Width(self._ef)
        return recall.width(part.recall, self._target, need, self._ef)

    def _told(self, part: Part, width: Width) -> dict[str, Any]:
        """What an explained search with a target says of a graph."""
        if self._target is None or not _has_graph(part):
            return {}
        if width.recall is None:
            return {"ef": width.ef}
        measured = {"recall": width.recall, "queries": width.queries, "stored": width.stored}
        return {"ef": width.ef, "measured": measured}

    def _allowed(self) -> list[Mask | None]:
        """By segment, which ordinals of the part may be answered; None where all that live may.

        Without a filter no mask is made: judging a walk's few candidates by their stamps is much cheaper.
        """
        if self._filter is None and self._within is None and not self._view.expiring:
            return [None] * len(self._view.segments)
        if self._masks is None:
            began, verified = time.perf_counter(), Verified()
            bodies = self._legs.matcher.bodies(self._context, self._view, self._filter, verified, self._within)
            self._masks = vectors_of(self._legs.lookup, self._view, self.field_id, bodies)
            if self._explain is not None:
                self._explain["filter_ms"] = 1000 * (time.perf_counter() - began)
                self._explain |= verified.told()
        return self._masks

    def _score(self, part: Part, queries: Float32, ordinals: Int64) -> tuple[Float32, Float32]:
        """Scores and distances ``[q, w]`` of candidates; -inf where padded."""
        at_once = max(1, SCORE_BYTES // (4 * self._field.dim))
        if ordinals.size <= at_once:
            return self._score_block(part, queries, ordinals)
        scores = np.empty(ordinals.shape, dtype=np.float32)
        distances = np.empty(ordinals.shape, dtype=np.float32)
        columns = min(ordinals.shape[1], at_once)
        rows = at_once // columns
        for c in range(0, ordinals.shape[1], columns):
            for q in range(0, len(ordinals), rows):
                block = np.s_[q : q + rows, c : c + columns]
                scores[block], distances[block] = self._score_block(part, queries[q : q + rows], ordinals[block])
        return scores, distances

    def _score_block(self, part: Part, queries: Float32, ordinals: Int64) -> tuple[Float32, Float32]:
        missing = ordinals < 0
        padded = bool(missing.any())
        rows = np.where(missing, 0, ordinals) if padded else ordinals
        vectors = part.take(rows.ravel()).reshape(*ordinals.shape, self._field.dim)
        scores, distances = metric.score(self._field.metric, queries[:, None, :], vectors)
        if padded:
            scores[missing], distances[missing] = -np.inf, np.inf
        return scores, distances

    def _order(self, found: Sequence[_Hits], queries: int, need: int) -> _Hits:
        """Merge the parts' hits: score, then id bytes; cut to ``need``."""
        if not found:
            none = np.full((queries, 0), -1, dtype=np.int64)
            empty = np.zeros((queries, 0), dtype=np.float32)
            return _Hits(none, none, empty, empty)
        all = found[0] if len(found) == 1 else _side_by_side(found)
        order = (-all.scores).argsort(axis=1, kind="stable")
        starts = np.arange(queries)[:, None] * order.shape[1] if queries > 1 else 0
        best = all.scores.take(order[:, : need + 1] + starts)
        ties = best[:, 1:] == best[:, :-1]
        if ties.any():
            for query in np.flatnonzero((ties & (best[:, 1:] > -np.inf)).any(axis=1)).tolist():
                self._break_ties(order[query], all.segments[query], all.ordinals[query], all.scores[query], need)
        at = order[:, :need] + starts
        return _Hits(all.segments.take(at), all.ordinals.take(at), all.scores.take(at), all.distances.take(at))

    def _break_ties(self, order: Int64, segments: Int64, ordinals: Int64, scores: Float32, need: int) -> None:
        """Reorder one query's candidates so that equal scores stand by id bytes."""
        last = scores[order[min(need, len(order)) - 1]]
        tied = order[(scores[order] >= last) & (segments[order] >= 0)]
        view = self._view
        _, body_segments, body_ordinals = owners(self._legs.lookup, view, self.field_id, segments[tied], ordinals[tied])
        order[: len(tied)] = tied[by_score_and_id(view, body_segments, body_ordinals, scores[tied])]


@dataclass(slots=True)
class _PartSearch:
    """The search of one part: what the plan says, and what makes up for a walk that met too few.

    ``allowed``: which ordinals may be answered (None: all that live). ``again``: how many queries the plan did not do,
    by what was done instead.
    """

    context: CallContext
    seq: int
    metric: Metric
    part: Part
    facts: PartFacts
    plan: Plan
    allowed: Mask | None
    need: int
    ef: int
    threads: int
    walked: bool = False
    again: dict[str, int] = field(default_factory=dict)

    def candidates(self, queries: Float32) -> Int64:
        """Ordinals int64 ``[q, w]`` that hold the best hits of this part, padded with -1 anywhere."""
        if self.plan.kind == "empty" and self.allowed is not None:
            return np.full((len(queries), 0), -1, dtype=np.int64)
        if self.plan.kind != "graph":
            return self._scan(queries)
        self.walked = True
        ordinals = self._walk(queries, self.plan.ask)
        if self.allowed is None and self.part.dead:
            # The stamps of candidates alone; one that died after this view lives in it.
            dead = self.part.died[np.maximum(ordinals, 0)] <= np.uint64(self.seq)
            if dead.any():
                ordinals = _closed_up(np.where(dead, -1, ordinals))
        enough = self.need
        if self.allowed is not None:
            enough = min(planner.enough(self.need, self.ef), self.facts.allowed)
            ordinals = self._walked_wider(queries, ordinals, enough)
        short = _shorter(ordinals, enough)
        ordinals = ordinals[:, : self.need + SPARE_COLUMNS]
        if len(short):
            # Too many of the walk's answers were not allowed, or not reachable: only a scan is certain.
            self.again["scanned_again"] = len(short)
            ordinals = _replace_rows(ordinals, short, self._scan(queries[short]))
        return ordinals

    def _walked_wider(self, queries: Float32, ordinals: Int64, enough: int) -> Int64:
        """``ordinals`` with the answers of a wider walk for those queries that it should help to have ``enough``."""
        short = _shorter(ordinals, enough)
        if not len(short):
            return ordinals
        found = np.count_nonzero(ordinals[short] >= 0, axis=1).tolist()
        plans = [planner.choose_again(self.facts, need=enough, asked=self.plan.ask, found=some) for some in found]
        wider = [(query, second.ask) for query, second in zip(short.tolist(), plans, strict=True) if second.ask]
        if not wider:
            return ordinals
        self.context.check("searching")
        self.again["walked_wider"] = len(wider)
        where, ask = np.array([query for query, _ in wider]), max(ask for _, ask in wider)
        widened: Int64 = _replace_rows(ordinals, where, self._walk(queries[where], ask))
        return widened

    def _walk(self, queries: Float32, ask: int) -> Int64:
        """What a walk of the graph for ``ask`` candidates answers."""
        assert self.part.index is not None
        threads = self.threads if len(queries) > 1 else 1
        return self.part.index.candidates(queries, ask, self.ef, self.allowed, threads)[0]

    def _scan(self, queries: Float32) -> Int64:
        """The best ``need`` of the allowed, exactly."""
        part, allowed = self.part, self.allowed
        if allowed is None:
            allowed = part.alive(self.seq)
        if part.index is not None:
            return part.index.exact(queries, self.need, allowed)[0]
        assert part.vectors is not None
        return flat.top(self.metric, queries, part.vectors, self.need, allowed, part.squares)[0]


def _side_by_side(found: Sequence[_Hits]) -> _Hits:
    """The hits of several parts in one row for each query."""
    columns = zip(*((h.segments, h.ordinals, h.scores, h.distances) for h in found), strict=True)
    return _Hits(*(np.concatenate(column, axis=1) for column in columns))


def _shorter(ordinals: Int64, need: int) -> Int64:
    """Queries with fewer than ``need`` candidates; each row has its -1 at the end."""
    if ordinals.shape[1] < need:
        return np.arange(len(ordinals))
    return (ordinals[:, need - 1] < 0).nonzero()[0]


def _closed_up(ordinals: Int64) -> Int64:
    """Each row with its -1 moved to the end, the rest in order."""
    order = np.argsort(ordinals < 0, axis=1, kind="stable")
    return np.take_along_axis(ordinals, order, axis=1)


def _has_graph(part: Part) -> bool:
    return part.index is not None and part.index.kind != "flat"


def _passing(hits: _Hits, min_score: float) -> Flags:
    return (hits.segments >= 0) & (hits.scores.astype(np.float64) >= min_score)


def _replace(hits: _Hits, where: Int64, other: _Hits) -> _Hits:
    return _Hits(
        _replace_rows(hits.segments, where, other.segments),
        _replace_rows(hits.ordinals, where, other.ordinals),
        _replace_rows(hits.scores, where, other.scores, -np.inf),
        _replace_rows(hits.distances, where, other.distances, np.inf),
    )


def _replace_rows(into: Any, where: Int64, rows: Any, pad: float = -1) -> Any:
    """``into`` with some of its rows replaced, both padded to the wider."""
    width = max(into.shape[1], rows.shape[1])
    out = np.full((len(into), width), pad, dtype=into.dtype)
    out[:, : into.shape[1]] = into
    out[where] = pad
    out[where, : rows.shape[1]] = rows
    return out


def _story(segment: Segment, plan: Plan, facts: PartFacts, ordinals: Int64, began: float) -> Mapping[str, Any]:
    return {
        "segment": segment.number,
        "state": segment.state,
        "plan": plan.kind,
        "asked": plan.ask,
        "vectors": facts.vectors,
        "allowed": facts.allowed,
        "candidates": int(np.count_nonzero(ordinals >= 0)),
        "ms": 1000 * (time.perf_counter() - began),
    }
