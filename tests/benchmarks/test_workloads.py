"""Every workload runs from samples to table at a size that measures nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("hnswlib")

from benchmarks import report
from benchmarks.run import Run
from benchmarks.setup import Setup
from benchmarks.workloads import WORKLOADS

pytestmark = pytest.mark.hnswlib

SIZE = 2_500
SMALLER = {"collections": 30, "hybrid": 500, "transport": 250}
QUICK = ("ingest", "collections")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in WORKLOADS]
)
def test_a_workload_runs(name: str, tmp_path: Path, data_dir: Path) -> None:
    size = SMALLER.get(name, SIZE)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    run = WORKLOADS[name].measure(Setup(size, 1, data_dir, scratch, minutes=0.5))
    assert run.void or name == "recall", "so small a run must not count"
    run.save(tmp_path / "run.json")
    stored = Run.load(tmp_path / "run.json")
    figures = report.figures(stored)
    assert figures and all(figure.value == figure.value for figure in figures), "a figure is not a number"
    assert name in report.table([stored])


def test_every_workload_says_what_it_measures() -> None:
    for module in WORKLOADS.values():
        assert module.__doc__ and module.SIZE > 0
        assert module.measure.__doc__ and module.figures.__doc__
