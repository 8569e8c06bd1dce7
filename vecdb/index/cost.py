"""What a search of one segment costs, for the planner. Pure functions of numbers; nanoseconds of one thread.

Fitted by ``python -m benchmarks.spikes.constants``; the curves are in docs/decisions/0003-constants.md. Only
the ratio of the two is used, so another machine changes little.
"""

from __future__ import annotations

import math

CALL_NS = 30_000.0
"""A scan of nothing: the calls around it."""

ROW_NS, FLOAT_NS = 4.0, 0.15
"""A row and a float of it in a scan of all rows."""

GATHERED_ROW_NS, GATHERED_FLOAT_NS = 25.0, 0.35
"""A row and a float of it when the allowed rows are gathered first."""

WALK_CALL_NS = 15_000.0
"""A walk to nothing: the upper layers and the calls around it."""

STEP_NS, STEP_FLOAT_NS = 250.0, 2.5
"""One of the k' candidates of a walk, and a float of it, at 1,000 rows; grows with the logarithm of rows."""


def exact_ns(rows: int, dim: int, contiguous: bool) -> float:
    """Time to scan ``rows`` vectors of ``dim`` for one query: all of a segment in place, or gathered ones."""
    if contiguous:
        return CALL_NS + rows * (ROW_NS + FLOAT_NS * dim)
    return CALL_NS + rows * (GATHERED_ROW_NS + GATHERED_FLOAT_NS * dim)


def graph_ns(n: int, k_prime: int, dim: int) -> float:
    """Time to walk a graph of ``n`` rows of ``dim`` for ``k_prime`` candidates of one query."""
    depth = math.log2(max(n, 2)) / 10.0
    return WALK_CALL_NS + k_prime * depth * (STEP_NS + STEP_FLOAT_NS * dim)
