"""A large upload as several batches: cut where the next row would not fit one message."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from vecdb.errors import TooLarge
from vecdb.model import point
from vecdb.model.info import Limits
from vecdb.model.point import DeleteIds, Int64, Rows
from vecdb.model.query import SearchRequest
from vecdb.model.size import all_fit, fitting, row_sizes

# Names of fields, the collection and what surrounds the columns.
MESSAGE_OVERHEAD = 64 << 10


def pieces(operation: point.Put | DeleteIds, limits: Limits) -> list[tuple[int, int]]:
    """The bounds of the rows of each batch; one when all fits a message, and is not too many rows.

    Raises TooLarge for a row that never does.
    """
    room, count = limits.message_bytes - MESSAGE_OVERHEAD, len(_rows(operation).ids)
    if count <= limits.batch_rows and all_fit(_rows(operation), room):
        return [(0, count)]
    sizes = row_sizes(_rows(operation))
    if len(sizes) and sizes.max() > room:
        row = int(np.argmax(sizes > room))
        raise TooLarge(
            "one point is larger than a message may be",
            field=f"ids[{row}]",
            expected=f"<= {room} bytes",
            received=f"{sizes[row]} bytes",
        )
    return list(_bounds(sizes, room, limits.batch_rows))


def piece(operation: point.Put | DeleteIds, start: int, stop: int) -> point.Put | DeleteIds:
    """The rows from ``start`` up to ``stop``."""
    return operation.cut(start, stop)


def require_one_message(operations: list[point.Operation], limit: int) -> None:
    """Refuse a batch that does not fit ``limit`` bytes: it would not be atomic. Raises TooLarge."""
    total = sum(
        int(row_sizes(_rows(operation)).sum())
        for operation in operations
        if isinstance(operation, point.Put | DeleteIds)
    )
    if total > limit - MESSAGE_OVERHEAD:
        raise TooLarge(
            "the batch is larger than a message may be, so it cannot be atomic",
            field="operations",
            expected=f"<= {limit - MESSAGE_OVERHEAD} bytes",
            received=f"{total} bytes",
        )


def piece_id(request_id: bytes, index: int) -> bytes:
    """The request id of one batch of a split upload: the same whenever the same upload is sent again."""
    return hashlib.blake2b(request_id + b"/%d" % index, digest_size=16).digest()


def queries(request: SearchRequest, message_bytes: int, hits: int) -> list[SearchRequest]:
    """A search of many queries as several, none over ``message_bytes`` or asking more than ``hits`` in all."""
    row = sum(4 * leg.vectors.shape[1] for leg in request.legs)
    most = max(1, min((message_bytes - MESSAGE_OVERHEAD) // max(1, row), hits // request.limit))
    return [
        replace(request, legs=[replace(leg, vectors=leg.vectors[start : start + most]) for leg in request.legs])
        for start in range(0, request.queries, most)
    ]


def _bounds(sizes: Int64, room: int, rows: int) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(sizes):
        stop = start + fitting(sizes[start : start + rows], room)
        yield start, stop
        start = stop


def _rows(operation: point.Put | DeleteIds) -> Rows:
    return Rows(operation.ids) if isinstance(operation, DeleteIds) else operation.rows
