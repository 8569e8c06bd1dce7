"""Choose how to search one part of one segment. Pure: numbers in, a plan out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vecdb.index.cost import exact_ns, graph_ns

MAX_OVERFETCH = 10_000
"""Never ask a graph for more than this; beyond it an exact scan is both cheaper and certain."""


@dataclass(frozen=True, slots=True)
class PartFacts:
    """What the planner knows of a part: its vectors, how many of them may be answered, has it a graph."""

    vectors: int
    allowed: int
    dim: int
    graph: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """``exact``: scan the allowed rows. ``graph``: walk for ``ask`` candidates, then drop what is not allowed.

    ``empty``: nothing can match. ``ask`` is the width of the walk's answer (0 unless graph).
    """

    kind: Literal["empty", "exact", "graph"]
    ask: int = 0


def choose(facts: PartFacts, *, need: int, ef: int, exact: bool) -> Plan:
    """The cheaper certain or likely way to ``need`` hits.

    A graph walk that wants ``ef`` usable candidates must ask for ef / selectivity of them; when the model
    of ``index/cost.py`` prices that above scanning the allowed rows, they are scanned.
    """
    if facts.allowed == 0:
        return Plan("empty")
    if exact or not facts.graph or facts.allowed <= need:
        return Plan("exact")
    width = max(ef, need)
    ask = min(facts.vectors, -(-width * facts.vectors // facts.allowed))
    if ask > MAX_OVERFETCH:
        return Plan("exact")
    return Plan("exact") if _scan_ns(facts) <= graph_ns(facts.vectors, ask, facts.dim) else Plan("graph", ask)


def enough(need: int, ef: int) -> int:
    """How many allowed candidates a filtered walk must meet for its best ``need`` to be believed.

    It asks for as many as should hold max(ef, need) of them. One that met far fewer has them among its last, where a
    walk misses most: on a million rows, some that met 13 to 19 of 96 had .6 to .9 of the ten best (decision 0011).
    """
    return max(need, max(ef, need) // 5)


def choose_again(facts: PartFacts, *, need: int, asked: int, found: int) -> Plan:
    """What to do for a query whose walk for ``asked`` candidates brought ``found`` allowed ones, fewer than ``need``.

    So many of the rows near the query are allowed: a wider walk that should meet twice as many as needed is tried
    once, where the model prices it below half of a scan (it may fail again); after one that met none, the widest there
    is. Only the scan is certain.
    """
    wider = -(-2 * need * asked // found) if found else min(MAX_OVERFETCH, facts.vectors)
    if wider > min(MAX_OVERFETCH, facts.vectors):
        return Plan("exact")
    walk = graph_ns(facts.vectors, wider, facts.dim)
    return Plan("graph", wider) if walk < _scan_ns(facts) / 2 else Plan("exact")


def _scan_ns(facts: PartFacts) -> float:
    """Few allowed rows are gathered, many are scored in place with the rest struck out: the cheaper of the two."""
    gathered = exact_ns(facts.allowed, facts.dim, contiguous=False)
    return min(gathered, exact_ns(facts.vectors, facts.dim, contiguous=True))
