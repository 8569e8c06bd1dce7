"""Carry out a search at a view: candidates by part, one scoring step, one order, one fetch.

Everything up to the fetch is columns over all queries of the request. Hits are addresses (segment index,
ordinal in the field's part) until the winners are known; only winners are turned into points.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb.engine import fusion, planner
from vecdb.engine.allowed import owner_rows, vectors_of
from vecdb.engine.lookup import Lookup
from vecdb.engine.matcher import Matcher, Verified
from vecdb.engine.prepare import FieldIds, check_filter, check_model, check_vectors, vector_name
from vecdb.engine.segment import Part, Segment, UInt64
from vecdb.engine.view import View
from vecdb.errors import DataLoss, Unimplemented
from vecdb.index import flat, metric
from vecdb.index.contract import Mask, VectorIndex
from vecdb.index.hnsw import DEFAULT_EF
from vecdb.model.context import CallContext
from vecdb.model.filter import Filter, both, to_dict
from vecdb.model.fusion import Rrf
from vecdb.model.point import Float32, Int64, Points, Select
from vecdb.model.query import Leg, Near, SearchAnswer, SearchRequest
from vecdb.model.schema import Schema, VectorField

FUSION_DEPTH = 100
"""Hits each leg gives the fusion when it does not say: what RRF was studied with, and cheap."""
SPARE_COLUMNS = 8
"""Candidates scored beyond those needed: the index's own rounding may swap neighbours near the cut."""
SCORE_BYTES = 32 << 20
"""Vectors gathered at once for scoring."""

Flags = NDArray[np.bool_]


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


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What may be answered, beside what scope and filters say.

    ``bodies``: by segment, those that may (None: all). ``without``: by query, rows that may not (None: none).
    """

    bodies: Sequence[Mask] | None = None
    without: Sequence[UInt64] | None = None

    @property
    def spare(self) -> int:
        """Hits to find beyond those wanted, so that enough are left without ``without``."""
        return max(map(len, self.without or ()), default=0)

    def of(self, queries: Sequence[int]) -> Narrowing:
        """The same for some of the queries."""
        return self if self.without is None else Narrowing(self.bodies, [self.without[query] for query in queries])


EVERYTHING = Narrowing()


@dataclass(frozen=True, slots=True)
class Ranked:
    """Ranked bodies of q queries, one run after another: rows, their segment indexes and ordinals, best first.

    ``counts`` int64 ``[q]``; the other columns have ``counts.sum()`` entries. ``distances`` is None for a fused search.
    """

    counts: Int64
    rows: UInt64
    segments: Int64
    ordinals: Int64
    scores: Float32
    distances: Float32 | None

    def keep(self, keep: Flags) -> Ranked:
        """Those of ``keep``, bool by entry."""
        kept = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(keep, dtype=np.int64)])
        ends = np.cumsum(self.counts)
        return Ranked(
            kept[ends] - kept[ends - self.counts],
            self.rows[keep],
            self.segments[keep],
            self.ordinals[keep],
            self.scores[keep],
            None if self.distances is None else self.distances[keep],
        )

    def window(self, start: int, stop: int) -> Ranked:
        """Of each query the hits from place ``start`` up to ``stop``."""
        if start == 0 and (not len(self.counts) or int(self.counts.max()) <= stop):
            return self
        starts = np.cumsum(self.counts) - self.counts
        place = np.arange(len(self.rows)) - np.repeat(starts, self.counts)
        return self.keep((place >= start) & (place < stop))

    def without(self, rows: Sequence[UInt64]) -> Ranked:
        """Of each query what is not among its ``rows``."""
        ends = np.cumsum(self.counts).tolist()
        keep = np.ones(len(self.rows), dtype=np.bool_)
        for gone, end, count in zip(rows, ends, self.counts.tolist(), strict=True):
            keep[end - count : end] = ~np.isin(self.rows[end - count : end], gone)
        return self.keep(keep)


class Executor:
    """Searches one collection. Stateless but for what it was given; any thread may use it."""

    def __init__(
        self,
        lookup: Lookup,
        matcher: Matcher,
        fields: FieldIds,
        schema: Schema,
        threads: int,
        no_graphs: str | None = None,
    ) -> None:
        self._lookup = lookup
        self._matcher = matcher
        self._fields = fields
        self._schema = schema
        self._threads = threads
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
            if not isinstance(leg, Near):
                raise Unimplemented("searches by keyword are not there yet", field=where)
            field = self._schema.vectors[vector_name(self._schema, leg.using, f"{where}.using")]
            check_model(field, leg.model, f"{where}.model")
            check_vectors(field, leg.vectors, f"{where}.vectors")
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
        return SearchAnswer(ranked.counts, ranked.scores, ranked.distances, points, view.seq, took_ms, explain)

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
        assert isinstance(leg, Near)
        if request.query_filters is None:
            return self._leg(context, view, request, leg, need, narrowing, explain, min_score)
        groups: dict[Filter | None, list[int]] = {}
        for query, own in enumerate(request.query_filters):
            groups.setdefault(own, []).append(query)
        found = []
        for own, queries in groups.items():
            context.check("searching by a filter")
            part = replace(request, filter=both(request.filter, own), query_filters=None)
            some = replace(leg, vectors=leg.vectors[queries])
            found.append(self._leg(context, view, part, some, need, narrowing.of(queries), explain, min_score))
        return _in_order(found, [query for queries in groups.values() for query in queries])

    def _leg(
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
        search = _Leg(self, context, view, leg, request, explain, narrowing.bodies)
        wanted = need + narrowing.spare
        hits = search.best(wanted, request.exact)
        if min_score is not None:
            hits = search.at_least(hits, wanted, min_score)
        counts, hits = hits.flat()
        rows, segments, ordinals = self.owners(view, self.field(leg.using)[1], hits.segments, hits.ordinals)
        ranked = Ranked(counts, rows, segments, ordinals, hits.scores, hits.distances)
        return ranked if narrowing.without is None else ranked.without(narrowing.without).window(0, need)

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
        ranked = []
        for leg in request.legs:
            # A leg never gives less than the window: else fewer than min(k, matches) could come out.
            depth = max(leg.depth or FUSION_DEPTH, window)
            found = self.leg(context, view, request, leg, depth, narrowing, explain)
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
        return Ranked(counts, rows, segments, ordinals, np.concatenate(all_scores), None)

    def fuse(
        self, view: View, request: SearchRequest, ranked: Sequence[tuple[UInt64, float]]
    ) -> tuple[UInt64, Float32]:
        """The hits of one query's legs, (rows best first, weight) each, as one list: rows and scores, best first."""
        assert isinstance(request.fusion, Rrf)
        rows, scores = fusion.reciprocal_rank(ranked, request.fusion.k)
        if request.min_score is not None:
            keep = scores.astype(np.float64) >= request.min_score
            rows, scores = rows[keep], scores[keep]
        order = self.by_score_and_id(view, rows, scores)
        return rows[order], scores[order]

    def by_score_and_id(self, view: View, rows: UInt64, scores: Float32) -> Int64:
        """The order of hits: score, then id bytes (the order of code points is the same)."""
        segments, ordinals = view.locate(rows)
        ids = self._ids(view, segments, ordinals)
        values = scores.tolist()
        return np.array(sorted(range(len(ids)), key=lambda i: (-values[i], ids[i])), dtype=np.int64)

    # -- from addresses to points

    def owners(
        self, view: View, field_id: int, part_segments: Int64, part_ordinals: Int64
    ) -> tuple[UInt64, Int64, Int64]:
        """The bodies that vectors belong to: rows, their segment indexes and ordinals (-1: none in this view)."""
        rows = np.empty(len(part_segments), dtype=np.uint64)
        segments, ordinals = part_segments, part_ordinals
        for index, where in _by_segment(part_segments):
            part = view.segments[index].parts[field_id]
            if part.same_rows and part.owners is None:
                rows[where] = part.slots[part_ordinals[where]]
                continue
            if segments is part_segments:
                segments, ordinals = part_segments.copy(), part_ordinals.copy()
            owners = owner_rows(self._lookup, view, part, part_ordinals[where])
            segments[where], ordinals[where] = view.locate(owners)
            rows[where] = owners
        return rows, segments, ordinals

    def _ids(self, view: View, segments: Int64, ordinals: Int64) -> list[str]:
        """Ids of bodies at (segment index, ordinal)."""
        out = [""] * len(segments)
        for index, where in _by_segment(segments):
            _put(out, where, view.segments[index].ids.take(ordinals[where]))
        return out

    def _fetch(self, view: View, rows: UInt64, segments: Int64, ordinals: Int64, select: Select) -> Points:
        ids = [""] * len(rows)
        versions = np.empty(len(rows), dtype=np.uint64)
        for index, where in _by_segment(segments):
            if index < 0:
                raise DataLoss(f"a vector belongs to row {rows[where][0]}, which this view does not have")
            segment, at = view.segments[index], ordinals[where]
            versions[where] = segment.seqs[at]
            _put(ids, where, segment.ids.take(at))
        if not (select.payload or select.texts or select.vectors):
            return Points(ids, versions)
        wanted = rows.tolist()
        bodies = self._lookup.bodies(wanted)
        payloads, texts, vectors = self._lookup.columns(bodies, wanted, select, self._fields)
        return Points(ids, versions, payloads, texts, vectors)

    # -- what a leg needs of us

    def vectors_passing(
        self,
        context: CallContext,
        view: View,
        field_id: int,
        filter: Filter | None,
        within: Sequence[Mask] | None,
        verified: Verified,
    ) -> list[Mask | None]:
        """By segment, which vectors of a field are those of living points that pass, and lie ``within`` (None: all).

        None for a segment without the field.
        """
        bodies = self._matcher.bodies(context, view, filter, verified)
        if within is not None:
            bodies = [w if b is None else b & w for b, w in zip(bodies, within, strict=True)]
        return vectors_of(self._lookup, view, field_id, bodies)

    @property
    def threads(self) -> int:
        return self._threads

    def field(self, using: str | None) -> tuple[str, int, VectorField]:
        """Name, number and declaration of a vector field."""
        name = vector_name(self._schema, using, "using")
        return name, self._fields.vectors[name], self._schema.vectors[name]


class _Leg:
    """One leg at one view."""

    def __init__(
        self,
        executor: Executor,
        context: CallContext,
        view: View,
        leg: Near,
        request: SearchRequest,
        explain: dict[str, Any] | None,
        within: Sequence[Mask] | None,
    ) -> None:
        self._executor = executor
        self._context = context
        self._view = view
        name, self._field_id, self._field = executor.field(leg.using)
        self._filter = both(context.scope, request.filter, leg.filter)
        self._within = within
        self._ef = request.ef or DEFAULT_EF
        self._queries = metric.prepare(self._field.metric, np.ascontiguousarray(leg.vectors, dtype=np.float32))
        self._explain: dict[str, Any] | None = None
        if explain is not None:
            self._explain = {"using": name, "ef": self._ef, "segments": []}
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

    def _best(self, queries: Float32, need: int, exact: bool) -> _Hits:
        view, field_id = self._view, self._field_id
        allowed_by_segment = self._allowed()
        found: list[_Hits] = []
        for index, segment in enumerate(view.segments):
            part = segment.parts.get(field_id)
            if part is None or len(part) == 0:
                continue
            allowed = allowed_by_segment[index]
            count = len(part) - part.dead if allowed is None else int(np.count_nonzero(allowed))
            facts = planner.PartFacts(len(part), count, self._field.dim, _has_graph(part))
            plan = planner.choose(facts, need=need, ef=self._ef, exact=exact)
            began = time.perf_counter()
            ordinals, again = self._candidates(part, plan, facts, queries, need, allowed)
            scores, distances = self._score(part, queries, ordinals)
            segments = np.where(ordinals < 0, -1, index)
            found.append(_Hits(segments, ordinals, scores, distances))
            if self._explain is not None:
                self._explain["segments"].append({**_story(segment, plan, facts, ordinals, began), **again})
        return self._order(found, len(queries), need)

    def _allowed(self) -> list[Mask | None]:
        """By segment, which ordinals of the part may be answered; None where all that live may.

        Without a filter no mask is made: judging a walk's few candidates by their stamps is much cheaper.
        """
        if self._filter is None and self._within is None and not self._view.expiring:
            return [None] * len(self._view.segments)
        if self._masks is None:
            began, verified = time.perf_counter(), Verified()
            self._masks = self._executor.vectors_passing(
                self._context, self._view, self._field_id, self._filter, self._within, verified
            )
            if self._explain is not None:
                self._explain["filter_ms"] = 1000 * (time.perf_counter() - began)
                self._explain["read_from_rows"] = verified.rows
                if verified.rows:
                    self._explain["not_in_columns"] = [to_dict(condition) for condition in verified.conditions]
        return self._masks

    def _candidates(
        self,
        part: Part,
        plan: planner.Plan,
        facts: planner.PartFacts,
        queries: Float32,
        need: int,
        allowed: Mask | None,
    ) -> tuple[Int64, dict[str, int]]:
        """Ordinals int64 ``[q, w]`` that hold the hits of this part, padded with -1 anywhere.

        Also for how many queries the plan did not do, by what was done instead.
        """
        if plan.kind == "empty" and allowed is not None:
            return np.full((len(queries), 0), -1, dtype=np.int64), {}
        if plan.kind != "graph":
            return self._scan(part, queries, need, allowed), {}
        assert part.index is not None
        self._walked = True
        threads = self._executor.threads if len(queries) > 1 else 1
        ordinals, _ = part.index.candidates(queries, plan.ask, self._ef, allowed, threads)
        width = need + SPARE_COLUMNS
        if allowed is None and part.dead:
            # The stamps of candidates alone; one that died after this view lives in it.
            dead = part.died[np.maximum(ordinals, 0)] <= np.uint64(self._view.seq)
            if dead.any():
                ordinals = _closed_up(np.where(dead, -1, ordinals))
        again: dict[str, int] = {}
        short = _shorter(ordinals, need)
        if allowed is not None:
            enough = min(planner.enough(need, self._ef), facts.allowed)
            short = _shorter(ordinals, enough)
            if len(short):
                ordinals = self._walk_wider(part.index, plan, facts, queries, enough, allowed, ordinals, short, again)
                short = _shorter(ordinals, enough)
        ordinals = ordinals[:, :width]
        if len(short):
            # Too many of the walk's answers were not allowed, or not reachable: only a scan is certain.
            again["scanned_again"] = len(short)
            ordinals = _replace_rows(ordinals, short, self._scan(part, queries[short], need, allowed))
        return ordinals, again

    def _walk_wider(
        self,
        index: VectorIndex,
        plan: planner.Plan,
        facts: planner.PartFacts,
        queries: Float32,
        need: int,
        allowed: Mask,
        ordinals: Int64,
        short: Int64,
        again: dict[str, int],
    ) -> Int64:
        """``ordinals`` with the answers of a wider walk for those queries of ``short`` that it should help."""
        found = np.count_nonzero(ordinals[short] >= 0, axis=1).tolist()
        plans = [planner.choose_again(facts, need=need, asked=plan.ask, found=some) for some in found]
        wider = [(query, second.ask) for query, second in zip(short.tolist(), plans, strict=True) if second.ask]
        if not wider:
            return ordinals
        self._context.check("searching")
        again["walked_wider"] = len(wider)
        where, ask = np.array([query for query, _ in wider]), max(ask for _, ask in wider)
        threads = self._executor.threads if len(where) > 1 else 1
        met, _ = index.candidates(queries[where], ask, self._ef, allowed, threads)
        widened: Int64 = _replace_rows(ordinals, where, met)
        return widened

    def _scan(self, part: Part, queries: Float32, need: int, allowed: Mask | None) -> Int64:
        if allowed is None:
            allowed = part.alive(self._view.seq)
        if part.index is not None:
            return part.index.exact(queries, need, allowed)[0]
        assert part.vectors is not None
        return flat.top(self._field.metric, queries, part.vectors, need, allowed, part.squares)[0]

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
        """Reorder one query's candidates so that equal scores stand by id bytes (code point order is the same)."""
        last = scores[order[min(need, len(order)) - 1]]
        candidates = order[(scores[order] >= last) & (segments[order] >= 0)]
        _, body_segments, body_ordinals = self._executor.owners(
            self._view, self._field_id, segments[candidates], ordinals[candidates]
        )
        ids = self._executor._ids(self._view, body_segments, body_ordinals)
        values = scores[candidates].tolist()
        by_id = sorted(range(len(ids)), key=lambda i: (-values[i], ids[i]))
        order[: len(candidates)] = candidates[by_id]


def _in_order(found: Sequence[Ranked], queries: Sequence[int]) -> Ranked:
    """The hits of ``found`` one after another, whose queries are numbered ``queries``, by these numbers."""
    counts = np.concatenate([ranked.counts for ranked in found])
    starts = np.cumsum(counts) - counts
    order = np.argsort(queries)
    counts, starts = counts[order], starts[order]
    at = np.repeat(starts - (np.cumsum(counts) - counts), counts) + np.arange(int(counts.sum()))

    def column(name: str) -> Any:
        return np.concatenate([getattr(ranked, name) for ranked in found])[at]

    distances = None if any(ranked.distances is None for ranked in found) else column("distances")
    return Ranked(counts, column("rows"), column("segments"), column("ordinals"), column("scores"), distances)


def _by_segment(segments: Int64) -> Iterator[tuple[int, Any]]:
    """(segment index, where it stands in ``segments``) for each that does; much quicker than np.unique for a few."""
    found = set(segments.tolist())
    if len(found) == 1:
        yield found.pop(), slice(None)
        return
    for index in sorted(found):
        yield index, np.flatnonzero(segments == index)


def _put(out: list[str], where: Any, some: list[str]) -> None:
    """``out[where] = some``; ``where`` as ``_by_segment`` gives it."""
    if isinstance(where, slice):
        out[where] = some
        return
    for i, value in zip(where.tolist(), some, strict=True):
        out[i] = value


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


def _story(
    segment: Segment, plan: planner.Plan, facts: planner.PartFacts, ordinals: Int64, began: float
) -> Mapping[str, Any]:
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
