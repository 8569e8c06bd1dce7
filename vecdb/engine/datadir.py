"""The data directory: whose it is, which format, who holds it.

vecdb.json    format number and identity; the first file written, so a directory without it is not ours
LOCK.pid      held while open
rocksdb/      the truth; rocksdb.synced beside it says how much of it was synced (vecdb/storage/synced.py)
segments/     derived files, one folder a sealed segment
reserve       takes up space while it is open, for when the disk is full (vecdb/engine/space.py)
shared/       where the processes meet that share it (vecdb/client/shared_folder.py)
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import orjson
import xxhash

from vecdb.errors import DataDirUnusable, DataLoss, FormatTooNew
from vecdb.storage import files
from vecdb.storage.codec import FORMAT, OLDEST_FORMAT

MARKER = "vecdb.json"
ROCKSDB = "rocksdb"
SEGMENTS = "segments"
SHARED = "shared"


class DataDir:
    """A data directory, locked by this process until ``release``."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Make or check the directory, and lock it.

        Raises DataDirInUse (names the pid), DataDirUnusable (unwritable, a file, somebody else's), FormatTooNew,
        DataLoss (its marker is damaged).
        """
        self.path = Path(path)
        refuse_foreign(self.path)
        self._lock = files.DataDirLock(self.path)
        try:
            self.identity = self._identify()
            files.make_dir(self.segments)
        except OSError as error:
            self.release()
            raise DataDirUnusable(
                f"{self.path} cannot be used: {error.strerror or error}",
                expected="a writable directory",
                received=type(error).__name__,
            ) from error
        except BaseException:
            self.release()
            raise

    @property
    def rocksdb(self) -> Path:
        return self.path / ROCKSDB

    @property
    def segments(self) -> Path:
        return self.path / SEGMENTS

    def release(self) -> None:
        """Let others use the directory."""
        self._lock.release()

    def _identify(self) -> str:
        marker = self.path / MARKER
        if not marker.exists():
            identity = uuid.uuid4().hex
            document = {"format": FORMAT, "database": identity, "checksum": _checksum(FORMAT, identity)}
            files.write_file(marker, [orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"])
            return identity
        return read_marker(self.path)[1]


def read_marker(path: Path) -> tuple[int, str]:
    """Format and identity of a data directory. Raises OSError, DataLoss, FormatTooNew."""
    try:
        document = orjson.loads((path / MARKER).read_bytes())
        format_number, identity = int(document["format"]), str(document["database"])
        if format_number <= FORMAT:  # what stands in a newer one is not known here
            if set(document) not in ({"format", "database"}, {"format", "database", "checksum"}):
                raise ValueError(f"it tells of {', '.join(sorted(document))}")
            if document.get("checksum", checksum := _checksum(format_number, identity)) != checksum:
                raise ValueError("its checksum is another")
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise DataLoss(f"{MARKER} of {path} is damaged: {error}") from error
    if format_number > FORMAT:
        raise FormatTooNew(
            f"{path} was written by a newer vecdb",
            expected=f"format {OLDEST_FORMAT}..{FORMAT}",
            received=f"format {format_number}",
        )
    return format_number, identity


def _checksum(format_number: int, identity: str) -> str:
    """What stands beside the two in a marker; those of the first builds have none."""
    return xxhash.xxh3_64_hexdigest(f"{format_number} {identity}".encode())


def refuse_foreign(path: Path) -> None:
    """Raise DataDirUnusable for a directory that holds something, but not our marker: it is somebody else's.

    DataLoss where all but the marker is there.
    """
    try:
        if not path.is_dir() or (path / MARKER).exists():
            return
        strangers = sorted(entry.name for entry in path.iterdir() if entry.name not in _EARLY)
    except OSError:
        return  # the lock says it better
    if {ROCKSDB, SEGMENTS} <= set(strangers):
        raise DataLoss(f"{MARKER} of {path} is missing")
    if strangers:
        raise DataDirUnusable(
            f"{path} is not a vecdb data directory",
            expected="an empty directory, or one made by vecdb",
            received=f"one with {strangers[0]!r} in it",
        )


_EARLY = {files.LOCK_NAME, MARKER + files.TEMP_SUFFIX, SHARED}
"""What a directory may hold when its making was interrupted."""
