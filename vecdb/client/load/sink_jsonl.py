"""Points as JSON lines: id, ``vector`` (``vector.NAME``), ``text``, ``sparse`` alike, payload; null where none is."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from vecdb.client.load.columns import ID, PAYLOAD, sparse_column, sparse_object, text_column, vector_column
from vecdb.client.load.sink import Sink, as_json
from vecdb.model.hit import Point
from vecdb.model.schema import Schema


class JsonLinesSink(Sink):
    """A file of JSON lines, compressed where its name ends in .gz; without ``path``, standard output."""

    def __init__(self, path: Path | None, schema: Schema, with_payload: bool) -> None:
        super().__init__([] if path is None else [path], schema, with_payload)
        self._path = path
        self._out: BinaryIO | gzip.GzipFile | None = None

    def write(self, points: list[Point]) -> None:
        out = self._opened()
        for point in points:
            line = as_json(self._row(point))
            out.write(line)
            if self._path is None:
                self.nbytes += len(line)
        self.written += len(points)

    def finish(self) -> None:
        out = self._opened()
        if isinstance(out, gzip.GzipFile):
            out.close()
        else:
            out.flush()
        super().finish()

    def _opened(self) -> BinaryIO | gzip.GzipFile:
        if self._out is None:
            if self._path is None:
                self._out = sys.stdout.buffer
            else:
                file = self._create(self._path)
                self._out = gzip.GzipFile("", "wb", 6, file, mtime=0) if self._path.suffix == ".gz" else file
        return self._out

    def _row(self, point: Point) -> dict[str, Any]:
        row: dict[str, Any] = {ID: point.id}
        for name in self._schema.vectors:
            vector = point.vectors.get(name)
            # The shortest text of a float32 may, read as a float64 and rounded, become its neighbour
            # (7.038531e-26 does); the shortest of the same number as a float64 never does.
            row[vector_column(name)] = None if vector is None else vector.astype(np.float64)
        for name in self._schema.texts:
            row[text_column(name)] = point.texts.get(name)
        for name in self._schema.sparse:
            sparse = point.sparse.get(name)
            row[sparse_column(name)] = None if sparse is None else sparse_object(sparse)
        if self._with_payload:
            row[PAYLOAD] = point.payload
        return row
