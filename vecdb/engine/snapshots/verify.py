"""Verify archives without a database."""

from __future__ import annotations

from collections.abc import Iterable

from vecdb.engine.snapshots.reading import Chain
from vecdb.model.snapshot import SnapshotSummary


def verify(archives: Iterable[Iterable[bytes]]) -> list[SnapshotSummary]:
    """Read archives to their ends, a whole one and those that go on from it, and check all there is to check.

    That is the checksum of every part, that none is missing, that every point has what it should have, and the exact
    answers to the sampled queries. Raises DataLoss naming the part that is damaged or missing, FormatTooNew,
    FailedPrecondition for archives that do not follow each other.
    """
    chain = Chain()
    for archive in archives:
        for _ in chain.read(archive):
            pass
    return chain.summaries
