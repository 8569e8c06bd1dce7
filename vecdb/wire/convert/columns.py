"""Vectors, texts and payloads in columns. Raw little-endian numbers, never touched one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from vecdb.errors import InvalidArgument
from vecdb.model.point import Float32, Int64, Select, VectorColumn
from vecdb.model.schema import MAX_DIM
from vecdb.v1 import columns_pb2, operation_pb2
from vecdb.wire.convert.refusals import lengths_differ

T = TypeVar("T")

FLOAT32 = np.dtype("<f4")
_DTYPES: dict[int, np.dtype[Any]] = {
    columns_pb2.DATA_TYPE_UNSPECIFIED: FLOAT32,
    columns_pb2.DATA_TYPE_FLOAT32: FLOAT32,
    columns_pb2.DATA_TYPE_FLOAT16: np.dtype("<f2"),
}


def fill_vectors(message: columns_pb2.Vectors, data: Float32) -> None:
    """Put float32 ``[n, dim]`` into ``message`` as raw bytes."""
    message.dim = data.shape[1]
    message.data_type = columns_pb2.DATA_TYPE_FLOAT32
    message.data = np.ascontiguousarray(data, dtype=FLOAT32).tobytes()


def vectors_from_proto(message: columns_pb2.Vectors, path: str) -> Float32:
    """Float32 ``[n, dim]``, read only where it needed no conversion. Raises InvalidArgument."""
    dim = message.dim
    if not 1 <= dim <= MAX_DIM:
        raise InvalidArgument("dim out of range", field=f"{path}.dim", expected=f"1..{MAX_DIM}", received=str(dim))
    dtype = _DTYPES.get(message.data_type)
    if dtype is None:
        raise InvalidArgument(
            "unknown data type",
            field=f"{path}.data_type",
            expected="FLOAT32 | FLOAT16",
            received=str(message.data_type),
        )
    if message.values:
        if message.data:
            raise InvalidArgument(
                "vectors are given twice", field=path, expected="data or values", received="data and values"
            )
        numbers = np.fromiter(message.values, dtype=np.float32, count=len(message.values))
        _whole(len(numbers), dim, f"{path}.values", "numbers")
    else:
        raw = message.data
        _whole(len(raw), dim * dtype.itemsize, f"{path}.data", "bytes")
        numbers = np.frombuffer(raw, dtype=dtype).astype(np.float32, copy=False)
    return numbers.reshape(-1, dim)


def _whole(received: int, unit: int, path: str, what: str) -> None:
    if received % unit:
        raise InvalidArgument(
            "not a whole number of vectors", field=path, expected=f"a multiple of {unit} {what}", received=str(received)
        )


def numbers(raw: bytes, dtype: str, count: int, path: str) -> Any:
    """``count`` raw numbers as an array. Raises InvalidArgument."""
    found = np.dtype(dtype)
    if len(raw) != count * found.itemsize:
        raise lengths_differ(path, f"{count * found.itemsize} bytes", len(raw))
    return np.frombuffer(raw, dtype=found).astype(found.newbyteorder("="), copy=False)


def positions(rows: Sequence[int], entries: int, n: int, path: str) -> Int64 | None:
    """Which of ``n`` rows the entries of a column belong to; None: all, in order."""
    if not rows:
        if entries != n:
            raise lengths_differ(path, f"{n} entries, or row positions", entries)
        return None
    if len(rows) != entries:
        raise lengths_differ(f"{path}.rows", f"{entries} positions", len(rows))
    found = np.fromiter(rows, dtype=np.int64, count=len(rows))
    if found[-1] >= n or np.any(found[1:] <= found[:-1]):
        raise InvalidArgument(
            "row positions are not ascending within the batch",
            field=f"{path}.rows",
            expected=f"ascending, below {n}",
            received=str(found[:8].tolist()),
        )
    return found


def spread(values: Sequence[T], rows: Sequence[int], n: int, path: str) -> list[T | None]:
    """A column of ``n`` entries, None where ``rows`` leaves one out. Raises InvalidArgument."""
    places = positions(rows, len(values), n, path)
    if places is None:
        return list(values)
    column: list[T | None] = [None] * n
    for position, value in zip(places.tolist(), values, strict=True):
        column[position] = value
    return column


def _gathered(values: Sequence[T | None], n: int) -> tuple[list[T], list[int]]:
    """The entries that are there, and their positions unless all ``n`` are."""
    entries = [value for value in values if value is not None]
    if len(entries) == n:
        return entries, []
    return entries, [i for i, value in enumerate(values) if value is not None]


def fill_columns(
    message: operation_pb2.Put | columns_pb2.PointColumns,
    n: int,
    vectors: Mapping[str, VectorColumn] | Mapping[str | None, VectorColumn],
    texts: Mapping[str, Sequence[str | None]],
    payloads: Sequence[bytes | None] | None,
    models: Mapping[str | None, str],
) -> None:
    """Put the columns of ``n`` points into ``message``, without those that have no entry."""
    for field, column in vectors.items():
        if len(column.data):
            to_vectors = message.vectors.add(field=field, model=models.get(field))
            fill_vectors(to_vectors.vectors, column.data)
            if column.rows is not None:
                to_vectors.rows.extend(column.rows.tolist())
            elif len(column.data) != n:
                to_vectors.rows.extend(range(len(column.data)))
    for field, given in texts.items():
        values, rows = _gathered(given, n)
        if values:
            message.texts.add(field=field, values=values, rows=rows)
    if payloads is not None:
        encoded, rows = _gathered(payloads, n)
        if encoded:
            message.payloads.values.extend(encoded)
            message.payloads.rows.extend(rows)


def vectors_by_field(columns: Iterable[columns_pb2.VectorColumn], n: int, path: str) -> dict[str, VectorColumn]:
    """The vectors of ``n`` points. Raises InvalidArgument."""
    found = written_vectors(columns, n, path)
    return {name or "": column for name, column in found.items()}


def written_vectors(columns: Iterable[columns_pb2.VectorColumn], n: int, path: str) -> dict[str | None, VectorColumn]:
    """The vectors of ``n`` rows, None for the default field. Raises InvalidArgument."""
    found: dict[str | None, VectorColumn] = {}
    for column in columns:
        name = field_of(column)
        where = once(found, name, f"{path}.vectors")
        data = vectors_from_proto(column.vectors, f"{where}.vectors")
        found[name] = VectorColumn(data, positions(column.rows, len(data), n, where))
    return found


def field_of(column: columns_pb2.VectorColumn) -> str | None:
    """The field of a column, None where it names none."""
    return column.field if column.HasField("field") else None


def texts_by_field(columns: Iterable[columns_pb2.TextColumn], n: int, path: str) -> dict[str, list[str | None]]:
    """The texts of ``n`` rows. Raises InvalidArgument."""
    found: dict[str, list[str | None]] = {}
    for column in columns:
        where = once(found, column.field, f"{path}.texts")
        found[column.field] = spread(column.values, column.rows, n, where)
    return found


def once(found: Mapping[Any, object], field: str | None, path: str) -> str:
    """The path of a field's column. Raises InvalidArgument for a second one."""
    where = f'{path}["{field or ""}"]'
    if field in found:
        raise InvalidArgument("a field has two columns", field=where, expected="one column", received="two")
    return where


def select_to_proto(select: Select) -> columns_pb2.Select:
    return columns_pb2.Select(payload=select.payload, texts=select.texts, vectors=select.vectors)


def select_from_proto(message: columns_pb2.Select) -> Select:
    return Select(payload=message.payload, texts=message.texts, vectors=message.vectors)
