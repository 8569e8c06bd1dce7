"""PointsService: decode, call, encode; and how much of an answer fits one message."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import grpc
import numpy as np

from vecdb.errors import InvalidArgument
from vecdb.model.context import CallContext
from vecdb.model.info import Limits
from vecdb.model.point import Points, Select
from vecdb.model.size import all_fit, fitting, row_sizes
from vecdb.v1 import points_pb2 as pb
from vecdb.v1 import points_pb2_grpc
from vecdb.wire import convert
from vecdb.wire.calls import Calls

if TYPE_CHECKING:
    from vecdb.engine.database import Database

DEFAULT_SCROLL_POINTS = 1000

# A call that waits for a change holds a thread, so it gives up and lets the follower ask again.
MAX_FOLLOW_S = 10.0


class PointsServicer(points_pb2_grpc.PointsServiceServicer):
    """Writes points of one database and reads them by id."""

    def __init__(self, database: Database, calls: Calls, limits: Limits, stopping: threading.Event) -> None:
        self._database = database
        self._calls = calls
        self._limits = limits
        self._stopping = stopping

    def Write(self, request: pb.WriteRequest, context: grpc.ServicerContext) -> pb.WriteResponse:
        batch = convert.write_from_proto(request)
        caller = self._calls.context(context, convert.request_id_from_proto(request))
        return convert.write_result_to_proto(self._database.write(caller, request.collection, batch))

    def Get(self, request: pb.GetRequest, context: grpc.ServicerContext) -> pb.GetResponse:
        select = convert.select_from_proto(request.select)
        caller = self._calls.context(context)
        ids = list(request.ids)[: self._most(caller, request.collection, select, len(request.ids))]
        points = self._database.get(caller, request.collection, ids, select)
        kept = self._kept(points)
        answered = len(ids) if kept == len(points) else _position(ids, points.ids, kept)
        response = pb.GetResponse(answered=answered)
        convert.fill_points(response.points, points.cut(0, kept))
        return response

    def Exists(self, request: pb.ExistsRequest, context: grpc.ServicerContext) -> pb.ExistsResponse:
        found = self._database.exists(
            self._calls.context(context), request.collection, list(request.ids), convert.optional_filter(request)
        )
        return pb.ExistsResponse(exists=np.asarray(found, dtype=np.uint8).tobytes())

    def Count(self, request: pb.CountRequest, context: grpc.ServicerContext) -> pb.CountResponse:
        filter = convert.optional_filter(request)
        return pb.CountResponse(count=self._database.count(self._calls.context(context), request.collection, filter))

    def Scroll(self, request: pb.ScrollRequest, context: grpc.ServicerContext) -> pb.ScrollResponse:
        select = convert.select_from_proto(request.select)
        caller = self._calls.context(context)
        after = request.after if request.HasField("after") else None
        limit = self._most(caller, request.collection, select, self._scroll_limit(request.limit))
        if request.HasField("order_by"):
            return self._ordered(request, caller, limit, select)
        if request.cursor:
            raise InvalidArgument("a cursor needs its order", field="order_by", expected="an order", received="none")
        points, end = self._database.scroll(
            caller, request.collection, after, limit, select, convert.optional_filter(request)
        )
        kept = self._kept(points)
        response = pb.ScrollResponse(end=end and kept == len(points))
        convert.fill_points(response.points, points.cut(0, kept))
        return response

    def _ordered(self, request: pb.ScrollRequest, caller: CallContext, limit: int, select: Select) -> pb.ScrollResponse:
        if request.HasField("after"):
            raise InvalidArgument(
                "an order goes on after a cursor", field="after", expected="cursor", received=repr(request.after)[:80]
            )
        order = convert.order_from_proto(request.order_by)
        filter = convert.optional_filter(request)
        page = self._database.ordered(caller, request.collection, order, request.cursor, limit, select, filter)
        kept = self._kept(page.points)
        response = pb.ScrollResponse(end=page.end and kept == len(page.points), cursor=page.cursor(kept))
        convert.fill_points(response.points, page.points.cut(0, kept))
        return response

    def Facet(self, request: pb.FacetRequest, context: grpc.ServicerContext) -> pb.FacetResponse:
        filter = convert.optional_filter(request)
        caller = self._calls.context(context)
        asked = convert.facet_request_from_proto(request)
        return convert.facet_to_proto(self._database.facet(caller, request.collection, asked, filter))

    def Changes(self, request: pb.ChangesRequest, context: grpc.ServicerContext) -> pb.ChangesResponse:
        asked = convert.feed_request_from_proto(request, MAX_FOLLOW_S, self._limits.message_bytes)
        page = self._database.changes(
            self._calls.context(context),
            request.collection,
            asked,
            lambda: context.is_active() and not self._stopping.is_set(),
        )
        return convert.feed_page_to_proto(page)

    def _scroll_limit(self, asked: int) -> int:
        if asked > self._limits.scroll_points:
            raise InvalidArgument(
                "the page is too large",
                field="limit",
                expected=f"<= {self._limits.scroll_points}",
                received=str(asked),
            )
        return asked or DEFAULT_SCROLL_POINTS

    def _most(self, caller: CallContext, collection: str, select: Select, asked: int) -> int:
        """How many points to ask the engine for: no more than whose vectors fit one message."""
        if not select.vectors:
            return asked
        fields = self._database.describe(caller, collection).schema.vectors.values()
        row: int = sum(4 * field.dim for field in fields)
        return min(asked, max(1, self._limits.message_bytes // max(1, row)))

    def _kept(self, points: Points) -> int:
        """How many of ``points`` fit one message; at least one."""
        if all_fit(points, self._limits.message_bytes):
            return len(points)
        return min(len(points), max(1, fitting(row_sizes(points), self._limits.message_bytes)))


def _position(asked: Sequence[str], found: Sequence[str], nth: int) -> int:
    """Where in ``asked`` the ``nth`` of ``found`` is; ``found`` is ``asked`` without what is missing."""
    matched = 0
    for position, point_id in enumerate(asked):
        if matched < len(found) and point_id == found[matched]:
            if matched == nth:
                return position
            matched += 1
    return len(asked)
