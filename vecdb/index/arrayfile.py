"""Files of arrays, as a sealed segment has them for columns and postings: end to end, then what they are, as JSON.

    arrays, each from a multiple of 8   document   size of the document:u64   version:u64=1

The document names an array as [dtype, offset, length]. docs/format.md has what is in it. A reader maps the file; the
caller has verified its checksum.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from vecdb.errors import DataLoss
from vecdb.index.contract import Mask

VERSION = 1
_TRAILER = 16

Ref = list[Any]
"""[dtype, offset, length] of an array."""
RowSet = str | dict[str, Ref] | None
"""Which of n rows: None for none, "all", {"bits": an array of n bits} or {"rows": their numbers}."""


class FileWriter:
    """Writes arrays one after another."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "wb")  # noqa: SIM115 - closed by __exit__
        self._at = 0

    def __enter__(self) -> FileWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def put(self, array: NDArray[Any]) -> Ref:
        """Write an array, little-endian."""
        ref = self.room(array.dtype, len(array))
        self.fill(ref, 0, array)
        return ref

    def room(self, dtype: np.dtype[Any], n: int) -> Ref:
        """Leave room for ``n`` values of a type, to be filled in pieces; all of it, before ``finish``."""
        ref = [dtype.newbyteorder("<").str, self._at, n]
        self._at += n * dtype.itemsize + -n * dtype.itemsize % 8
        return ref

    def fill(self, ref: Ref, at: int, array: NDArray[Any]) -> None:
        """Write a piece of an array that has room, from its value ``at`` on."""
        data = np.ascontiguousarray(array, dtype=ref[0])
        self._file.seek(ref[1] + at * data.itemsize)
        self._file.write(data.view(np.uint8).data)

    def put_rows(self, mask: Mask) -> RowSet:
        """Write a set of rows in whatever form is the shortest."""
        count = int(np.count_nonzero(mask))
        if count == 0:
            return None
        if count == len(mask):
            return "all"
        if 4 * count < len(mask) // 8:
            return {"rows": self.put(np.flatnonzero(mask).astype(np.uint32))}
        return {"bits": self.put(np.packbits(mask))}

    def finish(self, document: dict[str, Any]) -> None:
        """Write what the arrays are; nothing comes after."""
        raw = orjson.dumps(document)
        self._file.seek(self._at)  # what was never written of the room is zeros
        self._file.write(raw)
        np.array([len(raw), VERSION], dtype="<u8").tofile(self._file)


class FileReader:
    """A map of such a file. Raises DataLoss where it does not make sense, OSError where it cannot be read."""

    def __init__(self, path: Path) -> None:
        if (length := path.stat().st_size) < _TRAILER:
            raise DataLoss(f"{path} is too short", expected=f">= {_TRAILER} bytes", received=str(length))
        self._raw = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))  # a memmap is slow to index
        size, version = self._raw[-_TRAILER:].copy().view("<u8").tolist()
        if version != VERSION:
            raise DataLoss(f"{path} has another layout", expected=f"version {VERSION}", received=str(version))
        try:
            self.document: dict[str, Any] = orjson.loads(self._raw[-_TRAILER - size : -_TRAILER].tobytes())
        except orjson.JSONDecodeError as error:
            raise DataLoss(f"{path} does not make sense: {error}") from error
        self._path = path

    def array(self, ref: Ref) -> NDArray[Any]:
        """An array, in place."""
        dtype, offset, length = np.dtype(ref[0]), int(ref[1]), int(ref[2])
        if not 0 <= offset <= offset + length * dtype.itemsize <= len(self._raw):
            raise DataLoss(
                f"{self._path} names an array that is not in it", expected=f"{len(self._raw)} bytes", received=f"{ref}"
            )
        return self._raw[offset : offset + length * dtype.itemsize].view(dtype)

    def rows(self, rows: RowSet, n: int) -> Mask | None:
        """A set of ``n`` rows as a fresh mask; None for none."""
        if rows is None:
            return None
        if isinstance(rows, str):
            return np.ones(n, dtype=np.bool_)
        if "bits" in rows:
            return np.unpackbits(self.array(rows["bits"]), count=n).view(np.bool_)
        mask = np.zeros(n, dtype=np.bool_)
        mask[self.array(rows["rows"])] = True
        return mask

    def nbytes(self) -> int:
        return len(self._raw)
