"""Histories of the state machine: a few in every run, many as a slow proof."""

from __future__ import annotations

from collections.abc import Callable

import hypothesis
import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.machine.machine import Histories, Recall

LEAST_RECALL = 0.9


def run(histories: int, steps: int) -> None:
    Histories.recall = Recall()
    run_state_machine_as_test(
        Histories,
        settings=hypothesis.settings(
            max_examples=histories,
            stateful_step_count=steps,
            suppress_health_check=list(hypothesis.HealthCheck),
        ),
    )
    assert Histories.recall.wanted > 100
    assert Histories.recall.share >= LEAST_RECALL


@pytest.mark.timeout(300)
def test_every_site_agrees_with_a_dict() -> None:
    run(histories=20, steps=40)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_site_agrees_with_a_dict_for_long(bounded: Callable[[int], int]) -> None:
    run(histories=bounded(500), steps=80)
