"""kill -9, at random moments and at every failpoint: nothing acknowledged is lost, nothing is made up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.laboratory import Chain, every_failpoint


def test_killed_a_few_times(tmp_path: Path) -> None:
    chain = Chain(tmp_path, seed=1, tell=print)
    chain.kill()
    chain.kill_at("commit.after_final")
    chain.finish()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_random_moments(tmp_path: Path, bounded: Callable[[int], int]) -> None:
    chain = Chain(tmp_path, seed=2, tell=print)
    for _ in range(bounded(50)):
        chain.kill()
    chain.finish()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_every_failpoint(tmp_path: Path) -> None:
    chain = Chain(tmp_path, seed=3, tell=print)
    chain.kill()
    for name in every_failpoint():
        chain.kill_at(name)
    chain.finish()
    assert [str(r.fault) for r in chain.rounds if not r.reached] == []
