"""Sparse vectors as people have them, to columns and to legs of the model.

One vector is a dict of weights by dimension, a pair (dimensions, weights), a SparseVector, or a row of a sparse matrix
of scipy; None where there is none. Many are a list of those, or a sparse matrix.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb.client.filters import Where
from vecdb.errors import InvalidArgument, InvalidVector
from vecdb.model import sparse
from vecdb.model.sparse import SparseColumn, SparseVector, SparseVectors

_KINDS = "a dict of weights, a pair (indices, values), a SparseVector or a sparse row"


@dataclass(frozen=True, slots=True, eq=False)
class Sparse:
    """A leg of a search: points whose sparse vectors have a dimension in common with ``vector``, by dot product.

    ``vector``: a dict of weights by dimension, a pair (dimensions, weights), a SparseVector, or a row of a sparse
    matrix of scipy. ``using`` None: the collection's only sparse field. With several legs, ``weight`` (> 0) is its
    share in the fusion and ``depth`` (1..10,000, None: chosen) the hits it contributes. ``filter`` (a dict, or what F
    makes) narrows this leg alone. ``model`` states where the vector comes from; another than the field's is refused.
    """

    vector: Any
    using: str | None = None
    weight: float = 1.0
    depth: int | None = None
    filter: Where | None = None
    model: str | None = None


def to_sparse_columns(given: Any, n: int) -> dict[str | None, SparseColumn]:
    """Columns by field, None for the only one, for ``n`` points. Raises InvalidArgument and its kin, naming the row."""
    if given is None:
        return {}
    columns = {}
    for field, some in (given if isinstance(given, Mapping) else {None: given}).items():
        column = _to_column(some, n, f'sparse["{field or ""}"]')
        if column is not None:
            columns[field] = column
    return columns


def to_sparse_legs(given: Any) -> list[sparse.Sparse]:
    """A leg for one query, or one for each of several fields. Raises InvalidArgument and its kin."""
    return [to_sparse_leg(vector, using, path) for using, vector, path in _by_field(given)]


def to_sparse_leg(vector: Any, using: str | None, path: str, model: str | None = None) -> sparse.Sparse:
    """A leg for one query, at ``path`` of what was given."""
    indices, values = _entries(vector, path)
    made = SparseVectors.of([len(indices)], indices, values)
    try:
        return sparse.Sparse(made.normalized(path), using, model=model)
    except InvalidVector as error:
        error.field = path
        raise


def to_sparse_batch(given: Any) -> list[sparse.Sparse]:
    """A leg of many queries, or one for each of several fields. Raises InvalidArgument and its kin."""
    by_field = given if isinstance(given, Mapping) else {None: given}
    return [sparse.Sparse(_all(some, _path("sparse", using)), using) for using, some in by_field.items()]


def _by_field(given: Any) -> list[tuple[str | None, Any, str]]:
    """What is given for one query: a vector, or vectors by field, which are no numbers as weights are."""
    if isinstance(given, Mapping) and given and not all(isinstance(value, _NUMBERS) for value in given.values()):
        return [(using, vector, _path("sparse", using)) for using, vector in given.items()]
    return [(None, given, "sparse")]


_NUMBERS = (int, float, np.integer, np.floating)


def _path(name: str, field: str | None) -> str:
    return name if field is None else f'{name}["{field}"]'


def _to_column(given: Any, n: int, path: str) -> SparseColumn | None:
    if hasattr(given, "tocsr"):
        data = _matrix(given, path)
        _require(len(data), n, path)
        return SparseColumn(data.normalized(path)) if n else None
    listed = _listed(given, path)
    _require(len(listed), n, path)
    there = [i for i, vector in enumerate(listed) if vector is not None]
    if not there:
        return None
    data = _gathered([listed[i] for i in there], there, path)
    rows = np.array(there, dtype=np.int64)
    return SparseColumn(data.normalized(path, rows), None if len(there) == n else rows)


def _all(given: Any, path: str) -> SparseVectors:
    """The vectors of queries, every one of them there."""
    if hasattr(given, "tocsr"):
        return _matrix(given, path).normalized(path)
    listed = _listed(given, path)
    return _gathered(listed, range(len(listed)), path).normalized(path)


def _listed(given: Any, path: str) -> list[Any]:
    if not isinstance(given, Iterable) or isinstance(given, str | bytes | Mapping | SparseVector):
        raise InvalidArgument(
            "not sparse vectors", field=path, expected=f"a list, each {_KINDS}", received=type(given).__name__
        )
    return list(given)


def _require(received: int, n: int, path: str) -> None:
    if received != n:
        raise InvalidArgument("columns differ in length", field=path, expected=f"{n} vectors", received=str(received))


def _matrix(given: Any, path: str) -> SparseVectors:
    """The rows of a sparse matrix of scipy."""
    rows = given.tocsr()
    counts = np.diff(np.atleast_1d(rows.indptr))
    return SparseVectors.of(counts, _dimensions(rows.indices, path), _weights(rows.data, path))


def _gathered(given: Sequence[Any], rows: Sequence[int], path: str) -> SparseVectors:
    pairs = [_entries(vector, f"{path}[{row}]") for row, vector in zip(rows, given, strict=True)]
    indices = np.concatenate([np.zeros(0, dtype=np.uint32), *(indices for indices, _ in pairs)])
    values = np.concatenate([np.zeros(0, dtype=np.float32), *(values for _, values in pairs)])
    return SparseVectors.of([len(indices) for indices, _ in pairs], indices, values)


def _entries(vector: Any, path: str) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """The dimensions and weights of one vector, as they come. A dimension in a dict may be a string of digits."""
    if isinstance(vector, SparseVector):
        return vector.indices, vector.values
    if hasattr(vector, "tocsr"):
        made = _matrix(vector, path)
        if len(made) != 1:
            raise InvalidArgument("not one vector", field=path, expected="one row", received=f"{len(made)} rows")
        return made.indices, made.values
    if isinstance(vector, Mapping) and vector.keys() == {"indices", "values"}:
        indices, values = vector["indices"], vector["values"]
    elif isinstance(vector, Mapping):
        keys = [int(key) if isinstance(key, str) and key.isdecimal() else key for key in vector]
        indices, values = keys, list(vector.values())
    elif isinstance(vector, tuple | list) and len(vector) == 2:
        indices, values = vector
    else:
        raise InvalidArgument("not a sparse vector", field=path, expected=_KINDS, received=type(vector).__name__)
    made_indices, made_values = _dimensions(indices, path), _weights(values, path)
    if len(made_indices) != len(made_values):
        raise InvalidArgument(
            "indices and values differ in number",
            field=path,
            expected=f"{len(made_indices)} values",
            received=str(len(made_values)),
        )
    return made_indices, made_values


def _dimensions(given: Any, path: str) -> NDArray[np.uint32]:
    found = _array(given, path)
    if not len(found):
        return np.zeros(0, dtype=np.uint32)
    if found.dtype.kind not in "iu":
        raise InvalidArgument("a dimension is no integer", field=path, expected="integers", received=str(found.dtype))
    if int(found.min()) < 0 or int(found.max()) >= 2**32:
        wrong = found[(found < 0) | (found >= 2**32)][0]
        raise InvalidArgument("no dimension", field=path, expected=f"0..{2**32 - 1}", received=str(wrong))
    return found.astype(np.uint32)


def _weights(given: Any, path: str) -> NDArray[np.float32]:
    found = _array(given, path)
    if not len(found):
        return np.zeros(0, dtype=np.float32)
    if found.dtype.kind not in "iuf":
        raise InvalidVector("a weight is no number", field=path, expected="numbers", received=str(found.dtype))
    with np.errstate(over="ignore"):
        return found.astype(np.float32)


def _array(given: Any, path: str) -> NDArray[Any]:
    try:
        found = np.asarray(given)
    except (ValueError, TypeError, OverflowError):
        found = np.zeros((0, 0))
    if found.ndim != 1:
        raise InvalidArgument("not a sparse vector", field=path, expected=_KINDS, received=type(given).__name__)
    return found
