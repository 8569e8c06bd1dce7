"""A figure: one number of a run, beside its budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Figure:
    """``at_least`` or ``at_most`` is the budget; neither: only stated."""

    name: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def kept(self) -> bool | None:
        """Whether the budget is kept; None without one."""
        if self.at_least is not None:
            return self.value >= self.at_least
        return None if self.at_most is None else self.value <= self.at_most

    @property
    def budget(self) -> str:
        """The budget in words."""
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return "" if self.at_most is None else f"<= {self.at_most:g}"


def median(values: Sequence[float]) -> float:
    """The median."""
    return float(np.median(values))


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` (0..100) percent do not pass."""
    return float(np.percentile(values, share))


def median_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """The median of ratios taken round by round."""
    return float(np.median(np.asarray(above, float) / np.asarray(below, float)))
