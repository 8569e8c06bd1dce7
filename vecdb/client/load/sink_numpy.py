"""Points as numpy arrays, one for each vector field, and a file of rows; its format is in ``source_exported``."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from vecdb.client.load.columns import ID, PAYLOAD, sparse_column, sparse_object, text_column
from vecdb.client.load.sink import Sink, as_json
from vecdb.client.load.source_exported import FORMAT, MARK, PLACES, rows_path
from vecdb.errors import InvalidArgument
from vecdb.model.hit import Point
from vecdb.model.schema import Schema

_FLOAT = np.dtype("<f4")


class NpySink(Sink):
    """NAME.npy for the unnamed field (or the first), NAME.FIELD.npy for the others, and NAME.rows.jsonl."""

    def __init__(self, path: Path, schema: Schema, with_payload: bool) -> None:
        if not schema.vectors:
            raise InvalidArgument(
                "npy is for vectors", field="format", expected="parquet | jsonl without vectors", received="npy"
            )
        main = "" if "" in schema.vectors else min(schema.vectors)
        self._arrays = {name: path if name == main else path.with_suffix(f".{name}.npy") for name in schema.vectors}
        super().__init__([*self._arrays.values(), rows_path(path)], schema, with_payload)
        self._rows = rows_path(path)
        self._counts = dict.fromkeys(schema.vectors, 0)
        self._header_bytes: dict[str, int] = {}

    def write(self, points: list[Point]) -> None:
        self._open()
        for name, path in self._arrays.items():
            held = [vector for point in points if (vector := point.vectors.get(name)) is not None]
            if held:
                self._files[path].write(np.ascontiguousarray(held, _FLOAT).tobytes())
        lines = self._files[self._rows]
        for point in points:
            lines.write(as_json(self._row(point)))
        self.written += len(points)

    def finish(self) -> None:
        self._open()
        # The number of rows is known only now; a header leaves room for it.
        for name, path in self._arrays.items():
            file = self._files[path]
            file.seek(0)
            self._write_header(file, name)
            assert file.tell() == self._header_bytes[name]
        super().finish()

    def _open(self) -> None:
        if self._files:
            return
        for name, path in self._arrays.items():
            file = self._create(path)
            self._write_header(file, name)
            self._header_bytes[name] = file.tell()
        rows = self._create(self._rows)
        rows.write(as_json({MARK: FORMAT, PLACES: {name: path.name for name, path in self._arrays.items()}}))

    def _write_header(self, file: IO[bytes], name: str) -> None:
        shape = (self._counts[name], self._schema.vectors[name].dim)
        header = {"descr": npy_format.dtype_to_descr(_FLOAT), "fortran_order": False, "shape": shape}
        npy_format.write_array_header_1_0(file, header)

    def _row(self, point: Point) -> dict[str, Any]:
        places = {}
        for name in point.vectors:
            places[name] = self._counts[name]
            self._counts[name] += 1
        row: dict[str, Any] = {ID: point.id, PLACES: places}
        for name in self._schema.texts:
            row[text_column(name)] = point.texts.get(name)
        for name in self._schema.sparse:
            sparse = point.sparse.get(name)
            row[sparse_column(name)] = None if sparse is None else sparse_object(sparse)
        if self._with_payload:
            row[PAYLOAD] = point.payload
        return row
