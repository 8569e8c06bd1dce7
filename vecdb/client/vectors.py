"""Vectors as people have them, to float32 columns: arrays of any number type, lists, lists with gaps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb.errors import DimensionMismatch, InvalidArgument, InvalidVector
from vecdb.model.point import Float32, Int64, VectorColumn


def to_columns(vectors: Any, n: int) -> dict[str | None, VectorColumn]:
    """Columns by field, None for the default, for ``n`` points. Raises InvalidArgument and its kin, naming the row."""
    if vectors is None:
        return {}
    by_field = vectors if isinstance(vectors, Mapping) else {None: vectors}
    columns = {}
    for field, given in by_field.items():
        column = _to_column(given, n, f'vectors["{field or ""}"]')
        if column is not None:
            columns[field] = column
    return columns


def to_matrix(vectors: Any, path: str) -> Float32:
    """Float32 ``[n, dim]``, every row a vector."""
    if isinstance(vectors, str | bytes | Mapping):
        raise _not_vectors(path, type(vectors).__name__)
    if isinstance(vectors, Iterable) and not hasattr(vectors, "__array__") and not isinstance(vectors, list | tuple):
        vectors = list(vectors)
    return _float32(_array(vectors, path), None, path)


def to_query(vector: Any, path: str) -> Float32:
    """Float32 ``[1, dim]`` from one vector, ``[dim]`` or ``[1, dim]``."""
    found = _array(vector, path)
    if found.ndim == 2 and len(found) > 1:
        raise InvalidArgument(
            "one vector is searched at a time; search_batch takes many",
            field=path,
            expected="[dim]",
            received=str(list(found.shape)),
        )
    return _float32(found[np.newaxis] if found.ndim == 1 else found, None, path)


def _to_column(given: Any, n: int, path: str) -> VectorColumn | None:
    if isinstance(given, str | bytes | Mapping) or not (isinstance(given, Iterable) or hasattr(given, "__array__")):
        raise _not_vectors(path, type(given).__name__)
    if hasattr(given, "__array__"):
        given = np.asarray(given)
        if given.dtype == object and given.ndim == 1:
            given = list(given)
    elif not isinstance(given, list | tuple):
        given = list(given)
    if len(given) != n:
        raise InvalidArgument("columns differ in length", field=path, expected=f"{n} vectors", received=str(len(given)))
    if n == 0:
        return None
    rows = None
    if not isinstance(given, np.ndarray) and any(vector is None for vector in given):
        rows = np.array([i for i, vector in enumerate(given) if vector is not None], dtype=np.int64)
        given = [vector for vector in given if vector is not None]
        if not given:
            return None
    return VectorColumn(_float32(_array(given, path, rows), rows, path), rows)


def _array(given: Any, path: str, rows: Int64 | None = None) -> NDArray[Any]:
    try:
        return np.asarray(given)
    except (ValueError, TypeError, OverflowError):
        raise _ragged(given, rows, path) from None


def _float32(array: NDArray[Any], rows: Int64 | None, path: str) -> Float32:
    """Refuse what is no ``[n, dim]`` of numbers, or does not fit float32."""
    if array.dtype.kind not in "fiu":
        raise _not_vectors(path, f"values of type {array.dtype}")
    if array.ndim != 2:
        raise _not_vectors(path, f"an array of shape {list(array.shape)}")
    if array.dtype == np.float32:
        data = np.ascontiguousarray(array)
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            data = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(data).all():
        row, position = (int(i) for i in np.argwhere(~np.isfinite(data))[0])
        value = array[row, position]
        raise InvalidVector(
            "the vector does not fit float32" if np.isfinite(value) else "the vector is not finite",
            field=f"{path}[{row if rows is None else rows[row]}]",
            expected="finite float32 values",
            received=f"{value} at position {position}",
        )
    return data


def _ragged(given: Any, rows: Int64 | None, path: str) -> InvalidArgument:
    """What is wrong with a list that is no array, as exactly as can be told."""
    lengths = [len(vector) if hasattr(vector, "__len__") else None for vector in given]
    for i, length in enumerate(lengths):
        where = f"{path}[{i if rows is None else rows[i]}]"
        if length is None:
            return _not_vectors(where, type(given[i]).__name__)
        if length != lengths[0]:
            return DimensionMismatch(
                "vectors differ in length", field=where, expected=str(lengths[0]), received=str(length)
            )
    return _not_vectors(path, "values that are no numbers")


def _not_vectors(path: str, received: str) -> InvalidArgument:
    return InvalidArgument("not vectors", field=path, expected="numbers of shape [n, dim]", received=received)
