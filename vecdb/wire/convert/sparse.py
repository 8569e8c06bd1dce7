"""Sparse vectors in columns. Raw little-endian numbers, never touched one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from vecdb.model.sparse import SparseColumn, SparseVectors
from vecdb.v1 import columns_pb2, operation_pb2
from vecdb.wire.convert.columns import numbers, once, positions


def fill_sparse_vectors(message: columns_pb2.SparseVectors, vectors: SparseVectors) -> None:
    """Put sparse vectors into ``message`` as raw bytes."""
    message.counts.extend(vectors.counts.tolist())
    message.indices = vectors.indices.astype("<u4", copy=False).tobytes()
    message.values = vectors.values.astype("<f4", copy=False).tobytes()


def sparse_vectors_from_proto(message: columns_pb2.SparseVectors, path: str) -> SparseVectors:
    """The sparse vectors, in the order in which their entries came. Raises InvalidArgument."""
    counts = np.fromiter(message.counts, dtype=np.int64, count=len(message.counts))
    entries = int(counts.sum())
    indices = numbers(message.indices, "<u4", entries, f"{path}.indices")
    return SparseVectors.of(counts, indices, numbers(message.values, "<f4", entries, f"{path}.values"))


def fill_sparse(
    message: operation_pb2.Put | columns_pb2.PointColumns,
    n: int,
    columns: Mapping[str, SparseColumn] | Mapping[str | None, SparseColumn],
) -> None:
    """Put the sparse columns of ``n`` points into ``message``, without those that have no entry."""
    for field, column in columns.items():
        if len(column.data):
            to = message.sparse.add(field=field, model=column.model)
            fill_sparse_vectors(to.vectors, column.data)
            if column.rows is not None:
                to.rows.extend(column.rows.tolist())
            elif len(column.data) != n:
                to.rows.extend(range(len(column.data)))


def written_sparse(columns: Iterable[columns_pb2.SparseColumn], n: int, path: str) -> dict[str | None, SparseColumn]:
    """The sparse vectors of ``n`` rows, None for the only field. Raises InvalidArgument."""
    found: dict[str | None, SparseColumn] = {}
    for column in columns:
        name = column.field if column.HasField("field") else None
        where = once(found, name, f"{path}.sparse")
        data = sparse_vectors_from_proto(column.vectors, f"{where}.vectors")
        model = column.model if column.HasField("model") else None
        found[name] = SparseColumn(data, positions(column.rows, len(data), n, where), model)
    return found


def sparse_by_field(columns: Iterable[columns_pb2.SparseColumn], n: int, path: str) -> dict[str, SparseColumn]:
    """The sparse vectors of ``n`` points. Raises InvalidArgument."""
    return {name or "": column for name, column in written_sparse(columns, n, path).items()}
