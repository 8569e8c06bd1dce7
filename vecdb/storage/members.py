"""Archives as files in files: a tar of plain members, written and read from front to end, never back.

Any tar shows what an archive holds. Reading is stricter than tar: each header has the one form in which it is written,
paddings are zeros, and nothing follows the end, so that no byte can change unnoticed. Nothing here is compressed: what
writes to a pipe can be (docs/snapshots.md).
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

from vecdb.errors import DataLoss

BLOCK_BYTES = 512
MAX_MEMBER_BYTES = 1 << 30
"""No part is written as large; a header that tells of more is damaged, and nobody should wait for so much."""
END = bytes(2 * BLOCK_BYTES)


class Member(NamedTuple):
    """A file in an archive."""

    name: str
    data: bytes


def written(name: str, data: bytes, mtime_s: int) -> list[bytes]:
    """The bytes of a member, in pieces: header, data, padding."""
    return [_header(name, len(data), mtime_s), data, bytes(_padding(len(data)))]


class MemberReader:
    """Finds the members in the bytes of an archive as they come; holds one member at most.

    ``wanted``: whose data is handed out; others come without. ``nbytes``: how many bytes there were so far.
    """

    def __init__(self, wanted: Callable[[str], bool] = lambda name: True) -> None:
        self.nbytes = 0
        self._wanted = wanted
        self._buffer = bytearray()
        self._to_skip = 0  # of a member that nobody wants
        self._current: tuple[str, int] | None = None  # name and size, once the header was read
        self._last = "the beginning"
        self._ended = False

    def feed(self, chunk: bytes) -> Iterator[Member]:
        """The members that are complete with these bytes. Raises DataLoss."""
        self.nbytes += len(chunk)
        self._buffer += chunk
        while not self._ended:
            if self._to_skip:
                skipped = min(self._to_skip, len(self._buffer))
                del self._buffer[:skipped]
                self._to_skip -= skipped
            if self._current is None:
                if len(self._buffer) < BLOCK_BYTES or self._to_skip:
                    return
                self._read_header(self._take(BLOCK_BYTES))
                continue
            name, size = self._current
            if self._wanted(name):
                if len(self._buffer) < size + _padding(size):
                    return
                data = self._take(size)
                if any(self._take(_padding(size))):
                    raise DataLoss(f"the archive is damaged after {name}")
            else:
                data, self._to_skip = b"", size + _padding(size)
            self._current, self._last = None, name
            yield Member(name, data)
        if any(self._buffer):
            raise DataLoss(f"the archive goes on after its end, which is after {self._last}")

    def finish(self) -> None:
        """Say that there are no more bytes. Raises DataLoss when there should be."""
        if not self._ended or len(self._buffer) < len(END) - BLOCK_BYTES:
            where = f"in {self._current[0]}" if self._current else f"after {self._last}"
            raise DataLoss(f"the archive ends too early, {where}", received=f"{self.nbytes} bytes")

    def _read_header(self, raw: bytes) -> None:
        if not any(raw):
            self._ended = True
            return
        try:
            info = tarfile.TarInfo.frombuf(raw, "utf-8", "strict")
            intact = info.isreg() and raw == _header(info.name, info.size, int(info.mtime))
        except (tarfile.HeaderError, ValueError):
            intact = False
        if not intact or info.size > MAX_MEMBER_BYTES:
            raise DataLoss(f"the archive is damaged after {self._last}, or is none", expected="the next part")
        self._current = (info.name, info.size)

    def _take(self, size: int) -> bytes:
        with memoryview(self._buffer) as view:
            taken = bytes(view[:size])
        del self._buffer[:size]
        return taken


def _header(name: str, size: int, mtime_s: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mtime = size, mtime_s
    return info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")


def _padding(size: int) -> int:
    return -size % BLOCK_BYTES
