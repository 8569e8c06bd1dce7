"""From what callers saw to figures. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vecdb import CollectionStats, SearchResult
from vecdb.cli.bench.callers import Samples

GRAPH_SHARE = 0.95


@dataclass(frozen=True, slots=True)
class Figures:
    """``searches_per_s``: queries answered within the time; milliseconds of the calls that were answered.

    ``errors``: how many calls ended with which reason.
    """

    searches_per_s: float
    calls: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    errors: Mapping[str, int]


def figures(samples: Sequence[Samples], seconds: float, batch: int) -> Figures:
    """Figures of all callers together."""
    began = np.concatenate([one.began for one in samples])
    took = np.concatenate([one.took for one in samples])
    errors = [error for one in samples for error in one.error]
    answered = np.array([not error for error in errors], dtype=bool)
    in_time = answered & (began + took <= seconds)
    p50, p95, p99, longest = np.percentile(took[answered] * 1e3, (50, 95, 99, 100)) if answered.any() else [None] * 4
    return Figures(
        searches_per_s=batch * int(np.count_nonzero(in_time)) / seconds,
        calls=int(np.count_nonzero(answered)),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        max_ms=longest,
        errors=Counter(error for error in errors if error),
    )


def recall(found: Sequence[SearchResult], exact: Sequence[SearchResult]) -> float:
    """The share of the true hits that were found. Of hits with equal scores any is true."""
    shares = [
        np.count_nonzero(some.scores >= true.scores[-1]) / len(true)
        for some, true in zip(found, exact, strict=True)
        if len(true)
    ]
    return float(np.mean(shares)) if shares else 1.0


def void(before: CollectionStats, after: CollectionStats) -> str | None:
    """Why the figures are not those of graphs, or None."""
    share = min(stats.indexed / max(1, stats.vectors) for stats in (before, after))
    if share >= GRAPH_SHARE:
        return None
    return f"{share:.1%} of the vectors were in graphs, less than {GRAPH_SHARE:.0%}: the rest was scanned"
