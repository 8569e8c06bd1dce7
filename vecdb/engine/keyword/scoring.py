"""BM25 over postings, term at a time, and the best documents without looking at all of them.

Documents are numbered through all segments (see Source); sets of them are int64, ascending. A score is a float64 sum
over the *scorers* of a query in one fixed order, the rarest first, so it does not depend on how texts fell into
segments, nor on what was skipped.

What is skipped (Turtle and Flood, Query Evaluation: Strategies and Optimizations, 1995: "max score"): once as many
documents as are wanted have more than all the terms left could give together, those that hold only such terms cannot be
hits, and the terms are looked up in the documents met, not the documents by the terms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb.engine.keyword.clauses import Unit
from vecdb.engine.keyword.counting import Field, Held, Source
from vecdb.index import bm25
from vecdb.index.analysis.contract import Analyzer
from vecdb.index.bm25 import Float64
from vecdb.index.contract import Mask
from vecdb.model.context import CallContext
from vecdb.model.point import Int64

SLACK = 1e-6
"""Sums this near to each other, relatively, may be one float32 score, among which ids decide."""
_SHARE = 4  # of many terms a fourth of those left are taken together; few are taken one by one
_MUCH_LARGER = 8  # of two lists the smaller is looked up in the other, unless they are of like size

Scores = tuple[Int64, Float64]
"""Documents, ascending, and a number for each."""


class TermScores:
    """What one group of terms adds in one field; ``held``: where each of some sources of the field holds it."""

    def __init__(self, field: Field, held: Sequence[tuple[Source, Held]], holding: int, times: int) -> None:
        self._field = field
        self._held = held
        self.holding = holding
        self._weight = field.boost * times * bm25.idf(field.totals.texts, holding)

    @cached_property
    def bound(self) -> float:
        """No document is given more."""
        there = [(source, held) for source, held in self._held if len(held.ordinals)]
        if not self.holding or not there:  # while a field is indexed anew, only texts of another analyzer may hold it
            return 0.0
        most = max(float(held.frequencies.max()) for _, held in there)
        least = min(source.shortest for source, _ in there)
        return bm25.bound(most, least, self._weight, self._field.totals.mean_length, self._field.by)

    def documents(self) -> Scores:
        """The allowed documents that hold it, and what it adds to each."""
        if not self.holding:
            return NOTHING
        some: list[Int64] = []
        scores: list[Float64] = []
        for source, held in self._held:
            places, frequencies = held.places, held.frequencies
            if source.allowed is not None:
                kept = source.allowed.take(places)
                places, frequencies = places[kept], frequencies[kept]
            some.append(places + source.base if source.documents is None else source.documents[places])
            scores.append(self._score(source, places, frequencies))
        if len(some) == 1 and self._held[0][0].documents is None:
            return some[0], scores[0]
        documents, all_scores = np.concatenate(some), np.concatenate(scores)
        if all(source.documents is None for source, _ in self._held):
            return documents, all_scores
        order = np.argsort(documents, kind="stable")
        return documents[order], all_scores[order]

    def at(self, documents: Int64) -> Float64:
        """What it adds to each of some allowed documents; 0 where they do not hold it."""
        out = np.zeros(len(documents))
        for source, held in self._held if self.holding else ():
            where, places, frequencies = _met(source, held, documents)
            out[where] = self._score(source, places, frequencies)
        return out

    def has(self, documents: Int64) -> Mask:
        """Which of some allowed documents hold it."""
        out = np.zeros(len(documents), dtype=np.bool_)
        for source, held in self._held if self.holding else ():
            out[_met(source, held, documents)[0]] = True
        return out

    def _score(self, source: Source, places: Int64, frequencies: NDArray[Any]) -> Float64:
        field = self._field
        lengths = source.postings.lengths.take(places)
        return bm25.score(frequencies, lengths, self._weight, field.totals.mean_length, field.by)


@dataclass(frozen=True, slots=True)
class Scorer:
    """A unit of a query in one field (by its place among those searched): what it takes to hold it, and what that adds.

    ``analyzer``: of the texts that it is looked up in.
    """

    unit: Unit
    field: int
    analyzer: Analyzer
    required: tuple[TermScores, ...]
    scored: tuple[TermScores, ...]

    @property
    def holding(self) -> int:
        """No more documents than these hold it."""
        return min(term.holding for term in self.required)

    @property
    def bound(self) -> float:
        """No document is given more."""
        return sum(term.bound for term in self.scored)

    @property
    def _is_term(self) -> bool:
        return len(self.required) == 1 and self.required == self.scored

    def documents(self) -> Scores:
        """The allowed documents that hold all that is required, and what is added to each."""
        rarest = min(self.required, key=lambda term: term.holding)
        documents, scores = rarest.documents()
        if self._is_term:
            return documents, scores
        for term in self.required:
            if term is not rarest:
                documents = documents[term.has(documents)]
        return documents, self._sum(documents)

    def at(self, documents: Int64) -> Float64:
        """What is added to each of some allowed documents; 0 where they do not hold all that is required."""
        if self._is_term:
            return self.required[0].at(documents)
        out = np.zeros(len(documents))
        has = self.has(documents)
        out[has] = self._sum(documents[has])
        return out

    def has(self, documents: Int64) -> Mask:
        """Which of some allowed documents hold all that is required."""
        out = np.ones(len(documents), dtype=np.bool_)
        for term in self.required:
            out &= term.has(documents)
        return out

    def _sum(self, documents: Int64) -> Float64:
        out = np.zeros(len(documents))
        for term in self.scored:
            out += term.at(documents)
        return out


NOTHING: Scores = (np.zeros(0, dtype=np.int64), np.zeros(0))


def best(
    context: CallContext,
    scorers: Sequence[Scorer],
    need: int,
    size: int,
    keep: Callable[[Int64], Mask] | None = None,
) -> Scores:
    """Documents that hold any of the scorers, and their scores: at least the ``need`` best and all equal to the last.

    ``size``: there are so many documents; ``keep``: which of some may be answered. Raises DeadlineExceeded.
    """
    left = [0.0]
    for scorer in reversed(scorers):
        left.append(left[-1] + scorer.bound)
    left.reverse()  # what the scorers from the i-th on can add together
    met, i = NOTHING, 0
    while i < len(scorers):
        least = _least(met[1], need)
        if left[i] < least:
            return _looked_up(context, scorers[i:], left[i:], met, need)
        runs = [met]
        for scorer in scorers[i : i + max(1, (len(scorers) - i) // _SHARE)]:
            context.check("scoring")
            documents, scores = scorer.documents()
            if keep is not None:
                kept = keep(documents)
                documents, scores = documents[kept], scores[kept]
            runs.append((documents, scores))
        i += len(runs) - 1
        if len(runs) == 2:
            least = max(least, _least(runs[1][1], need))
        met = _merged(runs, size, least - left[i])
    return met


def sums(
    context: CallContext, scorers: Sequence[Scorer], documents: Int64, holds: Callable[[int], Mask] | None = None
) -> Float64:
    """The scores of some documents by all the scorers; ``holds`` corrects what the i-th says of them.

    Raises DeadlineExceeded.
    """
    out = np.zeros(len(documents))
    for i, scorer in enumerate(scorers):
        context.check("scoring")
        added = scorer.at(documents)
        if holds is not None and scorer.unit.phrase:
            added[~holds(i)] = 0.0
        out += added
    return out


def union(some: Sequence[Int64], size: int) -> Int64:
    """The documents of any of the sets."""
    if len(some) < 2:
        return some[0] if some else NOTHING[0]
    if _MUCH_LARGER * sum(map(len, some)) < size:
        return np.unique(np.concatenate(some))
    seen = np.zeros(size, dtype=np.bool_)
    for documents in some:
        seen[documents] = True
    return np.flatnonzero(seen)


def _looked_up(
    context: CallContext, scorers: Sequence[Scorer], left: Sequence[float], met: Scores, need: int
) -> Scores:
    """Of the documents met those that can be hits, with what the scorers add; ``left`` as in ``best``."""
    documents, scores = met
    for i, scorer in enumerate(scorers):
        context.check("scoring")
        kept = scores + left[i] >= _least(scores, need)
        documents, scores = documents[kept], scores[kept]
        scores = scores + scorer.at(documents)
    return documents, scores


def _least(scores: Float64, need: int) -> float:
    """What a document must have at least to be among the ``need`` best of these, but for rounding."""
    if len(scores) < need:
        return -np.inf
    least = float(np.partition(scores, len(scores) - need)[len(scores) - need])
    return least * (1.0 - SLACK)


def _merged(runs: Sequence[Scores], size: int, least: float) -> Scores:
    """The documents of any run that have ``least`` or more together: sums in the order of the runs."""
    runs = [run for run in runs if len(run[0])]
    if len(runs) < 2:
        documents, scores = runs[0] if runs else NOTHING
    elif _MUCH_LARGER * sum(len(documents) for documents, _ in runs) < size:
        every = np.concatenate([documents for documents, _ in runs])
        order = np.argsort(every, kind="stable")  # of ascending runs: merges them
        every = every[order]
        is_first = np.diff(every, prepend=-1) > 0
        documents = every[is_first]
        weights = np.concatenate([scores for _, scores in runs])[order]
        which = np.cumsum(is_first) - 1
        scores = np.asarray(np.bincount(which, weights=weights), dtype=np.float64)  # adds one after another
    else:
        dense = np.zeros(size)
        dense[runs[0][0]] = runs[0][1]
        for documents, scores in runs[1:]:
            dense[documents] += scores
        documents = np.flatnonzero(dense >= least if least > 0.0 else dense > 0.0)
        return documents, dense[documents]
    if least <= 0.0:
        return documents, scores
    kept = scores >= least
    return documents[kept], scores[kept]


def _met(source: Source, held: Held, documents: Int64) -> tuple[Int64, Int64, NDArray[Any]]:
    """Of some documents those that hold a group: where they stand among them, their ordinals, and how often they do."""
    if source.documents is None:
        first, last = np.searchsorted(documents, [source.base, source.base + len(source.postings)]).tolist()
        where, places, frequencies = _among(held, documents[first:last] - source.base, len(source.postings))
        return where + first, places, frequencies
    texts = source.texts_by_document
    wanted = texts.take(np.minimum(documents, len(texts) - 1))
    theirs = np.flatnonzero(wanted >= 0)
    where, places, frequencies = _among(held, wanted[theirs], len(source.postings))
    return theirs[where], places, frequencies


def _among(held: Held, wanted: Int64, texts: int) -> tuple[Int64, Int64, NDArray[Any]]:
    """Of some of so many texts those that hold a group, as ``_met`` tells them."""
    if _MUCH_LARGER * len(wanted) < len(held.ordinals):
        entries, same = _found(held.ordinals, wanted.astype(np.uint32))
        return np.flatnonzero(same), wanted[same], held.frequencies[entries[same]]
    how_often = np.zeros(texts, dtype=held.frequencies.dtype)
    how_often[held.places] = held.frequencies
    found = how_often.take(wanted)
    where = np.flatnonzero(found > 0)
    return where, wanted[where], found[where]


def _found(among: NDArray[Any], wanted: NDArray[Any]) -> tuple[Int64, Mask]:
    """Where each of ``wanted`` would stand in ``among``, which ascends, and whether it is there."""
    at = np.searchsorted(among, wanted)
    same = at < len(among)
    same[same] = among[at[same]] == wanted[same]
    return at, same
