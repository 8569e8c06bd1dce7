"""HDF5 in the layout of ann-benchmarks: ``train`` holds the vectors, the attribute ``distance`` says their metric."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from vecdb.client.load.chunk import ArrayColumns, Chunk
from vecdb.client.load.source import BatchSize, Source
from vecdb.errors import InvalidArgument
from vecdb.model.schema import Metric

TRAIN = "train"
_METRICS: dict[str, Metric] = {
    "angular": "cosine",
    "cosine": "cosine",
    "euclidean": "euclidean",
    "l2": "euclidean",
    "dot": "dot",
    "ip": "dot",
}


class Hdf5Source(Source):
    """The rows of ``train``, and of every other set of the file that has as many. Needs h5py."""

    kind = "hdf5"

    def __init__(self, path: Path) -> None:
        super().__init__(path.name, path)
        try:
            self._file: Any = h5py.File(path, "r")
        except OSError as error:
            raise InvalidArgument("not an HDF5 file", field=path.name, expected="HDF5", received=str(error)) from None
        sets = {name: found for name, found in self._file.items() if hasattr(found, "dtype")}
        if TRAIN not in sets or len(sets[TRAIN].shape) != 2:
            self.close()
            raise InvalidArgument(
                "the file has no vectors where ann-benchmarks keeps them",
                field=path.name,
                expected=f"a set {TRAIN!r} of shape [n, dim]",
                received=", ".join(f"{name} {list(found.shape)}" for name, found in sets.items()) or "no sets",
            )
        self.rows = len(sets[TRAIN])
        # `test`, `neighbors` and `distances` are about questions, not about these rows.
        self._sets = {
            name: found
            for name, found in sets.items()
            if found.shape and len(found) == self.rows and name not in ("test", "neighbors", "distances")
        }
        said = self._file.attrs.get("distance")
        self.metric = _METRICS.get((said.decode() if isinstance(said, bytes) else str(said)).lower())

    def read(self, start: int, size: BatchSize) -> Iterator[Chunk]:
        assert self.rows is not None
        row_bytes = sum(found.dtype.itemsize * int(np.prod(found.shape[1:])) for found in self._sets.values())
        step = size.at_most(row_bytes)
        for at in range(start, self.rows, step):
            yield ArrayColumns(at, {name: _rows(found, at, at + step) for name, found in self._sets.items()})

    def close(self) -> None:
        super().close()
        self._file.close()


def _rows(found: Any, start: int, stop: int) -> Any:
    if found.dtype.kind == "O":  # strings of different length
        return np.array(list(found.asstr()[start:stop]), dtype=np.str_)
    return found[start:stop]
