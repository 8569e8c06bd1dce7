"""Files that are whole or absent: write aside, sync, rename, sync the folder. And the data directory's lock.

A rename is durable only once its folder is synced; a file's bytes only once the file is. Nothing here
retries a failed sync: the kernel may have dropped the bytes, so the caller writes them again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import weakref
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import xxhash

from vecdb.errors import DataDirInUse, DataDirUnusable

TEMP_SUFFIX = ".tmp"
LOCK_NAME = "LOCK.pid"
_CHUNK_BYTES = 4 << 20

Buffer = bytes | bytearray | memoryview


class Damaged(Exception):
    """A derived file is not what was written; ``path`` names it. It is to be logged and built again."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


def temp_path(path: Path) -> Path:
    """Where the bytes of ``path`` are written before it gets its name: beside it."""
    return path.with_name(path.name + TEMP_SUFFIX)


def fsync_file(path: Path) -> None:
    """Make the bytes of a file durable, whoever wrote them."""
    _fsync(path, os.O_RDONLY)


def fsync_dir(path: Path) -> None:
    """Make the names in a folder durable."""
    _fsync(path, os.O_RDONLY | os.O_DIRECTORY)


def write_file(path: Path, chunks: Iterable[Buffer]) -> str:
    """Write ``path`` durably and return its checksum; it holds all the chunks or does not change.

    Raises OSError (a full disk, say), after removing the temporary file.
    """
    temp = temp_path(path)
    digest = xxhash.xxh3_128()
    try:
        with open(temp, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
                digest.update(chunk)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temp, path)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
    fsync_dir(path.parent)
    return digest.hexdigest()


def allocate(path: Path, nbytes: int) -> None:
    """Make a file that takes up so much space, durably, with whatever in it. Raises OSError when there is no room."""
    with open(path, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, nbytes)
        os.fsync(file.fileno())
    fsync_dir(path.parent)


def try_disk(folder: Path) -> None:
    """Write, sync in both ways and remove a small file. Raises OSError when the disk refuses."""
    path = temp_path(folder / "probe")
    try:
        with open(path, "wb") as file:
            file.write(bytes(4096))
            file.flush()
            os.fdatasync(file.fileno())
            os.fsync(file.fileno())
    finally:
        path.unlink(missing_ok=True)


def publish_folder(temp: Path, path: Path) -> None:
    """Give a folder of plain files its name, durably: the files, the folder, the name, the parent."""
    for entry in sorted(temp.iterdir()):
        fsync_file(entry)
    fsync_dir(temp)
    os.rename(temp, path)
    fsync_dir(path.parent)


def make_dir(path: Path) -> None:
    """Make a folder and its missing parents, durably; no error when it is there. Raises OSError."""
    if path.is_dir():
        return
    if path.exists():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    make_dir(path.parent)
    path.mkdir(exist_ok=True)
    fsync_dir(path.parent)


def checksum(path: Path) -> str:
    """xxh3-128 of the bytes as 32 hex digits; reads 4 MiB at a time, reading and hashing without the GIL."""
    digest = xxhash.xxh3_128()
    buffer = bytearray(_CHUNK_BYTES)
    view = memoryview(buffer)
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(view[:count])
    return digest.hexdigest()


def verify(path: Path, expected: str) -> None:
    """Raises Damaged when the file is missing, unreadable or has another checksum."""
    try:
        found = checksum(path)
    except OSError as error:
        raise Damaged(path, error.strerror or str(error)) from error
    if found != expected:
        raise Damaged(path, f"checksum {expected} was written, {found} is there")


class DataDirLock:
    """The right to use a data directory, held by one process until ``release`` or its death.

    Makes the directory when missing. Raises DataDirInUse naming the holder's pid, DataDirUnusable when
    the path is no directory, cannot be written or cannot be locked. A forked child does not hold it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._file: int | None = None
        file = _open_lock_file(self.path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(file, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(file)
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise DataDirInUse(
                    f"{self.path} is in use by process {holder}",
                    expected="a directory no other process has open, or vecdb.open(path, shared=True) in all of them",
                    received=f"held by pid {holder}",
                ) from error
            raise _unusable(self.path, error) from error
        self._file = file
        _held.add(self)
        with contextlib.suppress(OSError):  # the pid is a courtesy: a full disk must not refuse the start
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)

    @property
    def held(self) -> bool:
        return self._file is not None

    def release(self) -> None:
        """Let others use the directory; no error when it is released already, or in a forked child."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(file, 0)
            fcntl.flock(file, fcntl.LOCK_UN)
            os.close(file)

    def __enter__(self) -> DataDirLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _forget(self) -> None:
        """In a forked child: close our copy, or the lock would outlive the parent. Never unlock."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def holder(path: Path) -> str | None:
    """The pid that holds the directory's lock, or None. Changes nothing.

    A process that ended in order leaves no pid. One that was killed does, and only then the lock is tried:
    whoever opens the directory in that very instant is refused.
    """
    try:
        file = os.open(path / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    pid = ""
    try:
        pid = os.pread(file, 32, 0).decode("ascii", "replace").strip()
        if pid:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except OSError:
        return pid
    finally:
        os.close(file)


_held: weakref.WeakSet[DataDirLock] = weakref.WeakSet()


def _forget_all() -> None:
    for lock in list(_held):
        lock._forget()


os.register_at_fork(after_in_child=_forget_all)


def _open_lock_file(path: Path) -> int:
    try:
        make_dir(path)
        return os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: OSError) -> DataDirUnusable:
    return DataDirUnusable(
        f"{path} cannot be used as a data directory: {error.strerror}",
        expected="a directory this process may write",
        received=error.strerror,
    )


def _fsync(path: Path, flags: int) -> None:
    file = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
