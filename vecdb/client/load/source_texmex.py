"""fvecs, bvecs and ivecs, the files of the texmex data sets: each row is its dimension (int32), then its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vecdb.client.load.chunk import ArrayColumns, Chunk
from vecdb.client.load.source import BatchSize, Source
from vecdb.errors import InvalidArgument

NUMBERS: dict[str, np.dtype[Any]] = {"fvecs": np.dtype("<f4"), "bvecs": np.dtype("u1"), "ivecs": np.dtype("<i4")}
_HEADER = np.dtype("<i4")


class TexmexSource(Source):
    """A memory-mapped file of vectors of one dimension; its only column is ``vector``."""

    def __init__(self, path: Path, kind: str) -> None:
        super().__init__(path.name, path)
        self.kind = kind
        self._row = _row_type(path, NUMBERS[kind])
        self.rows = 0 if self._row is None else path.stat().st_size // self._row.itemsize

    def read(self, start: int, size: BatchSize) -> Iterator[Chunk]:
        if self._row is None:
            return
        assert self.path is not None
        step = size.at_most(self._row.itemsize)
        rows = np.memmap(self.path, dtype=self._row, mode="r")
        for at in range(start, len(rows), step):
            part = rows[at : at + step]
            dim = part["vector"].shape[1]
            if not np.all(part["dim"] == dim):
                row = int(np.argmax(part["dim"] != dim))
                raise InvalidArgument(
                    "the rows differ in dimension",
                    field=f"row {at + row}",
                    expected=str(dim),
                    received=str(part["dim"][row]),
                )
            yield ArrayColumns(at, {"vector": np.array(part["vector"])})


def _row_type(path: Path, number: np.dtype[Any]) -> np.dtype[Any] | None:
    """How a row lies in the file, by its first; None for an empty file. Raises InvalidArgument."""
    nbytes = path.stat().st_size
    if nbytes == 0:
        return None
    dim = int(np.fromfile(path, _HEADER, 1)[0]) if nbytes >= _HEADER.itemsize else 0
    row_bytes = _HEADER.itemsize + dim * number.itemsize
    if dim < 1 or nbytes % row_bytes:
        raise InvalidArgument(
            "the file does not consist of whole rows",
            field=path.name,
            expected=f"rows of a dimension and as many {number}",
            received=f"{nbytes} bytes, dimension {dim} in the first row",
        )
    return np.dtype([("dim", _HEADER), ("vector", number, (dim,))])
