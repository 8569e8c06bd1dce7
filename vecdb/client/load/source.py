"""What rows come from, whatever its format."""

from __future__ import annotations

import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vecdb.client.load.chunk import Chunk
from vecdb.errors import InvalidArgument
from vecdb.model.schema import Metric

# Large enough that the sync of a batch is little beside it, small enough that many callers fit a machine.
BATCH_ROWS = 10_000
BATCH_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class BatchSize:
    """A batch ends at the first of both: so many rows, about so many bytes as they are read."""

    rows: int = BATCH_ROWS
    nbytes: int = BATCH_BYTES

    def at_most(self, row_bytes: int) -> int:
        """The rows of a batch where each row takes so many bytes; at least one."""
        return max(1, min(self.rows, self.nbytes // max(1, row_bytes)))


class Source(ABC):
    """Rows to load; made by ``open_source``. A context manager that closes what it opened.

    ``name`` is for people. ``path``: of the file, None where there is none. ``rows``: how many there are, None
    where that shows only at the end. ``metric``: what the file says its vectors are compared by. ``once``: the
    rows can be read a single time. Thread rule: one thread at a time.
    """

    kind = "rows"
    once = False

    def __init__(self, name: str, path: Path | None = None) -> None:
        self.name = name
        self.path = path
        self.rows: int | None = None
        self.metric: Metric | None = None
        self._head: Chunk | None = None
        self._reading: Iterator[Chunk] | None = None

    @abstractmethod
    def read(self, start: int, size: BatchSize) -> Iterator[Chunk]:
        """The rows from ``start`` on. From any boundary between chunks the same boundaries follow."""

    def head(self, size: BatchSize) -> Chunk | None:
        """The first chunk, which ``chunks`` will give again; None when there are no rows."""
        if self._reading is None:
            self._reading = self._guarded(self.read(0, size))
            self._head = next(self._reading, None)
        return self._head

    def chunks(self, start: int, size: BatchSize) -> Iterator[Chunk]:
        """All chunks from row ``start`` on, which is a boundary between chunks."""
        if start and not self.once:
            self._head = self._reading = None
            return self._guarded(self.read(start, size))
        head = self.head(size)
        reading, self._reading, self._head = self._reading, None, None
        assert reading is not None
        every = chain([] if head is None else [head], reading)
        return (chunk for chunk in every if chunk.start >= start)

    def _guarded(self, reading: Iterator[Chunk]) -> Iterator[Chunk]:
        """The same, where a damaged file is an error that names it. What an iterable raises is its own affair."""
        try:
            yield from reading
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            if self.path is None:
                raise
            raise InvalidArgument(
                "the file cannot be read on", field=self.name, expected=f"a whole {self.kind} file", received=str(error)
            ) from error

    def identity(self) -> dict[str, Any]:
        """What a checkpoint remembers the source by: JSON values."""
        if self.path is None:
            return {"kind": self.kind, "rows": self.rows}
        found = self.path.stat()
        return {
            "kind": self.kind,
            "path": str(self.path.resolve()),
            "bytes": found.st_size,
            "mtime_ns": found.st_mtime_ns,
        }

    def close(self) -> None:
        """Release what was opened here."""
        self._head = self._reading = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
