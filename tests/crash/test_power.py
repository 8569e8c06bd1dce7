"""Power cuts: nothing acknowledged at durability "fsync" is lost; at "os" a tail is, within its bound, which proves the
laboratory.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.disk import Disk
from tests.crash.laboratory import Chain
from tests.crash.workload import WRITE_BUFFER_BYTES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_what_was_synced_survives_power_cuts(tmp_path: Path, disk: Disk, bounded: Callable[[int], int]) -> None:
    chain = Chain(tmp_path, seed=4, data=disk.root / "data", between=disk.cut, tell=print)
    for _ in range(bounded(20)):
        chain.strike()
    chain.finish()
    assert chain.lost == 0


def test_what_was_not_synced_does_not(tmp_path: Path, disk: Disk, bounded: Callable[[int], int]) -> None:
    chain = Chain(tmp_path, seed=5, data=disk.root / "data", between=disk.cut, durable=0.02, brisk=True, tell=print)
    rounds = bounded(20)
    for done in range(20):  # a cut may come when all was synced: some of twenty do not
        if done >= rounds and chain.lost > 0:
            break
        chain.kill()
    chain.finish()
    assert chain.lost > 0
    most = max(r.verdict.lost_bytes for r in chain.rounds if r.verdict is not None)
    assert most <= WRITE_BUFFER_BYTES
