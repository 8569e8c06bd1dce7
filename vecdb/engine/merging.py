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

    @property
    def live(self) -> float:
        """Rows that a rebuild inserts."""
        return self.rows * (1 - self.dead_fraction)


@dataclass(frozen=True, slots=True)
class Merge:
    """Merge the neighbours ``start``..``end``; ``rebuild``: insert all anew, else keep the largest's graph."""

    start: int
    end: int
    rebuild: bool


def choose(sizes: Sequence[Size], *, seal_bytes: int, max_bytes: int, idle: bool, room: int = 1 << 62) -> Merge | None:
    """The next merge of segments that stand in row order, or None.

    First a segment with too many dead, with smaller neighbours. Then, when idle or when there are more than CROWD, the
    longest run of neighbours that fits the bounds and whose smaller ones make up a fair share. What has more than
    ``room`` bytes is let be: memory, or the disk, has no room for its copy.
    """
    total = sum(size.nbytes for size in sizes)
    bound = min(room, max_bytes, max(2 * seal_bytes, int(PEAK_SHARE * total)))
    for i, size in enumerate(sizes):
        if size.dead_fraction > DEAD_FRACTION and size.nbytes <= room:
            return Merge(*_with_smaller(sizes, i, bound), rebuild=True)
    if not idle and len(sizes) <= CROWD:
        return None
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


def _with_smaller(sizes: Sequence[Size], at: int, bound: int) -> tuple[int, int]:
    """Start and end of a rebuild: neighbours come along that together have no more rows alive than the one at ``at``.

    It inserts at most twice as much, and each row that comes along is then in a segment of twice the size at least.
    Where points are replaced all the time, what is left of old segments would else stand side by side, smaller and
    smaller.
    """
    start, end = at, at + 1
    rows, nbytes = sizes[at].live, sizes[at].nbytes
    while True:
        beside = [i for i in (start - 1, end) if 0 <= i < len(sizes)]
        fitting = [i for i in beside if sizes[i].live <= rows and nbytes + sizes[i].nbytes <= bound]
        if not fitting:
            return start, end
        taken = min(fitting, key=lambda i: sizes[i].live)
        rows -= sizes[taken].live
        nbytes += sizes[taken].nbytes
        start, end = min(start, taken), max(end, taken + 1)
