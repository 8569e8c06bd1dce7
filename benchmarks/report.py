"""Figures of stored runs, as a table; computed anew from the samples each time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks import plots
from benchmarks.figure import Figure
from benchmarks.run import Run
from benchmarks.workloads import WORKLOADS


def figures(run: Run) -> list[Figure]:
    """The figures of a run, by its workload."""
    return WORKLOADS[run.workload].figures(run.samples)


def table(runs: Sequence[Run]) -> str:
    """A Markdown table of every figure of every run, and below it why runs are void."""
    lines = ["| workload | size | figure | value | budget | kept |", "|---|---|---|---|---|---|"]
    for run in runs:
        for figure in figures(run):
            kept = {None: "", True: "yes", False: "no"}[figure.kept]
            value = f"{figure.value:,.4g} {figure.unit}".rstrip()
            lines.append(f"| {run.workload} | {run.size:,} | {figure.name} | {value} | {figure.budget} | {kept} |")
    for run in runs:
        lines += [f"\nvoid: {run.workload}: {reason}" for reason in run.void]
    return "\n".join(lines)


def main(paths: Sequence[Path], folder: Path | None = None) -> int:
    """Print the table, draw into ``folder`` if there is one; 1 when a budget is missed or a run void."""
    runs = [Run.load(path) for path in paths]
    print(table(runs))
    if folder is not None:
        for run in runs:
            for path in plots.draw(run, folder):
                print(path)
    good = all(figure.kept is not False for run in runs for figure in figures(run)) and not any(r.void for r in runs)
    return 0 if good else 1
