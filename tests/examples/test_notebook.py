"""The example notebook runs from its first cell to its last, in a fresh process and an empty directory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from tests.project.repository import ROOT
from tests.shared.site import is_free, wait_for

NOTEBOOK = json.loads((ROOT / "examples" / "notebook.ipynb").read_text(encoding="utf-8"))
CODE = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def test_the_cells_run_in_order(tmp_path: Path) -> None:
    """As plain Python: what a kernel would add is showing the value of a cell's last line."""
    program = "\n\n".join("".join(cell["source"]) for cell in CODE)
    checks = [
        'assert result[0].text == "A train leaves for Beijing at nine."',
        'assert best.payload == {"words": 7}',
        'assert vecdb.open("./notebook-data").collection("docs").get([0])[0].payload["seen"] == 5',
    ]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join([program, *checks])],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "Who sleeps in the garden?  The dog sleeps in the garden." in done.stdout
    wait_for(partial(is_free, tmp_path / "notebook-data"))


def test_it_is_kept_without_results() -> None:
    """They would go out of date unseen."""
    assert CODE
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in CODE)
    assert [NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]] == [4, 5]
