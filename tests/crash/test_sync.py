"""Syncs that fail, and syncs that take their time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.laboratory import Chain

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.usefixtures("strace")]

FAILURES = [
    ("fdatasync", "2"),
    ("fdatasync", "7+"),
    ("fdatasync", "25"),
    ("fsync", "1+"),
    ("fsync", "6"),
]


def test_a_sync_that_fails_is_never_taken_for_one(tmp_path: Path) -> None:
    chain = Chain(tmp_path, seed=6, tell=print)
    chain.kill()
    for call, when in FAILURES:
        chain.fail_sync(call, when)
    chain.finish()
