"""SearchService: decode, call, encode; and how much of an answer fits one message."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

from vecdb.model.info import Limits
from vecdb.model.point import Points
from vecdb.model.size import all_fit, fitting, row_sizes
from vecdb.v1 import search_pb2 as pb
from vecdb.v1 import search_pb2_grpc
from vecdb.wire import convert
from vecdb.wire.calls import Calls

if TYPE_CHECKING:
    from vecdb.engine.database import Database


class SearchServicer(search_pb2_grpc.SearchServiceServicer):
    """Searches one database."""

    def __init__(self, database: Database, calls: Calls, limits: Limits) -> None:
        self._database = database
        self._calls = calls
        self._limits = limits

    def Search(self, request: pb.SearchRequest, context: grpc.ServicerContext) -> pb.SearchResponse:
        search = convert.search_from_proto(request, self._limits)
        answer = self._database.search(self._calls.context(context), request.collection, search)
        return convert.answer_to_proto(answer, self._content(answer.points))

    def _content(self, points: Points) -> int:
        """How many hits, from the first, may carry more than id, score, distance and version."""
        if all_fit(points, self._limits.message_bytes):
            return len(points)
        lean = row_sizes(Points(points.ids, points.versions))
        return fitting(row_sizes(points) - lean, self._limits.message_bytes - int(lean.sum()))
