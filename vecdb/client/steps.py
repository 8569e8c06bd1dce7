"""What a collection's operations consist of, written once for every sender: generators that yield calls.

Requests are built when the steps are first run, so that a sender chooses where. ``collection`` is a name.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb.client import build, calls, changes, parse, searching, split
from vecdb.client import cursor as cursors
from vecdb.client.calls import Steps
from vecdb.client.content import complete
from vecdb.client.filters import to_filter
from vecdb.client.ids import to_ids
from vecdb.client.keyword import a_text, text_list
from vecdb.client.numbers import real, whole
from vecdb.client.operations import Delete, Operation, Put
from vecdb.client.reranking import Found, asked
from vecdb.client.searching import Leg
from vecdb.client.vectors import to_matrix
from vecdb.errors import InvalidArgument, PartialWrite, VecdbError
from vecdb.model import point
from vecdb.model.facet import Facet, FacetRequest
from vecdb.model.hit import Page, Point, SearchResult, points_in
from vecdb.model.info import MAX_ANALYZED_TEXTS, MAX_SCROLL_POINTS
from vecdb.model.order import order_of
from vecdb.model.point import (
    Clear,
    DeleteIds,
    DeleteWhere,
    Points,
    PutMode,
    Select,
    UpdateWhere,
    WriteBatch,
    WriteResult,
)
from vecdb.model.recall import MeasuredRecall, RecallRequest
from vecdb.model.token import Token

# Ids of 512 bytes each, so many just fit one message.
IDS_PER_CALL = 100_000

# Recall is measured by fewer in the second that a call has.
QUERIES_PER_CALL = 1_000

# How many points are written, of how many.
Report = Callable[[int, int], object]

NOTHING_WRITTEN = WriteResult(seq=0, count=0)


# -- writing --


def put(
    collection: str, given: Put, durability: str | None, request_id: bytes | None, report: Report | None = None
) -> Steps[WriteResult]:
    """Write points: one batch where all fits a message, else several in order, each told to ``report``."""
    return (yield from _in_pieces(collection, build.put(given), durability, request_id, report))


def delete(collection: str, given: Delete, durability: str | None, request_id: bytes | None) -> Steps[WriteResult]:
    """Delete points by id, in as many batches as it takes; or by filter, in one."""
    return (yield from _in_pieces(collection, build.delete(given), durability, request_id))


def clear(collection: str, durability: str | None, request_id: bytes | None) -> Steps[WriteResult]:
    """Delete every point."""
    return (yield from _batch(collection, [Clear()], durability, request_id))


def write(
    collection: str, given: Iterable[Operation], durability: str | None, request_id: bytes | None
) -> Steps[WriteResult]:
    """One atomic batch, or TooLarge."""
    operations = build.operations(given)
    if not operations:
        return NOTHING_WRITTEN
    split.require_one_message(operations, (yield from calls.Info()).limits.message_bytes)
    return (yield from _batch(collection, operations, durability, request_id))


def _in_pieces(
    collection: str,
    operation: point.Put | DeleteIds | DeleteWhere | UpdateWhere,
    durability: str | None,
    request_id: bytes | None,
    report: Report | None = None,
) -> Steps[WriteResult]:
    if isinstance(operation, DeleteWhere | UpdateWhere):
        return (yield from _batch(collection, [operation], durability, request_id))
    total = build.size_of(operation)
    if not total:
        return NOTHING_WRITTEN
    report = report or _unheard
    pieces = split.pieces(operation, (yield from calls.Info()).limits)
    if len(pieces) == 1:
        result = yield from _batch(collection, [operation], durability, request_id)
        report(total, total)
        return result
    if isinstance(operation, point.Put) and (operation.mode is PutMode.INSERT or operation.condition is not None):
        build.different(operation.rows.ids)
    build.durability(durability)
    whole_id = uuid.uuid4().bytes if request_id is None else build.request_id(request_id)
    count = 0
    result = NOTHING_WRITTEN
    for i, (start, stop) in enumerate(pieces):
        part = split.piece(operation, start, stop)
        try:
            result = yield from _batch(collection, [part], durability, split.piece_id(whole_id, i))
        except VecdbError as cause:
            raise PartialWrite(written=start, next_index=start, cause=cause) from cause
        count += result.count
        report(stop, total)
    return WriteResult(result.seq, count)


def _unheard(done: int, total: int) -> None:
    """Nobody wants to know."""


def _batch(
    collection: str, operations: Sequence[point.Operation], durability: str | None, request_id: bytes | None
) -> Steps[WriteResult]:
    batch = WriteBatch(operations, build.durability(durability))
    made = uuid.uuid4().bytes if request_id is None else build.request_id(request_id)
    return (yield from calls.Write(collection, batch, made))


# -- searching --


def search(collection: str, vector: Any, legs: Sequence[Leg] | None, **options: Any) -> Steps[Found]:
    """The hits of one query; ``options`` are those of ``searching.search``."""
    request = searching.search(vector, legs, **options)
    answer = yield from complete(calls.Search(collection, request))
    return Found(parse.results(answer), asked(request))


def search_batch(collection: str, vectors: Any, **options: Any) -> Steps[Found]:
    """The hits of each query, as many queries a call as fit a message and its answer."""
    request = searching.search_batch(vectors, **options)
    if request is None:
        return Found([], [])
    limits = (yield from calls.Info()).limits
    results: list[SearchResult] = []
    for part in split.queries(request, limits.message_bytes, limits.search_hits):
        results += parse.results((yield from complete(calls.Search(collection, part))))
    return Found(results, asked(request))


def analyze(collection: str, texts: object, field: object) -> Steps[list[list[Token]]]:
    """The terms of each text, in as many calls as it takes."""
    given, name = text_list(texts), changes.field_name(field, "field")
    wanted = [a_text(one, f"texts[{i}]") for i, one in enumerate(given)]
    found: list[list[Token]] = []
    for start in range(0, len(wanted), MAX_ANALYZED_TEXTS):
        found += yield from calls.Analyze(collection, name, wanted[start : start + MAX_ANALYZED_TEXTS])
    return found


# -- reading --


def get(collection: str, ids: Iterable[object], select: Select) -> Steps[list[Point]]:
    """Points by id, in the order asked."""
    wanted = to_ids(ids)
    found: list[Point] = []
    start = 0
    while start < len(wanted):
        points, answered = yield from calls.Get(collection, wanted[start : start + IDS_PER_CALL], select)
        found += points_in(points)
        start += answered
    return found


def exists(collection: str, ids: Iterable[object], filter: object) -> Steps[NDArray[np.bool_]]:
    """Which ids exist and match, bool ``[n]``."""
    wanted, condition = to_ids(ids), to_filter(filter)
    found = [np.zeros(0, dtype=np.bool_)]
    for start in range(0, len(wanted), IDS_PER_CALL):
        found.append((yield from calls.Exists(collection, wanted[start : start + IDS_PER_CALL], condition)))
    return np.concatenate(found)


def count(collection: str, filter: object) -> Steps[int]:
    """How many points match."""
    return (yield from calls.Count(collection, to_filter(filter)))


def page(
    collection: str, place: str | None, limit: int, select: Select, order_by: object = None, filter: object = None
) -> Steps[Page]:
    """Up to ``limit`` points after the cursor ``place``; several calls where they do not fit one message."""
    walk = Walk(collection, select, order_by, filter, place)
    limit = points_at_once(limit, "limit")
    found: list[Point] = []
    while not walk.ended and len(found) < limit:
        found += yield from walk.more(limit - len(found))
    return Page(found, walk.cursor)


def facet(collection: str, key: object, filter: object, limit: object) -> Steps[Facet]:
    """How many points have which values."""
    request = FacetRequest(build.key(key, "key"), whole(limit, "limit"))
    return (yield from calls.Facet(collection, request, to_filter(filter)))


class Walk:
    """A walk over all points that match, by id or in an order, from a cursor on. Raises InvalidArgument."""

    def __init__(
        self, collection: str, select: Select, order_by: object, filter: object, cursor: str | None = None
    ) -> None:
        self._collection = collection
        self._select = select
        self._order = order_of(order_by)
        self._filter = to_filter(filter)
        self._after: str | None = None
        self._place = b""
        if cursor is not None and self._order is None:
            self._after = cursors.decode(cursor)
        elif cursor is not None:
            self._place = cursors.decode_ordered(cursor)
        self.ended = False

    def more(self, limit: int) -> Steps[list[Point]]:
        """The next points; none, once, at the end of a walk without any."""
        points: Points
        if self._order is None:
            points, self.ended = yield from calls.Scroll(
                self._collection, self._after, limit, self._select, self._filter
            )
            self._after = points.ids[-1] if len(points) else self._after
        else:
            points, self.ended, place = yield from calls.Ordered(
                self._collection, self._order, self._place, limit, self._select, self._filter
            )
            self._place = place or self._place
        return points_in(points)

    @property
    def cursor(self) -> str | None:
        """The cursor of what comes after; None at the end."""
        if self.ended:
            return None
        if self._order is not None:
            return cursors.encode_ordered(self._place)
        return None if self._after is None else cursors.encode(self._after)


def points_at_once(value: int, path: str) -> int:
    """How many points a call asks for. Raises InvalidArgument."""
    number = whole(value, path)
    if not 1 <= number <= MAX_SCROLL_POINTS:
        raise InvalidArgument(
            f"{path} out of range", field=path, expected=f"1..{MAX_SCROLL_POINTS}", received=str(number)
        )
    return number


# -- looking after it --


def measure_recall(
    collection: str,
    k: object,
    queries: object,
    *,
    sample: object,
    ef: object,
    target_recall: object,
    using: str | None,
    filter: object,
) -> Steps[MeasuredRecall]:
    """The recall by all queries, in as many calls as it takes."""
    request = RecallRequest(
        using,
        whole(k, "k"),
        None if ef is None else whole(ef, "ef"),
        None if target_recall is None else real(target_recall, "target_recall"),
        to_filter(filter),
        None if queries is None else to_matrix(queries, "queries"),
        whole(sample, "sample") if queries is None else 0,
        seed=random.getrandbits(63),
    )
    request.validate()
    total, room = MeasuredRecall(request.k), (yield from calls.Info()).limits.message_bytes - split.MESSAGE_OVERHEAD
    wanted = request.count if request.vectors is None else len(request.vectors)
    while total.queries < wanted:
        if request.vectors is None:
            rest = replace(request, skip=total.queries, count=wanted - total.queries)
        else:
            most = max(1, min(QUERIES_PER_CALL, room // (4 * request.vectors.shape[1])))
            rest = replace(request, vectors=request.vectors[total.queries :][:most])
        measured = yield from calls.MeasureRecall(collection, rest)
        if not measured.queries:
            break  # so many were not asked, nor are stored
        total += measured
    return total


def wait_indexed(collection: str) -> Steps[None]:
    """Ask until everything is indexed; each asking waits a while."""
    while not (yield from calls.WaitIndexed(collection)):
        pass
