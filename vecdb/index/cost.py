"""What a search of one segment costs, for the planner: pure functions of numbers; nanoseconds of one thread.

Fitted by ``python -m benchmarks.spikes.constants scan gather walk fit``; the curves and how far the model is off
are in docs/decisions/0003-constants.md. The planner uses only the ratio of the two, so another machine changes
little.
"""

from __future__ import annotations

CALL_NS = 25_000.0
"""A scan of nothing: the calls around it."""

ROW_NS, FLOAT_NS = 6.0, 0.3
"""A row, and a float of it, when all rows are scanned where they are."""

GATHERED_ROW_NS, GATHERED_FLOAT_NS = 32.0, 0.45
"""A row, and a float of it, when the allowed rows are gathered first."""

WALK_CALL_NS = 11_000.0
"""A walk to nothing: the upper layers and the calls around it."""

STEP_NS = 475.0
"""One of the k' candidates of a walk: its place in the queues."""

VISITED_FACTOR, VISITED_POWER = 30.0, 0.9
"""A walk for k' candidates compares the query with 30 k'^0.9 rows, in a graph without bounds."""

VISITED_FLOAT_NS = 0.22
"""A float of a row that a walk compares with."""


def exact_ns(rows: int, dim: int, contiguous: bool) -> float:
    """Time to scan ``rows`` vectors of ``dim`` for one query: all of a segment in place, or gathered ones."""
    if contiguous:
        return CALL_NS + rows * (ROW_NS + FLOAT_NS * dim)
    return CALL_NS + rows * (GATHERED_ROW_NS + GATHERED_FLOAT_NS * dim)


def graph_ns(n: int, k_prime: int, dim: int) -> float:
    """Time to walk a graph of ``n`` >= 1 rows of ``dim`` for ``k_prime`` >= 1 candidates of one query."""
    visited: float = 1.0 / (1.0 / (VISITED_FACTOR * k_prime**VISITED_POWER) + 1.0 / n)
    return WALK_CALL_NS + STEP_NS * k_prime + VISITED_FLOAT_NS * dim * visited
