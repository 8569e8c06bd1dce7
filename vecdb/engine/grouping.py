"""Search in groups: the best hits of each value at a key, at a view; exactly as many groups and hits as there are.

The executor is asked again and again, each time about fewer bodies: first those that have a value; while groups are
missing, those with a value not met yet; then those of groups that are short. A search that gives fewer hits than it was
asked for has given all there are, so the numbers are exact; which hits they are is as approximate as any search.

Of several legs, what a later search gives stands behind what the leg gave before, by the leg's own score, and all is
fused once: a hit beyond the width of the first search counts as if it came next.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from vecdb.engine.executor import Executor
from vecdb.engine.ranked import Narrowing, Ranked, by_score_and_id
from vecdb.engine.segment import UInt64
from vecdb.engine.values import Held, Values
from vecdb.engine.view import View
from vecdb.index.contract import Mask
from vecdb.model.context import CallContext
from vecdb.model.filter import Scalar, both
from vecdb.model.fusion import Rrf
from vecdb.model.order import rank
from vecdb.model.point import Float32, Int64
from vecdb.model.query import MAX_WINDOW, GroupBy, GroupCounts, SearchAnswer, SearchRequest

SPREAD = 4
"""Hits asked for at first, over those wanted: groups are seldom equally near."""
LEAST_WIDTH = 100


class Grouping:
    """Searches one collection in groups. Any thread may use it."""

    def __init__(self, executor: Executor, values: Values) -> None:
        self._executor = executor
        self._values = values

    def search(
        self, context: CallContext, view: View, request: SearchRequest, by: GroupBy, narrowing: Narrowing
    ) -> SearchAnswer:
        """Answer every query in groups. Raises InvalidArgument and its kin."""
        started = time.perf_counter()
        self._executor.check(request)
        explain = self._executor.story(request)
        held = [self._values.at(segment, by.key) for segment in view.segments]
        search = _Search(self._executor, context, view, request, narrowing.without, held)
        width = min(MAX_WINDOW, max(LEAST_WIDTH, SPREAD * request.most_hits))
        found = search.first(width, explain)
        for query, gathered in enumerate(found):
            _complete(search, query, gathered, by, width)
        ranked, groups = _answer(view, [_first(search.groups(g, by.size), request.limit) for g in found], found)
        if explain is not None:
            explain["groups"] = {"searches": search.searches, "bodies_with_a_value": search.with_a_value}
        return replace(self._executor.answer(view, request, ranked, started, explain), groups=groups)


@dataclass(slots=True)
class _Hits:
    """Hits of one leg for one query: best first, each row once."""

    rows: UInt64
    scores: Float32
    distances: Float32 | None


@dataclass(slots=True)
class _Gathered:
    """What is known for one query: the hits of each leg, their fusion, and whether there are no others."""

    legs: list[_Hits]
    fused: _Hits
    all: bool


@dataclass(slots=True)
class _Group:
    """A group: its value as its best hit has it, and the places of its hits in the fusion."""

    value: Scalar
    hits: list[int] = field(default_factory=list)


Groups = dict[Hashable, _Group]  # by rank of the value, in which 1 and 1.0 are equal; best first


@dataclass(slots=True)
class _Search:
    """The questions that one grouped search asks."""

    executor: Executor
    context: CallContext
    view: View
    request: SearchRequest
    without: Sequence[UInt64] | None
    held: list[Held]
    searches: int = 0
    with_a_value: int = 0

    def first(self, width: int, explain: dict[str, Any] | None) -> list[_Gathered]:
        """The best ``width`` hits of each leg for each query, among bodies with a value."""
        bodies: list[Mask] = [some.bodies() for some in self.held]
        self.with_a_value = sum(int(np.count_nonzero(mask)) for mask in bodies)
        everybody = self.with_a_value == sum(map(len, bodies))
        allowed = None if everybody else bodies
        if self.request.query_filters is None:
            found = list(zip(*self._ask(self.request, allowed, self.without, width, explain), strict=True))
        else:
            found = [self._one(query, allowed, width, explain) for query in range(self.request.queries)]
        out = []
        for query, hits in enumerate(found):
            ended = all(len(some.rows) < width for some in hits)
            out.append(_Gathered(list(hits), self._fused(query, hits), ended))
        return out

    def more(self, query: int, gathered: _Gathered, bodies: list[Mask], width: int) -> bool:
        """Ask for the best ``width`` hits among some bodies; whether those were all."""
        found = self._one(query, bodies, width, None)
        if any(len(some.rows) for some in found):
            gathered.legs = [self._joined(a, b) for a, b in zip(gathered.legs, found, strict=True)]
            gathered.fused = self._fused(query, gathered.legs)
        return all(len(some.rows) < width for some in found)

    def groups(self, gathered: _Gathered, size: int) -> Groups:
        """The groups of the hits that pass, best first, of each the best ``size``."""
        groups: Groups = {}
        for place, value in self._values_of(gathered.fused.rows):
            group = groups.setdefault(rank(value), _Group(value))
            if len(group.hits) < size and place not in group.hits[-1:]:
                group.hits.append(place)
        return groups

    def met(self, gathered: _Gathered) -> dict[Hashable, Scalar]:
        """The values of every group that a hit of any leg is in, whether it passes or not."""
        rows = np.unique(np.concatenate([some.rows for some in gathered.legs]))
        return {rank(value): value for _, value in self._values_of(rows)}

    def bodies(self, groups: Iterable[Scalar], among: bool) -> list[Mask]:
        """Bodies with a value ``among`` those of some groups, or with one that is not."""
        out = []
        for held in self.held:
            chosen = np.full(len(held.values), not among)
            for group in groups:
                codes = held.codes_of(group)
                chosen[codes.start : codes.stop] = among
            out.append(held.bodies(chosen))
        return out

    def hopeless(self, gathered: _Gathered) -> bool:
        """Whether no hit that is yet to come can pass: it would stand last in every leg."""
        least = self.request.min_score
        if least is None or len(self.request.legs) == 1:
            return False
        assert isinstance(self.request.fusion, Rrf)
        k, legs = self.request.fusion.k, self.request.legs
        next_ranks = [len(some.rows) + 1 for some in gathered.legs]
        best = sum(leg.weight / (k + place) for leg, place in zip(legs, next_ranks, strict=True))
        return bool(np.float32(best / sum(leg.weight / (k + 1) for leg in legs)) < least)

    def _one(
        self, query: int, bodies: list[Mask] | None, width: int, explain: dict[str, Any] | None
    ) -> tuple[_Hits, ...]:
        """The hits of each leg for one query, within its own filter."""
        request = self.request.cut(query, query + 1)
        if request.query_filters is not None:
            (own,) = request.query_filters
            request = replace(request, filter=both(request.filter, own), query_filters=None)
        without = None if self.without is None else self.without[query : query + 1]
        return tuple(hits for (hits,) in self._ask(request, bodies, without, width, explain))

    def _ask(
        self,
        request: SearchRequest,
        bodies: list[Mask] | None,
        without: Sequence[UInt64] | None,
        width: int,
        explain: dict[str, Any] | None,
    ) -> list[list[_Hits]]:
        """The hits of each leg, by query."""
        self.context.check("searching for groups")
        self.searches += 1
        least = request.min_score if len(request.legs) == 1 else None  # of several legs it is said of the fusion
        narrowing = Narrowing(bodies, without)
        return [
            _by_query(self.executor.leg(self.context, self.view, request, leg, width, narrowing, explain, least))
            for leg in request.legs
        ]

    def _fused(self, query: int, legs: Sequence[_Hits]) -> _Hits:
        if len(legs) == 1:
            return legs[0]
        ranked = [(some.rows, leg.weight) for some, leg in zip(legs, self.request.legs, strict=True)]
        rows, scores = self.executor.fuse(self.view, self.request, ranked)
        return _Hits(rows, scores, None)

    def _joined(self, a: _Hits, b: _Hits) -> _Hits:
        """The hits of both, in order."""
        _, first = np.unique(np.concatenate([a.rows, b.rows]), return_index=True)
        rows, scores = np.concatenate([a.rows, b.rows])[first], np.concatenate([a.scores, b.scores])[first]
        assert a.distances is not None
        assert b.distances is not None
        distances = np.concatenate([a.distances, b.distances])[first]
        order = by_score_and_id(self.view, *self.view.locate(rows), scores)
        return _Hits(rows[order], scores[order], distances[order])

    def _values_of(self, rows: UInt64) -> list[tuple[int, Scalar]]:
        """Pairs of a position in ``rows`` and a value of it, by position; 1 before 1.0."""
        pairs: list[tuple[int, int, Scalar]] = []
        segments, ordinals = self.view.locate(rows)
        for index in np.unique(segments).tolist():
            where = np.flatnonzero(segments == index)
            held = self.held[index]
            positions, codes = held.of(ordinals[where])
            distinct, which = np.unique(codes, return_inverse=True)
            values = held.values.take(distinct)
            pairs += [
                (position, code, values[at])
                for position, code, at in zip(where[positions].tolist(), codes.tolist(), which.tolist(), strict=True)
            ]
        pairs.sort(key=lambda pair: pair[:2])
        return [(position, value) for position, _, value in pairs]


def _complete(search: _Search, query: int, gathered: _Gathered, by: GroupBy, width: int) -> None:
    """Search on until there are enough groups, or no others, and each has enough hits, or all it has."""
    limit = search.request.limit
    wide = width
    while not gathered.all and len(search.groups(gathered, 1)) < limit and not search.hopeless(gathered):
        wide = min(MAX_WINDOW, 2 * wide)
        if search.more(query, gathered, search.bodies(search.met(gathered).values(), among=False), wide):
            break  # every group was met
    complete: set[Hashable] = set()
    while not gathered.all:
        short = _short(search, gathered, by.size, complete)
        if not short:
            break
        # One search for all of them; those that the near ones crowd out are asked for one by one.
        if not search.more(query, gathered, search.bodies(short.values(), among=True), width):
            for group, value in _short(search, gathered, by.size, complete).items():
                if group in short:
                    search.more(query, gathered, search.bodies([value], among=True), by.size)
        complete |= short.keys()


def _short(search: _Search, gathered: _Gathered, size: int, complete: set[Hashable]) -> dict[Hashable, Scalar]:
    """The values of the groups of the answer with fewer than ``size`` hits, but for those that have no more."""
    answer = _first(search.groups(gathered, size), search.request.limit)
    return {g: found.value for g, found in answer.items() if len(found.hits) < size and g not in complete}


def _first(groups: Groups, limit: int) -> Groups:
    return dict(list(groups.items())[:limit])


def _answer(view: View, answers: list[Groups], found: list[_Gathered]) -> tuple[Ranked, list[GroupCounts]]:
    """The hits of all queries, group after group, and how many each group has."""
    places = [
        np.array([place for group in groups.values() for place in group.hits], dtype=np.int64) for groups in answers
    ]
    rows = np.concatenate([g.fused.rows[at] for g, at in zip(found, places, strict=True)])
    scores = np.concatenate([g.fused.scores[at] for g, at in zip(found, places, strict=True)])
    distances = [g.fused.distances[at] for g, at in zip(found, places, strict=True) if g.fused.distances is not None]
    segments, ordinals = view.locate(rows)
    counts: Int64 = np.array([len(at) for at in places], dtype=np.int64)
    ranked = Ranked(counts, rows, segments, ordinals, scores, np.concatenate(distances) if distances else None)
    groups = [GroupCounts([g.value for g in a.values()], [len(g.hits) for g in a.values()]) for a in answers]
    return ranked, groups


def _by_query(ranked: Ranked) -> list[_Hits]:
    ends = np.cumsum(ranked.counts).tolist()
    starts = [0, *ends[:-1]]
    return [
        _Hits(
            ranked.rows[start:end],
            ranked.scores[start:end],
            None if ranked.distances is None else ranked.distances[start:end],
        )
        for start, end in zip(starts, ends, strict=True)
    ]
