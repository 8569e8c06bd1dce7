"""Points as parquet: id, ``vector`` (list of float), ``text``, payload (JSON text); named fields as ``vector.NAME``.

Sparse vectors are structs of ``indices`` and ``values``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vecdb.client.load.columns import ID, PAYLOAD, sparse_column, text_column, vector_column
from vecdb.client.load.sink import Sink, payload_bytes
from vecdb.model.hit import Point
from vecdb.model.schema import Schema
from vecdb.model.sparse import SparseVector

# A row group is held in memory until it is written.
_GROUP_BYTES = 16 << 20


class ParquetSink(Sink):
    """A parquet file, written by pyarrow."""

    def __init__(self, path: Path, schema: Schema, with_payload: bool) -> None:
        super().__init__([path], schema, with_payload)
        self._writer: Any = None
        self._held: list[Any] = []
        self._held_bytes = 0

    def write(self, points: list[Point]) -> None:
        columns = [pa.array([point.id for point in points], pa.string())]
        columns += [_lists([point.vectors.get(name) for point in points]) for name in self._schema.vectors]
        columns += [pa.array([point.texts.get(name) for point in points], pa.string()) for name in self._schema.texts]
        columns += [_structs([point.sparse.get(name) for point in points]) for name in self._schema.sparse]
        if self._with_payload:
            payloads = [None if (held := payload_bytes(point)) is None else held.decode() for point in points]
            columns.append(pa.array(payloads, pa.string()))
        batch = pa.record_batch(columns, schema=self._columns())
        self._held.append(batch)
        self._held_bytes += batch.nbytes
        if self._held_bytes >= _GROUP_BYTES:
            self._flush()
        self.written += len(points)

    def finish(self) -> None:
        self._flush()
        self._writer.close()
        super().finish()

    def __exit__(self, *error: Any) -> None:
        if self._writer is not None:
            self._writer.close()
        super().__exit__(*error)

    def _columns(self) -> Any:
        fields = [(ID, pa.string())]
        fields += [(vector_column(name), pa.list_(pa.float32())) for name in self._schema.vectors]
        fields += [(text_column(name), pa.string()) for name in self._schema.texts]
        fields += [(sparse_column(name), _SPARSE) for name in self._schema.sparse]
        if self._with_payload:
            fields.append((PAYLOAD, pa.string()))
        return pa.schema(fields)

    def _flush(self) -> None:
        if self._writer is None:
            # Dictionaries of vectors and ids only cost: hardly any value comes twice.
            self._writer = pq.ParquetWriter(
                self._create(self.paths[0]), self._columns(), compression="zstd", use_dictionary=False
            )
        self._writer.write_table(pa.Table.from_batches(self._held, schema=self._columns()))
        self._held, self._held_bytes = [], 0


_SPARSE = pa.struct([("indices", pa.list_(pa.uint32())), ("values", pa.list_(pa.float32()))])


def _structs(vectors: list[SparseVector | None]) -> Any:
    """A column of sparse vectors."""
    indices = _lists([None if vector is None else vector.indices for vector in vectors], np.uint32)
    values = _lists([None if vector is None else vector.values for vector in vectors])
    missing = pa.array([vector is None for vector in vectors])
    return pa.StructArray.from_arrays([indices, values], fields=list(_SPARSE), mask=missing)


def _lists(vectors: list[Any], dtype: type[np.generic] = np.float32) -> Any:
    """A column of lists from arrays and None, without an object for each number."""
    present = [vector for vector in vectors if vector is not None]
    flat = np.concatenate(present) if present else np.zeros(0, dtype)
    lengths = np.array([0 if vector is None else len(vector) for vector in vectors], np.int32)
    offsets = np.concatenate([np.zeros(1, np.int32), np.cumsum(lengths, dtype=np.int32)])
    missing = pa.array([vector is None for vector in vectors])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat, pa.from_numpy_dtype(dtype)), mask=missing)
