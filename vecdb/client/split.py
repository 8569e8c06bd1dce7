"""A large upload as several batches: cut where the next row would not fit one message."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from vecdb.errors import TooLarge
from vecdb.model import point
from vecdb.model.filter import Filter
from vecdb.model.info import MAX_QUERIES_CHARACTERS, Limits
from vecdb.model.keyword import Keyword
from vecdb.model.point import DeleteIds, Int64, Rows
from vecdb.model.query import Examples, SearchRequest
from vecdb.model.size import all_fit, fitting, row_sizes
from vecdb.model.sparse import Sparse
from vecdb.wire import convert

# Names of fields, the collection and what surrounds the columns.
MESSAGE_OVERHEAD = 64 << 10

# What surrounds the snippets of a hit in a message: places of words, and its id, scores and version.
_SNIPPET_OVERHEAD = 1 << 10


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
    """A search of many queries as several, none over ``message_bytes`` or asking for more than ``hits`` in all.

    Nor has one more text than a call may, or asks for more snippets (of one field) than are sure to fit an answer.
    """
    shared = sum(_size(filter) for filter in (request.filter, *(leg.filter for leg in request.legs)))
    room = message_bytes - MESSAGE_OVERHEAD - shared
    sizes = np.zeros(request.queries, dtype=np.int64)
    for leg in request.legs:
        if isinstance(leg, Keyword):
            sizes += np.fromiter((len(text.encode()) + 4 for text in leg.texts), dtype=np.int64, count=request.queries)
        elif isinstance(leg, Sparse):
            sizes += 8 * leg.vectors.counts + 8
        elif leg.examples is None:
            sizes += 4 * leg.vectors.shape[1]
        else:
            sizes += np.fromiter(map(_examples_size, leg.examples), dtype=np.int64, count=request.queries)
    filters = request.query_filters
    if filters is not None:
        sizes += np.fromiter(map(_size, filters), dtype=np.int64, count=len(filters))
    if request.highlight is not None:
        hits = min(hits, room // (_SNIPPET_OVERHEAD + 4 * request.highlight.characters * request.highlight.snippets))
    characters = np.zeros(request.queries, dtype=np.int64)
    for leg in request.legs:
        if isinstance(leg, Keyword):
            characters += np.fromiter(map(len, leg.texts), dtype=np.int64, count=request.queries)
    parts, start = [], 0
    while start < request.queries:
        most = start + max(1, hits // request.most_hits)
        few = min(fitting(sizes[start:most], room), fitting(characters[start:most], MAX_QUERIES_CHARACTERS))
        stop = start + max(1, few)
        parts.append(request.cut(start, stop))
        start = stop
    return parts


def _size(filter: Filter | None) -> int:
    """Bytes of a filter in a message, with what surrounds it."""
    message = convert.filter_to_proto(filter)
    return 0 if message is None else 8 + message.ByteSize()


def _examples_size(examples: Examples) -> int:
    """Bytes of the examples of one query in a message."""
    return 16 + sum(8 + len(point_id.encode()) for point_id in (*examples.positive, *examples.negative))


def _bounds(sizes: Int64, room: int, rows: int) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(sizes):
        stop = start + fitting(sizes[start : start + rows], room)
        yield start, stop
        start = stop


def _rows(operation: point.Put | DeleteIds) -> Rows:
    return Rows(operation.ids) if isinstance(operation, DeleteIds) else operation.rows
