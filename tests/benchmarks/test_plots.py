"""Drawings of runs: times are grouped by what they compare, and every group becomes a file."""

from __future__ import annotations

from pathlib import Path

from benchmarks import plots
from benchmarks.run import Run


def _run() -> Run:
    run = Run("single", 10)
    for _ in range(2):
        run.add("times", {"callers": 4, "full": True, "ours": {"seconds": [0.2, 0.3], "wall": 1.0}, "raw": [0.1]})
    run.add("times", {"callers": 1, "full": True, "ours": {"seconds": [0.2]}, "raw": [0.1]})
    run.add("load", {"rows": 10, "written_s": 3.0, "searches": [0.1, 0.2], "memory": [{"anonymous": 1}]})
    return run


def test_rounds_of_a_group_come_together() -> None:
    assert dict(plots.grouped(_run().samples)) == {
        "full True, callers 4": {"ours": [0.2, 0.3, 0.2, 0.3], "raw": [0.1, 0.1]},
        "full True, callers 1": {"ours": [0.2], "raw": [0.1]},
        "load": {"searches": [0.1, 0.2]},
    }


def test_every_group_becomes_a_file(tmp_path: Path) -> None:
    written = plots.draw(_run(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in written)
    assert len(written) == 3 and all("<svg" in path.read_text() for path in written)
