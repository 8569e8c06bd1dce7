"""What a workload is told: how much, how often, where; and engine options that keep their proportions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

FULL_ROWS = 100_000
"""Fewer rows measure nothing (design rule); below, the engine's bounds shrink alike, so that a try-out has the
same parts as a real run."""


@dataclass(frozen=True, slots=True)
class Setup:
    """``size`` rows, ``rounds`` repetitions, ``data``: the real sets, ``scratch``: an empty folder to fill.

    ``minutes``: of a workload that lasts as long as it is told.
    """

    size: int
    rounds: int
    data: Path
    scratch: Path
    minutes: float = 30.0

    def folder(self, name: str) -> Path:
        """A fresh place for a database."""
        return self.scratch / name

    def options(self) -> dict[str, Any]:
        """Engine options: none for a real run, smaller bounds for a try-out."""
        if self.size >= FULL_ROWS:
            return {}
        share = self.size / FULL_ROWS
        return {
            "growing_rows": max(64, int(65_536 * share)),
            "growing_vector_bytes": max(1 << 16, int((32 << 20) * share)),
            "growing_body_bytes": max(1 << 16, int((16 << 20) * share)),
            "graph_rows": max(64, int(4_096 * share)),
            "seal_bytes": max(1 << 18, int((128 << 20) * share)),
            "idle_seal_s": 0.5,
        }
