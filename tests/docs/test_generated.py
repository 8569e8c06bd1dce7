"""The generated parts of the pages are what the code says today."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.project.repository import ROOT


def test_the_generated_parts_are_up_to_date() -> None:
    command = [sys.executable, "docs/generate.py", "--check"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
