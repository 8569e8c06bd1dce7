"""Change the scores of hits by numbers and times of their payloads: decay and boost, one after another.

A second stage: it reorders what the legs gave, and finds nothing else. Arithmetic is in float64 and the result is a
finite float32. Values come from columns; only hits that columns do not know are read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from vecdb.engine.ranked import Ranked, by_segment
from vecdb.engine.values import Values
from vecdb.engine.view import View
from vecdb.model.filter import Key, Scalar
from vecdb.model.filter.times import parse_time
from vecdb.model.modifier import Boost, Decay, Modifier
from vecdb.model.point import Int64
from vecdb.model.query import SearchRequest

Float64 = NDArray[np.float64]

MOST = float(np.finfo(np.float32).max)


def at_moment(request: SearchRequest, now_ms: Callable[[], int]) -> SearchRequest:
    """The request with one moment in place of every origin "now", so that all of a search means the same."""
    if not any(isinstance(modifier, Decay) and modifier.origin is None for modifier in request.modifiers):
        return request
    now = datetime.fromtimestamp(now_ms() / 1000, UTC).isoformat(timespec="milliseconds")
    modifiers = [
        replace(modifier, origin=now) if isinstance(modifier, Decay) and modifier.origin is None else modifier
        for modifier in request.modifiers
    ]
    return replace(request, modifiers=modifiers)


@dataclass(frozen=True, slots=True)
class Found:
    """The scalars of hits at a key: pairs of a position among the hits and a place in ``values``."""

    positions: Int64
    which: Int64
    values: Sequence[Scalar]


class Modifying:
    """Changes scores in one collection. Any thread may use it."""

    def __init__(self, values: Values) -> None:
        self._values = values

    def modified(self, view: View, ranked: Ranked, modifiers: Sequence[Modifier], need: int | None = None) -> Ranked:
        """The hits with their scores changed, in the order of these, of each query the first ``need`` (None: all).

        Every decay has its origin.
        """
        scores = ranked.scores.astype(np.float64)
        found: dict[Key, Found] = {}
        for modifier in modifiers:
            if modifier.key not in found:
                found[modifier.key] = self._find(view, ranked, modifier.key)
            here = found[modifier.key]
            scores = decayed(scores, modifier, here) if isinstance(modifier, Decay) else boosted(scores, modifier, here)
            scores = np.clip(scores, -MOST, MOST)
        return replace(ranked, scores=scores.astype(np.float32)).sorted(view, need)

    def _find(self, view: View, ranked: Ranked, key: Key) -> Found:
        assert isinstance(key, tuple)
        positions, which, values = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)], list[Scalar]()
        for index, where in by_segment(ranked.segments):
            at = np.arange(len(ranked.rows))[where]
            some, places, scalars = self._values.some(view.segments[index], key, ranked.ordinals[where])
            positions.append(at[some])
            which.append(places + len(values))
            values += scalars
        return Found(np.concatenate(positions), np.concatenate(which), values)


def decayed(scores: Float64, decay: Decay, found: Found) -> Float64:
    """Scores float64 ``[n]`` after one decay. Of several values of a hit that nearest the origin counts.

    A score below 0 falls by as much as its opposite would: no decay makes a hit better.
    """
    of_value = _distances(found.values, decay.origin)
    known = ~np.isnan(of_value)[found.which]
    distances, has = np.full(len(scores), np.inf), np.zeros(len(scores), dtype=np.bool_)
    np.minimum.at(distances, found.positions[known], of_value[found.which[known]])
    has[found.positions[known]] = True
    with np.errstate(over="ignore"):  # so far away that nothing is left
        factors = 0.5 ** (np.maximum(distances - decay.plateau, 0.0) / decay.half)
    factors[~has] = decay.missing
    return scores - (1.0 - factors) * np.abs(scores)


def boosted(scores: Float64, boost: Boost, found: Found) -> Float64:
    """Scores float64 ``[n]`` after one boost. Of several values of a hit the greatest counts."""
    of_value = np.array([float(v) if _is_number(v) else 0.0 for v in found.values], dtype=np.float64)
    greatest = np.zeros(len(scores))
    np.maximum.at(greatest, found.positions, of_value[found.which])
    with np.errstate(over="ignore"):
        return scores + boost.weight * np.log1p(greatest)


def _distances(values: Sequence[Scalar], origin: Scalar) -> Float64:
    """How far each value is from the origin: of numbers, or of times in milliseconds; NaN for another kind."""
    if isinstance(origin, str):
        start = parse_time(origin)
        assert start is not None
        times = [parse_time(value) if isinstance(value, str) else None for value in values]
        apart = [np.nan if t is None else abs(1e3 * (t[0] - start[0]) + 1e-6 * (t[1] - start[1])) for t in times]
    else:
        assert isinstance(origin, int | float)
        apart = [float(abs(v - origin)) if _is_number(v) else np.nan for v in values]  # integers of 64 bits exactly
    return np.array(apart, dtype=np.float64)


def _is_number(value: Scalar) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
