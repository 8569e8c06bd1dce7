"""Which sealed segments to merge. Pure: sizes in, a run of neighbours out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

DEAD_FRACTION = 0.2
"""A segment with more dead rows than this is rebuilt: dead nodes cost every search their visits."""
LEAST_SHARE = 0.25
"""The others of a merge must together be at least this much of its largest: geometric, so that a row is
inserted a bounded number of times."""
CROWD = 32
"""Segments that may stand side by side while writes go on. A query visits each, at about 0.1 ms; but merging
inserts rows again, on the core that the builder needs (docs/decisions/0007-sealing-and-merging.md)."""
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


def choose(sizes: Sequence[Size], *, seal_bytes: int, max_bytes: int, idle: bool, room: int = 1 << 62) -> Merge | None:
    """The next merge of segments that stand in row order, or None.

    First a segment with too many dead, alone. Then, when idle or when there are more than CROWD, the longest
    run of neighbours that fits the bounds and whose smaller ones make up a fair share. What has more than ``room``
    bytes is let be: memory, or the disk, has no room for its copy.
    """
    for i, size in enumerate(sizes):
        if size.dead_fraction > DEAD_FRACTION and size.nbytes <= room:
            return Merge(i, i + 1, rebuild=True)
    if not idle and len(sizes) <= CROWD:
        return None
    total = sum(size.nbytes for size in sizes)
    bound = min(room, max_bytes, max(2 * seal_bytes, int(PEAK_SHARE * total)))
    best: Merge | None = None
    for start in range(len(sizes)):
        for end in range(start + 2, len(sizes) + 1):
            run = [size.nbytes for size in sizes[start:end]]
            largest = max(run)
            if sum(run) > bound:
                break
            if sum(run) - largest < LEAST_SHARE * largest:
                continue
            if best is None or end - start > best.end - best.start:
                best = Merge(start, end, rebuild=False)
    return best
