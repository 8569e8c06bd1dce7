"""A full disk: what was acknowledged is there once there is room again, and reads go on meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.disk import Small
from tests.crash.laboratory import Chain


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_full_disk_loses_nothing(tmp_path: Path, small_disk: Small, bounded: Callable[[int], int]) -> None:
    chain = Chain(tmp_path, seed=8, data=small_disk.root / "data", tell=print)
    chain.kill()
    for _ in range(bounded(20)):
        chain.fill(small_disk)
    chain.finish()
