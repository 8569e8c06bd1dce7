"""The planner's choices as a transcript.

After a change of the cost model run ``python -m tests.engine.test_planner`` and read the diff of planner.txt.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from vecdb.engine.planner import MAX_OVERFETCH, PartFacts, Plan, choose, choose_again, enough

TRANSCRIPT = Path(__file__).with_name("planner.txt")
ROWS = (100, 4_096, 100_000, 1_000_000)
SHARES = (1.0, 0.5, 0.1, 0.01, 0.001)


def transcript() -> str:
    lines = ["vectors x dim, share allowed, need, ef -> plan", ""]
    for dim in (4, 128, 1536):
        for n in ROWS:
            for share in SHARES:
                for need, ef in ((10, 96), (10, 500), (1_000, 96)):
                    plan = choose(PartFacts(n, int(n * share), dim, True), need=need, ef=ef, exact=False)
                    shown = plan.kind + (f" for {plan.ask}" if plan.ask else "")
                    lines.append(f"{n} x {dim}, {share:g}, {need}, {ef} -> {shown}")
            lines.append("")
    return "\n".join(lines)


def test_the_transcript() -> None:
    assert TRANSCRIPT.read_text() == transcript()


def facts(vectors: int = 100_000, allowed: int = 100_000, graph: bool = True) -> PartFacts:
    return PartFacts(vectors, allowed, 128, graph)


def test_nothing_allowed_is_nothing_to_do() -> None:
    for exact in (True, False):
        assert choose(facts(allowed=0), need=10, ef=96, exact=exact) == Plan("empty")


@pytest.mark.parametrize(
    ("given", "need", "exact"),
    [(facts(), 10, True), (facts(graph=False), 10, False), (facts(allowed=10), 10, False), (facts(10, 10), 50, False)],
    ids=["asked for", "no graph", "all that is allowed is wanted", "more wanted than there is"],
)
def test_when_only_a_scan_will_do(given: PartFacts, need: int, exact: bool) -> None:
    assert choose(given, need=need, ef=96, exact=exact) == Plan("exact")


@pytest.mark.parametrize(
    ("found", "plan"),
    [(0, Plan("graph", 10_000)), (1, Plan("graph", 8_000)), (5, Plan("graph", 1_600)), (9, Plan("graph", 889))],
)
def test_a_short_walk_is_followed_by_a_wider_one(found: int, plan: Plan) -> None:
    assert choose_again(PartFacts(1_000_000, 250_000, 128, True), need=10, asked=400, found=found) == plan


def test_a_wider_walk_is_not_tried_where_a_scan_costs_little_more_or_it_would_be_too_wide() -> None:
    assert choose_again(PartFacts(100_000, 2_000, 128, True), need=10, asked=400, found=5) == Plan("exact")
    assert choose_again(PartFacts(1_000_000, 50_000, 128, True), need=10, asked=1_920, found=0) == Plan("exact")
    assert choose_again(PartFacts(1_000_000, 500_000, 128, True), need=600, asked=1_200, found=2) == Plan("exact")


def test_a_walk_that_met_few_of_those_it_asked_for_is_not_believed() -> None:
    assert enough(need=10, ef=96) == 19
    assert enough(need=50, ef=96) == 50
    assert enough(need=10, ef=16) == 10


def test_a_walk_asks_for_enough_and_never_for_too_much() -> None:
    for n in (1_000, 50_000, 1_000_000):
        for allowed in (n, n // 2, n // 7, n // 100):
            for need, ef in ((1, 1), (10, 96), (96, 10), (3_000, 96)):
                plan = choose(PartFacts(n, allowed, 768, True), need=need, ef=ef, exact=False)
                if plan.kind == "graph":
                    assert min(n, max(ef, need) * n / allowed) <= plan.ask <= min(n, MAX_OVERFETCH)


def test_dearer_walks_are_chosen_less() -> None:
    """With more rows a walk stays a walk; with a larger ef a scan stays a scan."""
    for dim in (4, 768):
        kinds = [choose(PartFacts(n, n, dim, True), need=10, ef=96, exact=False).kind for n in sorted((*ROWS, 10**7))]
        assert kinds == sorted(kinds)  # "exact" < "graph"
        kinds = [choose(facts(), need=10, ef=ef, exact=False).kind for ef in (10, 100, 1_000, 10_000)]
        assert kinds == sorted(kinds, reverse=True)


if __name__ == "__main__":
    TRANSCRIPT.write_text(transcript())
