"""The laboratory notices what a process does that it was not made to do."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.crash.laboratory import Broken, Chain, Fault


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGTERM])
def test_a_process_that_ends_by_itself_is_noticed(tmp_path: Path, number: signal.Signals) -> None:
    chain = Chain(tmp_path, seed=1)
    fault = Fault(1 << 60)
    noticed = pytest.raises(Broken, match=f"ended by itself, with status -{number}")
    with noticed, chain._working(fault) as (child, now):
        os.kill(child.pid, number)
        chain._until(child, fault, now)


def test_a_database_that_does_not_open_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "somebody's").touch()
    with pytest.raises(Broken, match="does not open"):
        Chain(tmp_path, seed=1).kill()
