"""Histories of the state machine: a few in every run, many as a slow proof."""

from __future__ import annotations

import os
from collections.abc import Callable

import hypothesis
import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.machine.machine import Histories, Recall
from tests.machine.shared_site import SERVER
from vecdb.client import shared_start
from vecdb.engine import reaping

LEAST_RECALL = 0.9


def run(patch: pytest.MonkeyPatch, histories: int, steps: int) -> None:
    patch.setattr(os, "fsync", lambda file: None)  # no power is cut under a file here, and it is most of the time
    patch.setattr(shared_start, "SERVER", SERVER)
    patch.setattr(reaping, "PIECE_ROWS", 16)
    patch.setattr(reaping, "LEAST_DEAD", 4)
    rewritten: list[bool] = []
    give_back = reaping.give_back
    patch.setattr(reaping, "give_back", lambda *given: rewritten.append(give_back(*given)) or rewritten[-1])
    Histories.recall, Histories.kills, Histories.followed, Histories.salvaged = Recall(), 0, 0, 0
    run_state_machine_as_test(
        Histories,
        settings=hypothesis.settings(
            max_examples=histories,
            stateful_step_count=steps,
            # Making a failing history shorter takes longer than a run may; the seed of every step is printed.
            phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        ),
    )
    assert Histories.recall.wanted > 100
    assert Histories.recall.share >= LEAST_RECALL
    assert Histories.kills > 0
    assert Histories.followed > 10
    print(f"{sum(rewritten)} pieces or pointers rewritten")
    assert sum(rewritten) > 0


@pytest.mark.timeout(300)
def test_every_site_agrees_with_a_dict(monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, histories=6, steps=40)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_site_agrees_with_a_dict_for_long(monkeypatch: pytest.MonkeyPatch, bounded: Callable[[int], int]) -> None:
    run(monkeypatch, histories=bounded(150), steps=80)
    assert Histories.salvaged > 0
