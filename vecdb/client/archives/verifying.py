"""Verifies archives without a database: wherever they lie, the engine needs to be installed and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from vecdb.client.archives.files import ArchiveFiles, Place
from vecdb.client.installed import require_engine
from vecdb.client.load.progress import Progress, reporter
from vecdb.model.snapshot import SnapshotSummary


def verify(source: Place | Sequence[Place], *, progress: Progress = False) -> list[SnapshotSummary]:
    """Read an archive, or a whole one and those that go on from it, to the end, and check all there is to check.

    Every checksum, every count, and the exact answers to the sampled queries, which are found again. Returns what each
    archive says of itself. ``source``, ``progress``: as of ``Client.restore``. Raises DataLoss naming the part that is
    damaged or missing, FormatTooNew, FailedPrecondition for archives that do not go on from each other, NotFound, and
    EngineNotInstalled when this is the thin client alone.
    """
    require_engine()
    from vecdb.engine.snapshots.verify import verify as read

    with ArchiveFiles(source) as files, reporter(progress, "verify", files.nbytes, "bytes") as advance:
        return read(files.read(advance))
