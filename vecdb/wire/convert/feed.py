"""Pages of the change feed."""

from __future__ import annotations

import numpy as np

from vecdb.model.feed import PAGE_BYTES, Change, FeedPage, FeedRequest
from vecdb.model.point import Select
from vecdb.v1 import points_pb2
from vecdb.wire.convert.columns import numbers
from vecdb.wire.convert.points import fill_points, points_from_proto

_ALL = Select(vectors=True)


def feed_request_to_proto(collection: str, asked: FeedRequest) -> points_pb2.ChangesRequest:
    return points_pb2.ChangesRequest(
        collection=collection, after=asked.after, rows=asked.rows, wait_ms=round(1000 * asked.wait_s)
    )


def feed_request_from_proto(
    message: points_pb2.ChangesRequest, longest_s: float, message_bytes: int = PAGE_BYTES
) -> FeedRequest:
    """What is asked for, within what a call may wait and answer."""
    wait_s = min(message.wait_ms / 1000, longest_s)
    return FeedRequest(message.after, message.rows, wait_s, min(PAGE_BYTES, message_bytes))


def feed_page_to_proto(page: FeedPage) -> points_pb2.ChangesResponse:
    message = points_pb2.ChangesResponse(token=page.token, rows=page.rows, end=page.end)
    for change in page.changes:
        made = message.changes.add(
            seq=change.seq, token=change.token, time_ms=change.time_ms, deleted=change.deleted, last=change.last
        )
        fill_points(made.points, change.columns)
        if change.expires_at.any():
            made.expires_at = change.expires_at.astype("<i8", copy=False).tobytes()
    return message


def feed_page_from_proto(message: points_pb2.ChangesResponse) -> FeedPage:
    """The page. Raises InvalidArgument."""
    told = [_change(change, f"changes[{i}]") for i, change in enumerate(message.changes)]
    return FeedPage(told, message.token, message.rows, message.end)


def _change(message: points_pb2.Change, path: str) -> Change:
    columns = points_from_proto(message.points, _ALL, f"{path}.points")
    expires_at = np.zeros(len(columns), dtype=np.int64)
    if message.expires_at:
        expires_at = numbers(message.expires_at, "<i8", len(columns), f"{path}.expires_at")
    return Change(message.seq, message.token, message.time_ms, columns, expires_at, list(message.deleted), message.last)
