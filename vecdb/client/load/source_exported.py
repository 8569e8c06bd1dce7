"""What an export to npy left: a file of rows, and beside it an array of vectors for each field.

The first line of NAME.rows.jsonl is ``{"vecdb_export": 1, "vectors": {field: file name}}``. Each further line is
a point: its id, texts and payload, and in ``vectors``, by field, the row of its vector in that field's array.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from vecdb.client.load.chunk import Chunk, Records, Vectors
from vecdb.client.load.columns import field_of, vector_column
from vecdb.client.load.source import BatchSize, Source
from vecdb.client.load.source_jsonl import JsonLinesSource
from vecdb.client.load.source_numpy import map_array
from vecdb.errors import InvalidArgument
from vecdb.model.point import VectorColumn

FORMAT = 1
MARK = "vecdb_export"
PLACES = "vectors"


def rows_path(path: Path) -> Path:
    """Where the rows that belong to the vectors in ``path`` are."""
    return path.with_suffix(".rows.jsonl")


class ExportedSource(Source):
    """The points of an export to npy, by the path of its array."""

    kind = "npy"

    def __init__(self, path: Path) -> None:
        rows = rows_path(path)
        super().__init__(path.name, rows)
        with open(rows, "rb") as file:
            first = file.readline()
        try:
            header = orjson.loads(first)
            named = (
                {str(field): str(file) for field, file in header[PLACES].items()} if header[MARK] == FORMAT else None
            )
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            named = None
        if named is None:
            raise InvalidArgument(
                "not the rows of an export",
                field=rows.name,
                expected=f'a first line {{"{MARK}": {FORMAT}, ...}}',
                received=repr(first[:80]),
            )
        self._arrays = {field: map_array(path.with_name(file)) for field, file in named.items()}

    def read(self, start: int, size: BatchSize) -> Iterator[Chunk]:
        assert self.path is not None
        row_bytes = sum(array.shape[1] * array.itemsize for array in self._arrays.values())
        lines = JsonLinesSource(self.path)
        # The first line is no point.
        for chunk in lines.read(start + 1, BatchSize(size.at_most(row_bytes), size.nbytes)):
            yield _Points(chunk, self._arrays)


class _Points(Records):
    """Rows whose vectors are in arrays."""

    def __init__(self, lines: Chunk, arrays: dict[str, NDArray[Any]]) -> None:
        assert isinstance(lines, Records)
        self.__dict__.update(lines.__dict__)
        self.start = lines.start - 1
        self._arrays = arrays

    @property
    def names(self) -> list[str]:
        found = [name for name in super().names if name != PLACES]
        return [*found, *map(vector_column, self._arrays)]

    def others(self, used: Collection[str]) -> list[dict[str, Any]]:
        return super().others({*used, PLACES})

    def vectors(self, name: str) -> Vectors:
        field = field_of(name, "vector")
        if field is None or field not in self._arrays:
            return super().vectors(name)
        at = [(record.get(PLACES) or {}).get(field) for record in self._records]
        rows = np.array([i for i, place in enumerate(at) if place is not None], dtype=np.int64)
        places = [place for place in at if place is not None]
        try:
            return VectorColumn(self._arrays[field][places] if places else self._arrays[field][:0], rows)
        except IndexError as error:
            raise InvalidArgument(
                "a row names a vector that is not there", field=name, expected="rows of the array", received=str(error)
            ) from None

    def sample(self, name: str) -> Any:
        column = self.vectors(name)
        if isinstance(column, VectorColumn):
            return column.data[0] if len(column.data) else None
        return super().sample(name)
