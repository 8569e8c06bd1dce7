"""Plots of stored runs: for each group of times that a run compares, the share of calls that took no longer.

A table gives medians and tails; the curve between them shows what a number hides, such as two humps or a few
calls that waited for a lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.run import Run

Curves = Mapping[str, Sequence[float]]


def draw(run: Run, folder: Path) -> list[Path]:
    """One SVG for each group of a run's times, in ``folder``; the files written.

    Raises ModuleNotFoundError where matplotlib is not installed (the extra ``bench``).
    """
    from matplotlib.figure import Figure

    written = []
    for group, curves in grouped(run.samples):
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.add_subplot()
        for name, seconds in curves.items():
            axes.ecdf(1e3 * np.asarray(seconds), label=f"{name} ({len(seconds):,})")
        axes.set(xscale="log", xlabel="milliseconds", ylabel="share of calls", title=f"{run.workload}: {group}")
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right")
        path = folder / f"{run.workload}-{_file_name(group)}.svg"
        figure.savefig(path)
        written.append(path)
    return written


def grouped(samples: Mapping[str, Any]) -> Iterator[tuple[str, Curves]]:
    """(what is compared, times in seconds by name) over all rounds.

    A sample that is a dict holds lists of times beside what they are of: its scalars name the group.
    Numbers that are single (one call of a thousand queries, say) are gathered over the rounds of a group.
    """
    groups: dict[str, dict[str, list[float]]] = {}
    for name in ("times", "loads", "load"):
        for sample in samples.get(name, ()):
            group = ", ".join(f"{key} {value}" for key, value in sample.items() if isinstance(value, str | bool))
            if "callers" in sample:
                group += f", callers {sample['callers']}"
            curves = groups.setdefault(group.strip(", ") or name, {})
            for key, seconds in _times(sample):
                curves.setdefault(key, []).extend(seconds)
    yield from groups.items()


def _times(sample: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[float]]]:
    for key, value in sample.items():
        if key in _NO_TIMES:
            continue
        if isinstance(value, Mapping):
            value = value.get("seconds")
        if isinstance(value, float):
            yield key, [value]
        elif isinstance(value, list) and value and all(isinstance(one, float) for one in value):
            yield key, value


_NO_TIMES = ("written_s", "indexed_s")


def _file_name(group: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in group).split())
