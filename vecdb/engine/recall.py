"""What was measured of the graph of a part, and how widely it is walked for a target. Pure: numbers in, numbers out.

Kept is, for each query, from which width of walks on each of its true nearest neighbours is found. Recall@k at any
width, for every k up to DEPTH, is a mean over that; parts measured by the same queries give that of all together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from vecdb.index.contract import Mask
from vecdb.model.point import Float32
from vecdb.model.recall import RECALL_K, Recall

Steps = NDArray[np.uint8]

LADDER = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1_024, 1_536, 2_048, 4_096)
"""The widths walked, each about a third more than the one before: between two recall is interpolated."""
NEVER = len(LADDER)
NONE = 255
"""Stands where there is no neighbour: fewer vectors live than were looked for."""
NO_SLOT = np.uint64(2**64 - 1)
DEPTH = 100
"""Neighbours looked for, as many as a leg of several gives; more take a width in proportion."""
QUERIES = 200
"""Measured by so many, recall@10 of a hard set has a standard error of .007 or less (docs/decisions)."""
LEAST_QUERIES = 32
"""Fewer than these say too little: what was measured by them chooses no width and condemns no graph."""

UNMEASURED = ((0.95, 96), (0.98, 192), (0.99, 256), (1.0, 1_024))
"""Up to which target which width is taken where nothing was measured: enough on each of the five sets of decision
0002.
"""


@dataclass(frozen=True, eq=False, slots=True)
class Sample:
    """Queries to measure a field by: prepared, float32 ``[q, dim]``, drawn at ``drawn_at`` (seconds since 1970).

    ``slots`` (uint64 ``[q]``): those of stored vectors, which are not looked for by themselves, else NO_SLOT.
    ``asked``: how many queries had been asked by then.
    """

    queries: Float32
    slots: NDArray[np.uint64]
    asked: int
    drawn_at: float

    @property
    def stored(self) -> int:
        """How many of the queries are stored vectors."""
        return int(np.count_nonzero(self.slots != NO_SLOT))

    @property
    def asked_queries(self) -> int:
        """How many of them somebody asked."""
        return len(self.slots) - self.stored


@dataclass(frozen=True, slots=True)
class Width:
    """How widely a graph is walked for a target, ``ef`` None: not at all, it is scanned.

    ``recall`` was measured at that width, by ``queries`` queries, ``stored`` of them stored vectors; None: nothing was.
    """

    ef: int | None
    recall: float | None = None
    queries: int = 0
    stored: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class PartRecall:
    """What was measured of a part by ``sample``, when ``vectors`` of it lived.

    ``steps`` (uint8 ``[q, DEPTH]``): the index in LADDER of the width from which on the neighbour of that rank is
    found, NEVER, or NONE. ``scores`` (float32 ``[q, RECALL_K]``): those of the first, -inf where there is none.
    """

    sample: Sample
    steps: Steps
    scores: Float32
    vectors: int
    measured_at: float
    _curves: dict[int, tuple[list[float], list[float]]] = field(default_factory=dict)

    def at(self, ef: int, k: int = RECALL_K) -> tuple[float, float]:
        """Recall@k at the widest step up to ``ef``, and its standard error."""
        at = sum(width <= ef for width in LADDER) - 1
        means, errors = self._curve(k)
        return means[at], errors[at]

    def reaching(self, target: float, need: int) -> Width:
        """The least width at which ``need`` hits have the recall ``target``; a scan where the widest does not reach it.

        Judged is the mean less its standard error, and between two steps the straight line between them: recall rises
        ever more slowly with the width, so the line runs below it.
        """
        k = min(need, DEPTH)
        means, errors = self._curve(k)
        steps = [(LADDER[at], means[at], means[at] - errors[at]) for at in range(len(LADDER)) if LADDER[at] >= k]
        queries, stored = len(self.steps), self.sample.stored
        reached = next((at for at, (_, _, sure) in enumerate(steps) if sure >= target), None)
        if reached is None:
            return Width(None, 1.0, queries, stored)
        width, mean, sure = steps[reached]
        if reached:
            narrow, less, short = steps[reached - 1]
            share = (target - short) / (sure - short)
            width, mean = narrow + math.ceil(share * (width - narrow)), less + share * (mean - less)
        return Width(width if need <= DEPTH else -(-width * need // DEPTH), mean, queries, stored)

    def told(self) -> Recall:
        """Recall@10 of this part alone, for people."""
        return _told(self.steps[:, :RECALL_K], self.sample, self.vectors, self.measured_at)

    def nbytes(self) -> int:
        """Bytes held, the queries left out: other parts have the same."""
        return self.steps.nbytes + self.scores.nbytes

    def _curve(self, k: int) -> tuple[list[float], list[float]]:
        """Mean recall@k at each width, and the standard errors; two threads may both work it out."""
        if k not in self._curves:
            self._curves[k] = _means(self.steps[:, :k])
        return self._curves[k]


def width(known: PartRecall | None, target: float, need: int, default: int) -> Width:
    """How widely to walk for ``need`` hits at a target; ``default`` is the width of a search without one.

    Stored vectors are easier to find than what people ask, as their own links lead to their neighbours: what was
    measured by these only makes a walk wider.
    """
    guess = max(default, next(ef for most, ef in UNMEASURED if target <= most))
    if known is None or len(known.steps) < LEAST_QUERIES:
        return Width(guess)
    chosen = known.reaching(target, need)
    if chosen.ef is not None and chosen.ef < guess and known.sample.asked_queries < LEAST_QUERIES:
        return replace(chosen, ef=guess)
    return chosen


def together(parts: Iterable[PartRecall]) -> Recall | None:
    """Recall@10 of all the graphs of a field as one, None where none was measured.

    Of parts that were measured by different queries, those of the queries that speak of most vectors.
    """
    groups: dict[int, list[PartRecall]] = {}
    for part in parts:
        groups.setdefault(id(part.sample), []).append(part)
    if not groups:
        return None
    group = max(groups.values(), key=lambda some: sum(part.vectors for part in some))
    scores = np.concatenate([part.scores for part in group], axis=1)
    steps = np.concatenate([part.steps[:, :RECALL_K] for part in group], axis=1)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :RECALL_K]
    return _told(
        np.take_along_axis(steps, best, axis=1),
        group[0].sample,
        sum(part.vectors for part in group),
        min(part.measured_at for part in group),
    )


def steps_of(found: Sequence[Mask], there: Mask) -> Steps:
    """From which step on each neighbour is found, at that and every wider one walked, uint8 ``[q, w]``.

    ``found``: bool ``[q, w]`` by step, from the narrowest. ``there``: which neighbours there are.
    """
    steps: Steps = np.zeros(there.shape, dtype=np.uint8)
    for at, flags in enumerate(found):
        steps[~flags] = at + 1
    steps[steps == len(found)] = NEVER
    steps[~there] = NONE
    return steps


def matched(true: Float32, met: Float32) -> Mask:
    """Which of the true neighbours were met, bool ``[q, w]``, by their scores ``[q, w]``, best first.

    ``met``: scores ``[q, c]`` of different vectors; -inf pads either. Of equal ones it counts how many were met, not
    which: no search can tell them apart.
    """
    count = (true[:, :, None] == met[:, None, :]).sum(axis=2)
    before = np.tril(true[:, :, None] == true[:, None, :], -1).sum(axis=2)
    found: Mask = (count > before) & (true > -np.inf)
    return found


def _means(steps: Steps) -> tuple[list[float], list[float]]:
    """Of each width the mean over the queries of the share of neighbours found, and its standard error."""
    there = steps != NONE
    counts = there.sum(axis=1)
    some = counts > 0
    means, errors = [], []
    for at in range(len(LADDER)):
        shares = (steps[some] <= at).sum(axis=1) / counts[some]
        means.append(float(shares.mean()) if len(shares) else 1.0)
        errors.append(float(shares.std() / np.sqrt(len(shares))) if len(shares) else 0.0)
    return means, errors


def _told(steps: Steps, sample: Sample, vectors: int, measured_at: float) -> Recall:
    means, _ = _means(steps)
    return Recall(
        k=RECALL_K,
        queries=len(steps),
        stored=sample.stored,
        vectors=vectors,
        measured_at_ms=int(1000 * measured_at),
        by_ef=dict(zip(LADDER, means, strict=True)),
    )
