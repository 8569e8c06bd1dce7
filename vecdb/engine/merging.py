"""Which sealed segments to merge. Pure: sizes in, a run of neighbours out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

DEAD_FRACTION = 0.2
"""A segment with more dead rows than this is rebuilt: dead nodes cost every search their visits."""
LEAST_SHARE = 0.25
"""The others of a merge must together be at least this much of its largest: geometric, so that a row is
inserted a bounded number of times."""
RUN = 4
"""Small segments that may stand side by side while writes go on; a query visits each."""
PEAK_SHARE = 0.5
"""A merge makes a copy of what it merges: at most this share of the collection, so memory peaks below 1.6x."""


@dataclass(frozen=True, slots=True)
class Size:
    """Of one sealed segment: bytes of its indexes, rows, and the share of them that are dead."""

    nbytes: int
    rows: int
    dead_fraction: float


@dataclass(frozen=True, slots=True)
class Merge:
    """Merge the neighbours ``start``..``end``; ``rebuild``: insert all anew, else keep the largest's graph."""

    start: int
    end: int
    rebuild: bool


def choose(sizes: Sequence[Size], *, seal_bytes: int, max_bytes: int, idle: bool) -> Merge | None:
    """The next merge of segments that stand in row order, or None.

    First a segment with too many dead, alone. Then the longest run of neighbours that fits the bounds and
    whose smaller ones make up a fair share: four or more while writes go on, two or more when idle.
    """
    for i, size in enumerate(sizes):
        if size.dead_fraction > DEAD_FRACTION:
            return Merge(i, i + 1, rebuild=True)
    total = sum(size.nbytes for size in sizes)
    bound = min(max_bytes, max(2 * seal_bytes, int(PEAK_SHARE * total)))
    best: Merge | None = None
    for start in range(len(sizes)):
        for end in range(start + 2, len(sizes) + 1):
            run = [size.nbytes for size in sizes[start:end]]
            largest = max(run)
            if sum(run) > bound:
                break
            if sum(run) - largest < LEAST_SHARE * largest:
                continue
            if (idle or end - start >= RUN or len(sizes) > 2 * RUN) and (
                best is None or end - start > best.end - best.start
            ):
                best = Merge(start, end, rebuild=False)
    return best
