"""Archives as files: written aside and named when they are complete, and read piece by piece."""

from __future__ import annotations

import os
import stat
import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from io import TextIOBase
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from vecdb.errors import Cancelled, InvalidArgument, NotFound

PIECE_BYTES = 1 << 20

Place = str | os.PathLike[str] | BinaryIO
"""A path, or a binary file that is open, which stays so."""

Advance = Callable[[int], object]
"""Is told how many bytes have passed."""


class _GivenUp(ABC):
    """Files that one thread uses, and that another may give up meanwhile: the last of the two closes them, and neither
    waits for the other, which may be waiting itself, for a pipe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._given_up = False

    @contextmanager
    def _used(self) -> Iterator[None]:
        try:
            with self._lock:
                if self._given_up:
                    raise Cancelled("whoever asked was cancelled")
                yield
        finally:
            if self._given_up:
                self._give_up()

    def _give_up(self) -> None:
        self._given_up = True
        if self._lock.acquire(blocking=False):
            try:
                self._close()
            finally:
                self._lock.release()

    @abstractmethod
    def _close(self) -> None:
        """Close what was opened; there is nothing to do the second time."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._give_up()


class ArchiveFile(_GivenUp):
    """An archive on its way to a place. A context manager: what is not ``finish``ed by its end leaves nothing.

    A path is written aside, and has its name only when it is complete and durable; whatever had that name is then
    replaced. What is no plain file, such as a pipe, is written as it is. Raises InvalidArgument and OSError. Thread
    rule: one thread writes; another may leave the context meanwhile, and the next write then raises Cancelled.
    """

    def __init__(self, place: Place, advance: Advance) -> None:
        super().__init__()
        self.nbytes = 0
        self._advance = advance
        self._path: Path | None = None
        self._aside: Path | None = None
        if not isinstance(place, str | os.PathLike):
            self._file = _binary(place, "write", "target")
            return
        self._path = Path(place)
        if not self._path.parent.is_dir():
            raise InvalidArgument(
                "no such folder", field="target", expected="a folder", received=str(self._path.parent)
            )
        if _is_special(self._path):
            self._file = open(self._path, "wb")  # noqa: SIM115
            return
        self._aside = self._path.with_name(f"{self._path.name}.{uuid.uuid4().hex[:8]}.tmp")
        self._file = open(self._aside, "xb")  # noqa: SIM115

    def write(self, piece: bytes) -> None:
        """Append a piece."""
        with self._used():
            rest = memoryview(piece)
            while rest:  # a raw file may take a part only
                written: int | None = self._file.write(rest)  # None: what is no file took it all
                rest = rest[len(rest) if written is None else written :]
            self.nbytes += len(piece)
            self._advance(self.nbytes)

    def finish(self) -> None:
        """Everything was written: make it durable, and give it its name."""
        with self._used():
            if hasattr(self._file, "flush"):
                self._file.flush()
            if self._aside is not None and self._path is not None:
                os.fsync(self._file.fileno())
                os.replace(self._aside, self._path)
                self._aside = None
                _sync_folder(self._path.parent)

    def _close(self) -> None:
        if self._path is not None:
            with suppress(OSError):  # of what is given up, or was synced
                self._file.close()
        if self._aside is not None:
            self._aside.unlink(missing_ok=True)


class ArchiveFiles(_GivenUp):
    """Archives to be read: ``nbytes`` is of all together, None where that is not known.

    A context manager, which closes what it opened. Raises InvalidArgument, NotFound and OSError. Thread rule: one
    thread reads; another may leave the context meanwhile, and the next piece then raises Cancelled.
    """

    def __init__(self, places: Place | Sequence[Place]) -> None:
        super().__init__()
        given = places if isinstance(places, list | tuple) else [places]
        if not given:
            raise InvalidArgument("there is no archive", field="source", expected=">= 1", received="0")
        self.nbytes: int | None = 0
        self._passed = 0
        self._stack = ExitStack()
        self._files: list[BinaryIO] = []
        try:
            for i, place in enumerate(given):
                self._files.append(self._opened(place, "source" if given is not places else f"source[{i}]"))
        except BaseException:
            self._stack.close()
            raise

    def read(self, advance: Advance) -> list[Iterator[bytes]]:
        """The pieces of each archive, to be read once and in order."""
        return [self._pieces(file, advance) for file in self._files]

    def _opened(self, place: Any, field: str) -> BinaryIO:
        """All are opened before the first is read: a name that is wrong is told at once."""
        if not isinstance(place, str | os.PathLike):
            self.nbytes = None
            return _binary(place, "read", field)
        try:
            file = self._stack.enter_context(open(place, "rb"))  # noqa: SIM115
        except FileNotFoundError:
            raise NotFound("no such file", field=field, expected="an archive", received=os.fspath(place)) from None
        found = os.fstat(file.fileno())
        if self.nbytes is not None:
            self.nbytes = self.nbytes + found.st_size if stat.S_ISREG(found.st_mode) else None
        return file

    def _pieces(self, file: BinaryIO, advance: Advance) -> Iterator[bytes]:
        while True:
            with self._used():
                piece = file.read(PIECE_BYTES)
                self._passed += len(piece)
                advance(self._passed)
            if not piece:
                return
            yield piece

    def _close(self) -> None:
        self._stack.close()


def _binary(place: Any, method: str, field: str) -> BinaryIO:
    if isinstance(place, TextIOBase) or not callable(getattr(place, method, None)):
        raise InvalidArgument(
            "not a place for an archive",
            field=field,
            expected="a path, or an open binary file",
            received=type(place).__name__,
        )
    file: BinaryIO = place
    return file


def _is_special(path: Path) -> bool:
    """Whether it is there and no plain file: a pipe, a terminal, /dev/null. A folder is refused when it is opened."""
    with suppress(OSError):
        return not stat.S_ISREG(path.stat().st_mode)
    return False


def _sync_folder(path: Path) -> None:
    """Make the name durable."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
