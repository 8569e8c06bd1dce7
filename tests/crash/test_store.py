"""What befalls the store's files while it works, and the derived files between its starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.laboratory import HARMS, Chain

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_derived_files_are_made_again(tmp_path: Path, bounded: Callable[[int], int]) -> None:
    chain = Chain(tmp_path, seed=9, tell=print)
    chain.kill()
    harmed: dict[str, int] = {}
    for _ in range(bounded(60)):
        chain.harm(harmed)
    chain.finish()
    assert sum(harmed.values()) >= len(HARMS)


def test_reads_that_fail_lose_nothing(tmp_path: Path, strace: str, bounded: Callable[[int], int]) -> None:
    chain = Chain(tmp_path, seed=10, tell=print)
    chain.kill()
    for n in range(bounded(20)):
        chain.fail_reads(f"{5 * n + 1}+{n % 7 + 1}")
    chain.finish()


def test_a_store_that_is_behind_keeps_what_it_acknowledged(
    tmp_path: Path, strace: str, bounded: Callable[[int], int]
) -> None:
    chain = Chain(tmp_path, seed=11, durable=0.02, tell=print)
    for _ in range(bounded(10)):
        chain.stall()
    chain.finish()
    assert chain.stalls
