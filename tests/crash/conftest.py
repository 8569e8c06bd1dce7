"""What the laboratories of this folder need of the machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash import disk as disks


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[disks.Disk]:
    """A disk whose power can be cut. Skipped where there can be none; with CI=true only where it is not expected."""
    if (lack := disks.missing()) is not None:
        pytest.skip(f"no power cuts here: {lack}")
    try:
        with disks.disk(tmp_path) as made:
            yield made
    except disks.Unusable as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"loop devices are here and do not work: {error}")
        pytest.skip(f"no power cuts here: {error}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[disks.Small]:
    """A disk that can be filled. Skipped where nothing can be mounted."""
    if os.geteuid() != 0:
        pytest.skip("no full disks here: not root")
    try:
        with disks.small(tmp_path) as made:
            yield made
    except disks.Unusable as error:
        pytest.skip(f"no full disks here: {error}")


@pytest.fixture
def strace() -> str:
    """The command strace."""
    found = shutil.which("strace")
    if found is None:
        pytest.skip("strace is not installed")
    return found
