"""How many bytes each row of a batch takes in a message: for cutting what does not fit one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vecdb.model.point import Int64, Points, Rows

# Tags, lengths and versions of a row, and its position in one column; generous.
ROW_OVERHEAD = 32
ENTRY_OVERHEAD = 16


def row_sizes(rows: Rows | Points) -> Int64:
    """An upper bound for each row, int64 ``[n]``."""
    sizes = _lengths(rows.ids) + ROW_OVERHEAD
    for column in (rows.vectors or {}).values():
        entry = column.data.shape[1] * 4 + ENTRY_OVERHEAD
        if column.rows is None:
            sizes += entry
        else:
            sizes[column.rows] += entry
    for texts in (rows.texts or {}).values():
        sizes += _lengths(texts) + ENTRY_OVERHEAD
    for sparse in (rows.sparse or {}).values():
        sizes += sparse.sizes(len(rows.ids)) + 2 * ENTRY_OVERHEAD
    if rows.payloads is not None:
        sizes += _lengths(rows.payloads) + ENTRY_OVERHEAD
    return sizes


def all_fit(rows: Rows | Points, limit: int) -> bool:
    """Whether all rows surely take at most ``limit`` bytes together; much cheaper than ``row_sizes``."""
    vectors, texts, sparse = rows.vectors or {}, rows.texts or {}, rows.sparse or {}
    columns = len(vectors) + len(texts) + 2 * len(sparse) + 1
    bound = len(rows.ids) * (ROW_OVERHEAD + columns * ENTRY_OVERHEAD)
    bound += 4 * sum(map(len, rows.ids)) + sum(column.data.nbytes for column in vectors.values())
    bound += 8 * sum(len(column.data.indices) for column in sparse.values())
    bound += 4 * sum(len(text) for column in texts.values() for text in column if text)
    bound += sum(len(payload) for payload in rows.payloads or () if payload)
    return bound <= limit


def fitting(sizes: Int64, limit: int) -> int:
    """How many rows, from the first, take at most ``limit`` bytes together."""
    return int(np.searchsorted(np.cumsum(sizes), limit, side="right"))


def _lengths(values: Sequence[str | bytes | None]) -> Int64:
    return np.fromiter(map(_length, values), dtype=np.int64, count=len(values))


def _length(value: str | bytes | None) -> int:
    if value is None:
        return 0
    if isinstance(value, bytes) or value.isascii():
        return len(value)
    return len(value.encode("utf-8", "surrogatepass"))
