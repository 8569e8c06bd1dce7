"""What every test may ask for: real data, bounded repetition, repeatable random histories.

Environment:

- ``VECDB_TEST_DATA``: the folder of real data sets (its README says which). Without it the tests
  that need one are skipped and say so; when ``CI`` is ``true`` they fail instead.
- ``VECDB_TEST_BOUND``: a factor (default 1) on the rounds of the slow proofs, see ``bounded``.
"""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

# The same examples on every machine and day; `--hypothesis-profile=search` looks for new ones.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.register_profile("search", deadline=None, max_examples=1000, print_blob=True)
# A broken copy need not be told why it fails (tests/sabotage).
hypothesis.settings.register_profile(
    "unshrunk", derandomize=True, deadline=None, phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate]
)
hypothesis.settings.load_profile("repeatable")


# What is ignored here (SIGHUP under nohup, SIGINT in the background) would be ignored by every process that a test
# starts; what is handled is not.
for _number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, lambda number, frame: None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs hnswlib where there is none."""
    if importlib.util.find_spec("hnswlib") is None:
        for item in items:
            if item.get_closest_marker("hnswlib"):
                item.add_marker(pytest.mark.skip(reason="hnswlib is not installed"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets."""
    named = os.environ.get("VECDB_TEST_DATA")
    if named and Path(named).is_dir():
        return Path(named)
    missing = f"VECDB_TEST_DATA names no folder: {named!r}" if named else "VECDB_TEST_DATA is not set"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture(scope="session")
def bounded() -> Callable[[int], int]:
    """``bounded(50)``: how many of 50 rounds to do here, at least one; see VECDB_TEST_BOUND."""
    factor = float(os.environ.get("VECDB_TEST_BOUND", "1"))
    return lambda rounds: max(1, round(rounds * factor))
