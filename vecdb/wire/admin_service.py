"""AdminService: decode, call, encode."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import grpc

from vecdb.errors import DeadlineExceeded
from vecdb.model.info import ServerInfo
from vecdb.v1 import admin_pb2 as pb
from vecdb.v1 import admin_pb2_grpc
from vecdb.wire import archives, convert
from vecdb.wire.calls import Calls
from vecdb.wire.limits import check_recall

if TYPE_CHECKING:
    from vecdb.engine.database import Database

# A waiting call holds a thread, so it gives up and lets the client ask again.
MAX_WAIT_S = 10.0


class AdminServicer(admin_pb2_grpc.AdminServiceServicer):
    """Tells about one database and looks after it."""

    def __init__(self, database: Database, calls: Calls, info: ServerInfo) -> None:
        self._database = database
        self._calls = calls
        self._info = info

    def Info(self, request: pb.InfoRequest, context: grpc.ServicerContext) -> pb.InfoResponse:
        return convert.server_info_to_proto(self._info)

    def Stats(self, request: pb.StatsRequest, context: grpc.ServicerContext) -> pb.StatsResponse:
        stats = self._database.stats(self._calls.context(context), request.collection)
        return pb.StatsResponse(stats=convert.collection_stats_to_proto(stats))

    def DatabaseStats(
        self, request: pb.DatabaseStatsRequest, context: grpc.ServicerContext
    ) -> pb.DatabaseStatsResponse:
        stats = self._database.database_stats(self._calls.context(context))
        return pb.DatabaseStatsResponse(stats=convert.database_stats_to_proto(stats))

    def Compact(self, request: pb.CompactRequest, context: grpc.ServicerContext) -> pb.CompactResponse:
        freed = self._database.compact(self._calls.context(context), request.collection)
        return pb.CompactResponse(freed_bytes=max(0, freed))

    def WaitIndexed(self, request: pb.WaitIndexedRequest, context: grpc.ServicerContext) -> pb.WaitIndexedResponse:
        caller = self._calls.context(context)
        until = time.monotonic() + MAX_WAIT_S
        mine = caller.deadline is None or until < caller.deadline
        try:
            self._database.wait_indexed(replace(caller, deadline=until) if mine else caller, request.collection)
        except DeadlineExceeded:
            if not mine:
                raise
            return pb.WaitIndexedResponse(indexed=False)
        return pb.WaitIndexedResponse(indexed=True)

    def MeasureRecall(
        self, request: pb.MeasureRecallRequest, context: grpc.ServicerContext
    ) -> pb.MeasureRecallResponse:
        asked = convert.recall_request_from_proto(request)
        check_recall(asked, self._info.limits)
        measured = self._database.measure_recall(self._calls.context(context), request.collection, asked)
        return convert.measured_recall_to_proto(measured)

    def SetIndexing(self, request: pb.SetIndexingRequest, context: grpc.ServicerContext) -> pb.SetIndexingResponse:
        mode = convert.indexing_from_proto(request.indexing)
        self._database.set_indexing(self._calls.context(context), request.collection, mode)
        return pb.SetIndexingResponse()

    def Check(self, request: pb.CheckRequest, context: grpc.ServicerContext) -> pb.CheckResponse:
        return pb.CheckResponse(problems=self._database.check(self._calls.context(context)))

    def Reopen(self, request: pb.ReopenRequest, context: grpc.ServicerContext) -> pb.ReopenResponse:
        self._database.reopen(self._calls.context(context))
        return pb.ReopenResponse()

    def Snapshot(self, request: pb.SnapshotRequest, context: grpc.ServicerContext) -> Iterator[pb.SnapshotResponse]:
        base = convert.base_from_proto(request.base) if request.HasField("base") else None
        caller = self._calls.context(context)
        # gRPC lets go of this when the client has gone; what the engine holds for it goes with it, at once.
        with closing(self._database.snapshot(caller, list(request.collections) or None, base)) as archive:
            for piece in archives.pieces(archive):
                yield pb.SnapshotResponse(data=piece)

    def Restore(self, requests: Iterator[pb.RestoreRequest], context: grpc.ServicerContext) -> pb.RestoreResponse:
        options, given = archives.received(requests)
        report = self._database.restore(
            self._calls.context(context),
            given,
            collections=list(options.collections) or None,
            rename=dict(options.rename),
            dry_run=options.dry_run,
        )
        return convert.restore_report_to_proto(report)
