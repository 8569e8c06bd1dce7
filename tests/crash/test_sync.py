"""Syncs that fail, and syncs that take their time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash import delay, trace
from tests.crash.laboratory import Chain

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("strace")]

DELAY_MS = 300
FAILURES = [
    ("fdatasync", "2"),
    ("fdatasync", "7+"),
    ("fdatasync", "25"),
    ("fsync", "1+"),
    ("fsync", "6"),
]


@pytest.mark.slow
def test_a_sync_that_fails_is_never_taken_for_one(tmp_path: Path) -> None:
    chain = Chain(tmp_path, seed=6, tell=print)
    chain.kill()
    for call, when in FAILURES:
        chain.fail_sync(call, when)
    chain.finish()


@pytest.mark.parametrize(
    ("delay_ms", "answers"), [(0, 60), pytest.param(DELAY_MS, 30, marks=pytest.mark.slow)], ids=["at once", "slowly"]
)
def test_an_answer_waits_for_a_sync_that_began_after_its_write(tmp_path: Path, delay_ms: int, answers: int) -> None:
    chain = Chain(tmp_path, seed=7, brisk=True, tell=print)
    chain.delay_syncs(delay_ms, answers)
    chain.finish()
    given = trace.answers(tmp_path / "trace.txt")
    assert len(given) >= answers / 2  # the others changed nothing
    for answer in given:
        assert answer.logged is not None, f"write {answer.write} is in no log"
        assert answer.synced is not None, f"write {answer.write} was answered without a sync after it"
        assert answer.took_s >= delay_ms / 1000


@pytest.mark.slow
def test_slow_syncs_hold_up_nobody_who_reads(tmp_path: Path) -> None:
    (tmp_path / "fast").mkdir()
    (tmp_path / "slow").mkdir()
    fast = delay.measure(tmp_path / "fast", 0, writes=20)
    slow = delay.measure(tmp_path / "slow", DELAY_MS, writes=20)
    print("\n".join([delay.HEADING, *fast.rows("as they are"), *slow.rows(f"+ {DELAY_MS} ms")]))
    assert slow.took_ms("acknowledgement").min() >= DELAY_MS
    for begin, end in slow.calls["acknowledgement"]:
        assert slow.within("search", begin, end) > 0, "no search was answered while a write waited for its sync"
        assert slow.within("health", begin, end) > 0, "health was not answered while a write waited for its sync"
