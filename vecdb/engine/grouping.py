"""Search in groups: the best hits of each value at a key, at a view; exactly as many groups and hits as there are.

The executor is asked again and again, each time about fewer bodies: first those that have a value; while groups are
missing, those with a value not met yet; then those of groups that are short. A search that gives fewer hits than it was
asked for has given all there are, so the numbers are exact; which hits they are is as approximate as any search.

Of several legs, what a later search gives stands behind what the leg gave before, by the leg's own score, and all is
fused anew: a hit beyond the width of the first search counts as if it came next. Where scores are fused, their scale is
that of as many hits as the first search was asked for, so a later search leaves the scores of earlier hits alone.
Modifiers come after that. A threshold for fused or modified scores is kept at the end: what does not reach it is last.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from vecdb.engine.executor import Executor, least_of_leg
from vecdb.engine.ranked import Narrowing, Ranked, end_to_end
from vecdb.engine.segment import UInt64
from vecdb.engine.values import Held, Values
from vecdb.engine.view import View
from vecdb.index.contract import Mask
from vecdb.model.context import CallContext
from vecdb.model.filter import Scalar
from vecdb.model.order import rank
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
        width = min(MAX_WINDOW, max(LEAST_WIDTH, SPREAD * request.most_hits, *(leg.depth or 0 for leg in request.legs)))
        search = _Search(self._executor, context, view, request, narrowing.without, held, width)
        found = search.first(explain)
        for query, gathered in enumerate(found):
            _complete(search, query, gathered, by)
        ranked, groups = _answer(search, found, by.size)
        if explain is not None:
            explain["groups"] = {"searches": search.searches, "bodies_with_a_value": search.with_a_value}
        return replace(self._executor.answer(context, view, request, ranked, started, explain), groups=groups)


@dataclass(slots=True)
class _Gathered:
    """What is known for one query: the hits of each leg, all of them as one list, and whether there are no others."""

    legs: list[Ranked]
    together: Ranked
    all: bool


@dataclass(slots=True)
class _Group:
    """A group: its value as its best hit has it, and the places of its hits among all."""

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
    width: int
    searches: int = 0
    with_a_value: int = 0

    def first(self, explain: dict[str, Any] | None) -> list[_Gathered]:
        """The best ``width`` hits of each leg for each query, among bodies with a value."""
        bodies: list[Mask] = [some.bodies() for some in self.held]
        self.with_a_value = sum(int(np.count_nonzero(mask)) for mask in bodies)
        everybody = self.with_a_value == sum(map(len, bodies))
        found = self._ask(self.request, None if everybody else bodies, self.without, self.width, explain)
        together = self._together(found, explain).each()
        by_query = zip(*(ranked.each() for ranked in found), strict=True)
        return [
            _Gathered(list(legs), all_of_it, all(len(some.rows) < self.width for some in legs))
            for legs, all_of_it in zip(by_query, together, strict=True)
        ]

    def more(self, query: int, gathered: _Gathered, bodies: list[Mask], width: int) -> bool:
        """Ask for the best ``width`` hits among some bodies; whether those were all."""
        request = self.request.cut(query, query + 1)
        without = None if self.without is None else self.without[query : query + 1]
        found = self._ask(request, bodies, without, width, None)
        if any(len(some.rows) for some in found):
            gathered.legs = [self._joined(a, b) for a, b in zip(gathered.legs, found, strict=True)]
            gathered.together = self._together(gathered.legs, None)
        return all(len(some.rows) < width for some in found)

    def groups(self, gathered: _Gathered, size: int) -> Groups:
        """The groups of the hits, best first, of each the best ``size``."""
        groups: Groups = {}
        for place, value in self._values_of(gathered.together):
            group = groups.setdefault(rank(value), _Group(value))
            if len(group.hits) < size and place not in group.hits[-1:]:
                group.hits.append(place)
        return groups

    def met(self, gathered: _Gathered) -> dict[Hashable, Scalar]:
        """The values of every group that a hit is in."""
        return {rank(value): value for _, value in self._values_of(gathered.together)}

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

    def _ask(
        self,
        request: SearchRequest,
        bodies: list[Mask] | None,
        without: Sequence[UInt64] | None,
        width: int,
        explain: dict[str, Any] | None,
    ) -> list[Ranked]:
        """The hits of each leg."""
        self.context.check("searching for groups")
        self.searches += 1
        narrowing, least = Narrowing(bodies, without), least_of_leg(request)
        return [
            self.executor.leg(self.context, self.view, request, leg, width, narrowing, explain, least)
            for leg in request.legs
        ]

    def _together(self, legs: Sequence[Ranked], explain: dict[str, Any] | None) -> Ranked:
        return self.executor.together(self.context, self.view, self.request, legs, explain, depth=self.width)

    def _joined(self, a: Ranked, b: Ranked) -> Ranked:
        """The hits of one query from both, in order."""
        both = end_to_end([a, b])
        _, first = np.unique(both.rows, return_index=True)
        return both.take(first, np.array([len(first)])).sorted(self.view)

    def _values_of(self, ranked: Ranked) -> list[tuple[int, Scalar]]:
        """Pairs of a position among the hits and a value, by position; 1 before 1.0."""
        pairs: list[tuple[int, int, Scalar]] = []
        for index in np.unique(ranked.segments).tolist():
            where = np.flatnonzero(ranked.segments == index)
            held = self.held[index]
            positions, codes = held.of(ranked.ordinals[where])
            distinct, which = np.unique(codes, return_inverse=True)
            values = held.values.take(distinct)
            pairs += [
                (position, code, values[at])
                for position, code, at in zip(where[positions].tolist(), codes.tolist(), which.tolist(), strict=True)
            ]
        pairs.sort(key=lambda pair: pair[:2])
        return [(position, value) for position, _, value in pairs]


def _complete(search: _Search, query: int, gathered: _Gathered, by: GroupBy) -> None:
    """Search on until there are enough groups, or no others, and each has enough hits, or all it has."""
    limit = search.request.limit
    wide = width = search.width
    while not gathered.all and len(search.groups(gathered, 1)) < limit:
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


def _answer(search: _Search, found: list[_Gathered], size: int) -> tuple[Ranked, list[GroupCounts]]:
    """The hits of all queries, group after group, and how many each group has."""
    request, hits, counts = search.request, [], []
    least = request.min_score if least_of_leg(request) is None else None
    for gathered in found:
        groups = _first(search.groups(gathered, size), request.limit)
        reach = len(gathered.together.at_least(least).rows)  # the first, as they are in the order of scores
        passing = [(group.value, [place for place in group.hits if place < reach]) for group in groups.values()]
        passing = [(value, places) for value, places in passing if places]
        at = np.array([place for _, places in passing for place in places], dtype=np.int64)
        hits.append(gathered.together.take(at, np.array([len(at)])))
        counts.append(GroupCounts([value for value, _ in passing], [len(places) for _, places in passing]))
    return end_to_end(hits), counts
