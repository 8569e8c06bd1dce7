"""The mark beside a store: how much of it was on disk for sure, so that an opening sees when some of that is gone.

RocksDB alone cannot: a log cut short looks to it like one whose end was never synced, a bad record in the middle like
its end, a list of files cut short like a shorter list, and a folder without CURRENT like a new one. All of them it
would open, and then delete what it no longer knows.

``<store>.synced`` is one line of JSON and its checksum, overwritten in place and not synced but when the store is
closed: what it says is true of the disk whenever it is written, so one that a power cut left old says too little and
never too much. A kill loses nothing of it. Removing it gives up the comparison, and changes nothing else.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from dataclasses import dataclass
from pathlib import Path

import orjson
import xxhash

from vecdb.errors import DataLoss
from vecdb.storage import files

log = logging.getLogger(__name__)

SUFFIX = ".synced"
_SIZE = 512
"""Of the file, padded: less than a sector, which a disk writes entirely or not at all."""
_MOST_LOGS = 16
_LOOK_CHANGES = 128
"""After so many the files are looked at anew, which takes 70 us; the rest of a mark takes 10, a sync 300 and more."""


@dataclass(frozen=True, slots=True)
class Mark:
    """``sequence``: of the last write that was synced. ``manifest``: the list of files then, its ``size`` in bytes and
    the xxh3-64 ``checksum`` of these; ``logs`` that are needed as long as nothing is added to it.
    """

    sequence: int
    manifest: str
    size: int
    checksum: str
    logs: tuple[str, ...]


def mark_path(store: Path) -> Path:
    """Where the mark of the store in a folder is: beside it, so that it outlives the folder."""
    return store.with_name(store.name + SUFFIX)


def read_mark(store: Path) -> Mark | None:
    """The mark, or None where there is none, or none that can be believed."""
    try:
        raw = mark_path(store).read_bytes()
    except FileNotFoundError:
        return None
    text, _, checksum = raw.rstrip().rpartition(b" ")
    try:
        if xxhash.xxh3_64_hexdigest(text).encode() != checksum:
            raise ValueError("its checksum is another")
        said = orjson.loads(text)
        return Mark(said["sequence"], said["manifest"], said["size"], said["checksum"], tuple(said["logs"]))
    except (ValueError, KeyError, TypeError) as error:
        log.warning("%s is damaged (%s): whether the store lost something cannot be told", mark_path(store), error)
        return None


def check_before(store: Path) -> Mark | None:
    """Look for what RocksDB would not miss, before it opens a store and tidies up. Raises DataLoss naming the file."""
    mark = read_mark(store)
    current = store / "CURRENT"
    if not current.exists():
        names = sorted(entry.name for entry in store.iterdir()) if store.is_dir() else []
        left = [name for name in names if name.endswith((".sst", ".blob", ".log"))]
        if mark is not None or left:
            raise _loss(current, f"it is missing, and {left[0] if left else mark_path(store).name} is there")
        return None
    if mark is None:
        return None
    try:
        named = current.read_text().strip()
        now, then = (int(name.partition("-")[2]) for name in (named, mark.manifest))
    except ValueError as error:
        raise _loss(current, f"it names no list of files: {error}") from error
    if now < then:
        raise _loss(current, f"it names {named}, and the last list of files was {mark.manifest}")
    if now > then:
        return mark  # it was opened since, and killed before it was synced
    manifest = store / named
    with contextlib.suppress(FileNotFoundError), open(manifest, "rb") as file:  # RocksDB says that better
        some = file.read(mark.size)
        if xxhash.xxh3_64_hexdigest(some) != mark.checksum:
            raise _loss(manifest, f"its first {mark.size} bytes are not as they were")
        if not file.read(1):
            for name in mark.logs:
                if not (store / name).exists():
                    raise _loss(store / name, "it is missing, and its writes are in no other file")
    return mark


def check_after(store: Path, mark: Mark, sequence: int, why: str | None) -> None:
    """Raise DataLoss when a store came back with fewer writes than had been synced; ``why`` if its log said more."""
    if sequence < mark.sequence:
        last = mark.logs[-1] if mark.logs else "the log"
        raise _loss(store / last, f"write {mark.sequence} was synced, and the logs end with {sequence}; {why or last}")
    if why is not None:
        log.warning("%s: the end of the log was torn, of writes that were never acknowledged: %s", store, why)


def set_current(store: Path, mark: Mark | None) -> bool:
    """Let CURRENT in a folder of links name its newest list of files; whether that has all that was marked."""
    lists = sorted(entry.name for entry in store.glob("MANIFEST-*"))
    if not lists:
        return False
    current = store / "CURRENT"
    if not current.exists() or current.read_bytes().strip().decode("ascii", "replace") not in lists:
        current.unlink(missing_ok=True)
        current.write_text(lists[-1] + "\n")
    if mark is None or lists[-1] > mark.manifest:
        return True
    with open(store / lists[-1], "rb") as file:
        return lists[-1] == mark.manifest and xxhash.xxh3_64_hexdigest(file.read(mark.size)) == mark.checksum


class Marker:
    """Writes the mark of one open store. Any thread."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._manifest: Path | None = None
        self._size = 0
        self._digest = xxhash.xxh3_64()
        self._first_log = ""
        self._logs: list[str] = []
        self._looked = -_LOOK_CHANGES
        self._sequence = 0
        self._file: int | None = None

    def look(self, sequence: int, anew: bool = False) -> Mark | None:
        """What the mark will be once a sync that begins after this has ended, where ``sequence`` is written already."""
        with self._lock:
            if anew or sequence - self._looked >= _LOOK_CHANGES:
                try:
                    self._look_at_files()
                except OSError:
                    return None
                self._looked = sequence
            assert self._manifest is not None
            return Mark(sequence, self._manifest.name, self._size, self._digest.hexdigest(), tuple(self._logs))

    def note(self, mark: Mark | None) -> None:
        """What ``look`` saw is on disk now. An error is none of the caller's: the mark then says less."""
        if mark is None:
            return
        with self._lock, contextlib.suppress(OSError):
            self._sequence = max(mark.sequence, self._sequence)
            if self._file is None:
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
                self._file = os.open(mark_path(self._store), flags, 0o644)
            said = {
                "sequence": self._sequence,
                "manifest": mark.manifest,
                "size": mark.size,
                "checksum": mark.checksum,
                "logs": mark.logs,
            }
            text = orjson.dumps(said)
            line = text + b" " + xxhash.xxh3_64_hexdigest(text).encode()
            os.pwrite(self._file, line.ljust(_SIZE - 1) + b"\n", 0)

    def close(self) -> None:
        """Make the mark durable and let go of it."""
        with self._lock:
            file, self._file = self._file, None
            if file is not None:
                with contextlib.suppress(OSError):
                    os.fsync(file)
                os.close(file)

    def _look_at_files(self) -> None:
        follows = self._follow()
        logs = sorted(name for name in os.listdir(self._store) if name.endswith(".log"))
        if not follows:  # one that was there before may be in files by now, and about to be deleted
            self._first_log = logs[-1] if logs else ""
        needed = [name for name in logs if name >= self._first_log and (self._store / name).stat().st_size]
        self._logs = needed[-_MOST_LOGS:]

    def _follow(self) -> bool:
        """Take what was added to the list of files into the mark, durably: RocksDB may be about to sync it.

        False when something was.
        """
        try:
            size = -1 if self._manifest is None else self._manifest.stat().st_size
        except FileNotFoundError:
            size = -1
        if size == self._size:
            return True
        if self._manifest is None or size < self._size:
            self._manifest = self._store / (self._store / "CURRENT").read_text().strip()
            self._size, self._digest = 0, xxhash.xxh3_64()
            size = self._manifest.stat().st_size
        files.fsync_file(self._manifest)
        with open(self._manifest, "rb") as file:
            file.seek(self._size)
            self._digest.update(file.read(size - self._size))
        self._size = size
        return False


def _loss(path: Path, what: str) -> DataLoss:
    return DataLoss(f"the data in {path.parent} is damaged: {path.name}: {what}")
