"""Breaks copies of the repository, one breakage at a time, and sees whether the tests notice."""

from __future__ import annotations

import enum
import os
import queue
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.sabotage.breakage import Breakage

# A test that fails with one of these met code that cannot run, not a promise that is broken.
_CANNOT_RUN = (
    "SyntaxError",
    "IndentationError",
    "ImportError",
    "ModuleNotFoundError",
    "NameError",
    "UnboundLocalError",
)


class Outcome(enum.Enum):
    """Only CAUGHT is good: SURVIVED is a gap in the tests, VOID a defect of the list."""

    CAUGHT = "caught"
    SURVIVED = "SURVIVED"
    VOID = "VOID"


@dataclass(frozen=True)
class Result:
    breakage: Breakage
    outcome: Outcome
    detail: str
    seconds: float


def copy(root: Path, names: Iterable[Path], to: Path) -> Path:
    """A copy of the files ``names`` of ``root``."""
    for name in names:
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, to / name)
    return to


def judge_all(
    breakages: list[Breakage], copies: list[Path], timeout_s: float, report: Callable[[Result], None]
) -> list[Result]:
    """Judge each breakage, as many at a time as there are copies."""
    free: queue.SimpleQueue[Path] = queue.SimpleQueue()
    for root in copies:
        free.put(root)

    def one(breakage: Breakage) -> Result:
        root = free.get()
        try:
            result = judge(breakage, root, timeout_s)
        finally:
            free.put(root)
        report(result)
        return result

    with ThreadPoolExecutor(len(copies)) as pool:
        return list(pool.map(one, breakages))


def judge(breakage: Breakage, root: Path, timeout_s: float) -> Result:
    """Apply ``breakage`` at ``root``, run its test, and put things back."""
    began = time.monotonic()
    if defects := list(breakage.defects(root)):
        return Result(breakage, Outcome.VOID, "; ".join(defects), 0.0)
    intact = (root / breakage.file).read_bytes()
    try:
        breakage.apply(root)
        outcome, detail = run(breakage.test, root, timeout_s)
    finally:
        (root / breakage.file).write_bytes(intact)
    return Result(breakage, outcome, detail, time.monotonic() - began)


def run(test: str, root: Path, timeout_s: float) -> tuple[Outcome, str]:
    """Run one test of the copy at ``root``: a failure of the test itself is what CAUGHT means."""
    xml = root / "sabotage-result.xml"
    xml.unlink(missing_ok=True)
    command = [sys.executable, "-B", "-m", "pytest", test, "-x", "-q", "-p", "no:cacheprovider", "-m", ""]
    command += [f"--junitxml={xml}", f"--timeout={timeout_s}", "--hypothesis-profile=unshrunk"]
    # The copy comes before an installation in development mode. No bytecode: a file that is changed
    # and put back within the same second would be taken for the one compiled.
    env = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command,
            cwd=root,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=2 * timeout_s,
        )
    except subprocess.TimeoutExpired:
        return Outcome.VOID, "pytest did not end"
    if done.returncode == 0:
        return Outcome.SURVIVED, f"{test} passes"
    if done.returncode != 1 or not xml.exists():
        return Outcome.VOID, f"pytest ended with {done.returncode}: {done.stdout.strip()[-500:]}"
    return _reason(xml)


def _reason(xml: Path) -> tuple[Outcome, str]:
    cases = ElementTree.parse(xml).iter("testcase")
    failed = [(case, failure) for case in cases for failure in case.iter("failure")]
    if not failed:
        return Outcome.VOID, "no test failed: an error came before or after it"
    case, failure = failed[0]
    message = failure.get("message", "").strip().partition("\n")[0]
    if message.startswith(_CANNOT_RUN):
        return Outcome.VOID, f"the broken code cannot run: {message}"
    if message.startswith("Failed: Timeout"):
        return Outcome.VOID, "the test hung instead of failing"
    return Outcome.CAUGHT, f"{case.get('name')}: {message}"
