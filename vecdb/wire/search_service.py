"""SearchService: decode, call, encode; and how much of an answer fits one message."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import grpc
import numpy as np

from vecdb.model.context import CallContext
from vecdb.model.info import Limits
from vecdb.model.point import Points
from vecdb.model.query import SearchAnswer
from vecdb.model.size import all_fit, fitting, row_sizes
from vecdb.v1 import search_pb2 as pb
from vecdb.v1 import search_pb2_grpc
from vecdb.wire import convert
from vecdb.wire.calls import Calls
from vecdb.wire.limits import check_search, check_texts
from vecdb.wire.streams import Streams

if TYPE_CHECKING:
    from vecdb.engine.database import Database

_LEG_BYTES = 8  # of each hit: its rank and its score


class SearchServicer(search_pb2_grpc.SearchServiceServicer):
    """Searches one database."""

    def __init__(self, database: Database, calls: Calls, limits: Limits, streams: Streams) -> None:
        self._database = database
        self._calls = calls
        self._limits = limits
        self._streams = streams

    def Search(self, request: pb.SearchRequest, context: grpc.ServicerContext) -> pb.SearchResponse:
        return self._answer(request, self._calls.context(context))

    def SearchStream(
        self, requests: Iterator[pb.SearchStreamRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.SearchStreamResponse]:
        scope = self._calls.scope(context)
        for message in self._streams.messages(requests, context):
            yield self._streams.answer(message, scope, self._answer)

    def Analyze(self, request: pb.AnalyzeRequest, context: grpc.ServicerContext) -> pb.AnalyzeResponse:
        check_texts(len(request.texts), "texts")
        caller = self._calls.context(context)
        found = self._database.analyze(caller, request.collection, request.field, request.texts)
        return pb.AnalyzeResponse(texts=[convert.tokens_to_proto(tokens) for tokens in found])

    def _answer(self, request: pb.SearchRequest, caller: CallContext) -> pb.SearchResponse:
        search = convert.search_from_proto(request)
        check_search(search, self._limits)
        answer = self._database.search(caller, request.collection, search)
        return convert.answer_to_proto(answer, self._content(answer))

    def _content(self, answer: SearchAnswer) -> int:
        """How many hits, from the first, may carry more than id, scores, distance and version."""
        points, legs = answer.points, _LEG_BYTES * len(answer.legs or ())
        snippets = np.fromiter(map(convert.snippets_size, answer.snippets or ()), dtype=np.int64)
        room = self._limits.message_bytes - legs * len(points)
        if all_fit(points, room - int(snippets.sum())):
            return len(points)
        lean = row_sizes(Points(points.ids, points.versions))
        more = row_sizes(points) - lean
        if len(snippets):
            more += snippets
        return fitting(more, room - int(lean.sum()))
