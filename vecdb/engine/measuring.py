"""Measure the recall of graphs in idle time: a few queries of one part at a time, against a scan of that part.

Used by the builder's thread alone; what it found is put at the part, whole, where any reader may look. It goes with
the part: a merged or rebuilt segment is measured anew, and so is everything after a start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from vecdb.engine import recall
from vecdb.engine.asked import Asked
from vecdb.engine.near_leg import SPARE_COLUMNS
from vecdb.engine.recall import DEPTH, LADDER, LEAST_QUERIES, NO_SLOT, QUERIES, PartRecall, Sample, Steps
from vecdb.engine.segment import ALIVE, Part, Segment, UInt64
from vecdb.index import metric
from vecdb.index.contract import Mask
from vecdb.model.point import Float32, Int64
from vecdb.model.recall import RECALL_K
from vecdb.model.schema import Metric, VectorField

RENEW_S = 3_600.0
"""A sample is drawn anew when it is so old and enough was asked since: what people ask changes by the day."""
SLICE_QUERIES = 8
SLICE_PRODUCTS = 1 << 26
"""A slice scans for as many queries as make so many products of two numbers, up to 8: some 20 ms, and for the largest
segment, one query at a time, 80 ms.
"""
TRUE_COLUMNS = 256
"""Of what a scan says may be among the first DEPTH so many are scored: more of them would be equals."""


@dataclass(slots=True)
class Progress:
    """A part that is being measured: its sample, and what came of its first ``done`` queries."""

    segment: Segment
    part: Part
    sample: Sample
    steps: list[Steps] = field(default_factory=list)
    scores: list[Float32] = field(default_factory=list)
    widest: int = len(LADDER)
    done: int = 0


class Measuring:
    """What the recall of one collection is measured by, and how far that is."""

    def __init__(self) -> None:
        self._samples: dict[int, Sample] = {}
        self._progress: Progress | None = None
        self._rng = np.random.default_rng(0)

    def slice(
        self,
        segments: list[Segment],
        fields: dict[int, VectorField],
        asked: Asked,
        now: float,
        stop: Callable[[], bool],
    ) -> tuple[bool, tuple[Segment, int] | None]:
        """Measure a few queries; whether there was something to do, and a segment and field first known by that.

        ``now``: seconds since 1970. ``stop`` is looked at before each walk: what was begun is then left undone.
        """
        for field_id in self._samples.keys() - fields.keys():
            del self._samples[field_id]
        for field_id, declared in fields.items():
            graphs = [segment for segment in segments if _has_graph(segment.parts.get(field_id))]
            if not graphs:
                continue
            sample = self._sample(graphs, field_id, declared, asked, now)
            if not len(sample.queries):
                continue  # what was drawn is dead
            for segment in graphs:
                part = segment.parts[field_id]
                known = part.recall
                if known is None or known.sample is not sample:
                    self._go_on(segment, part, sample, declared.metric, now, stop)
                    return True, (segment, field_id) if known is None and part.recall is not None else None
        self._progress = None
        return False, None

    def _go_on(
        self, segment: Segment, part: Part, sample: Sample, of: Metric, now: float, stop: Callable[[], bool]
    ) -> None:
        progress = self._progress
        if progress is None or progress.part is not part or progress.sample is not sample:
            progress = self._progress = Progress(segment, part, sample)
        end = progress.done + queries_of_slice(part, sample.queries.shape[1])
        queries = sample.queries[progress.done : end]
        ordinals, here = part.find(sample.slots[progress.done : end])
        own = np.where(here, ordinals, -1)
        some = measured(part, of, queries, own, progress.widest, stop)
        if some is None:
            return
        progress.steps.append(some[0])
        progress.scores.append(some[1])
        progress.widest = some[2]
        progress.done += len(queries)
        if progress.done < len(sample.queries):
            return
        self._progress = None
        part.recall = PartRecall(
            sample, np.concatenate(progress.steps), np.concatenate(progress.scores), len(part) - part.dead, now
        )

    def _sample(self, graphs: list[Segment], field_id: int, declared: VectorField, asked: Asked, now: float) -> Sample:
        """The sample of a field, another one when it is time."""
        sample, count = self._samples.get(field_id), asked.count(field_id)
        if sample is not None and len(sample.queries):
            old = now - sample.drawn_at >= RENEW_S and count - sample.asked >= LEAST_QUERIES
            better = sample.asked_queries < LEAST_QUERIES <= count
            if not old and not better:
                return sample
        vectors = asked.vectors(field_id)
        if sample is not None and len(sample.queries) and len(vectors) < LEAST_QUERIES:
            return sample  # it is the same that is asked again and again
        drawn = draw(graphs, field_id, declared, vectors, QUERIES, self._rng)
        sample = self._samples[field_id] = Sample(drawn[0], drawn[1], count, now)
        return sample


def draw(
    segments: list[Segment],
    field_id: int,
    declared: VectorField,
    vectors: Float32,
    count: int,
    rng: np.random.Generator,
) -> tuple[Float32, UInt64]:
    """Up to ``count`` of the queries ``vectors``, prepared, at random; where these are too few, then stored vectors.

    Returns the queries, and the slot of each, NO_SLOT where it is not stored.
    """
    chosen = rng.permutation(len(vectors))[:count]
    prepared = [np.zeros((0, declared.dim), dtype=np.float32)]
    if len(chosen):
        prepared.append(metric.prepare(declared.metric, vectors[chosen]))
    slots = [np.full(len(chosen), NO_SLOT, dtype=np.uint64)]
    missing = 0 if len(chosen) >= min(count, LEAST_QUERIES) else count - len(chosen)
    if missing and segments:
        parts = [segment.parts[field_id] for segment in segments]
        bounds = np.cumsum([len(part) for part in parts])
        at = rng.choice(int(bounds[-1]), min(missing, int(bounds[-1])), replace=False)
        owners = np.searchsorted(bounds, at, side="right")
        for i in np.unique(owners).tolist():
            part, ordinals = parts[i], at[owners == i] - (bounds[i] - len(parts[i]))
            ordinals = ordinals[part.died[ordinals] == ALIVE]
            prepared.append(part.take(ordinals))
            slots.append(part.slots[ordinals])
    return np.concatenate(prepared), np.concatenate(slots)


def queries_of_slice(part: Part, dim: int) -> int:
    """How many queries of a part are measured at once."""
    return min(SLICE_QUERIES, max(1, SLICE_PRODUCTS // max(1, len(part) * dim)))


def measured(
    part: Part, of: Metric, queries: Float32, own: Int64, widest: int, stop: Callable[[], bool]
) -> tuple[Steps, Float32, int] | None:
    """The steps and scores of some prepared queries, as PartRecall has them; None when ``stop`` said so.

    ``own``: the ordinal of each query that is itself stored here, -1: it is not. What is dead is nobody's neighbour.
    ``widest``: how many steps of the ladder to walk at most; the third is how many that should be from now on. A walk
    that met less than it asked for cannot meet more, and each costs memory that hnswlib does not give back.
    """
    index = part.index
    assert index is not None
    alive = part.died == ALIVE
    living = int(np.count_nonzero(alive))
    true = index.exact(queries, DEPTH + 1, None if living == len(part) else alive)[0][:, :TRUE_COLUMNS]
    scores = np.sort(_scores(part, of, queries, np.where(true == own[:, None], -1, true)))[:, ::-1]
    scores = np.pad(scores, ((0, 0), (0, max(0, DEPTH - scores.shape[1]))), constant_values=-np.inf)[:, :DEPTH]
    there: Mask = scores > -np.inf
    found: list[Mask] = []
    for at, width in enumerate(LADDER[:widest]):
        if stop():
            return None
        ask = min(len(part), -(-width * len(part) // max(1, living)))
        candidates = index.candidates(queries, ask, width, None)[0]
        if np.count_nonzero(candidates >= 0) < ask * len(queries):
            widest = max(1, at)
        candidates = np.where(alive[np.maximum(candidates, 0)] & (candidates != own[:, None]), candidates, -1)
        best = np.take_along_axis(candidates, np.argsort(candidates < 0, axis=1, kind="stable"), axis=1)
        met = _scores(part, of, queries, best[:, : DEPTH + SPARE_COLUMNS])
        found.append(recall.matched(scores, met))
        if found[-1][there].all() or at >= widest:
            break
    return recall.steps_of(found, there), np.ascontiguousarray(scores[:, :RECALL_K]), widest


def _scores(part: Part, of: Metric, queries: Float32, ordinals: Int64) -> Float32:
    """Scores ``[q, w]`` of candidates, -inf for ordinal -1: what a search would say of them."""
    vectors = part.take(np.maximum(ordinals, 0).ravel()).reshape(*ordinals.shape, queries.shape[1])
    scores = metric.score(of, queries[:, None, :], vectors)[0]
    scores[ordinals < 0] = -np.inf
    return scores


def _has_graph(part: Part | None) -> bool:
    return part is not None and part.index is not None and part.index.kind != "flat" and part.dead < len(part)
