"""The conversation of `.ci/run`, of an installation with itself; and that it would notice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MEETING = Path(__file__).with_name("meeting.py")


def _meet(client_sources: Path | None = None) -> subprocess.CompletedProcess[str]:
    client = sys.executable if client_sources is None else f"{sys.executable}={client_sources}"
    return subprocess.run([sys.executable, MEETING, sys.executable, client], capture_output=True, text=True)


def test_versions_meet() -> None:
    met = _meet()
    assert met.returncode == 0, met.stderr


@pytest.mark.parametrize("made", ["vecdb.errors.nothing", "raise SystemExit(3)"])
def test_a_client_that_fails_is_noticed(tmp_path: Path, made: str) -> None:
    (tmp_path / "vecdb.py").write_text(made)
    assert _meet(tmp_path).returncode != 0
