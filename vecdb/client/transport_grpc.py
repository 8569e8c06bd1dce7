"""Calls to a server over gRPC."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from vecdb.client.channel import open_channel, with_port
from vecdb.client.content import complete
from vecdb.errors import Closed, DeadlineExceeded, Internal, InvalidArgument, Unavailable, Unimplemented, VecdbError
from vecdb.model.collection import CollectionInfo, CollectionStats, DatabaseStats, Indexing
from vecdb.model.info import ServerInfo
from vecdb.model.point import Points, Select, WriteBatch, WriteResult
from vecdb.model.query import SearchAnswer, SearchRequest
from vecdb.model.schema import Schema
from vecdb.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    collections_pb2,
    collections_pb2_grpc,
    points_pb2,
    points_pb2_grpc,
    search_pb2_grpc,
)
from vecdb.wire import convert
from vecdb.wire.status import from_rpc

ApiKey = str | Callable[[], str]

# The server itself gives up waiting after ten seconds and says "ask again".
WAIT_CALL_S = 30.0


class _Connection:
    """A channel and its stubs, of the process that made them: a channel does not survive a fork."""

    def __init__(self, address: str, tls: bool | str | os.PathLike[str] | None) -> None:
        self.pid = os.getpid()
        self.channel = open_channel(address, tls)
        self.collections = collections_pb2_grpc.CollectionsServiceStub(self.channel)
        self.points = points_pb2_grpc.PointsServiceStub(self.channel)
        self.search = search_pb2_grpc.SearchServiceStub(self.channel)
        self.admin = admin_pb2_grpc.AdminServiceStub(self.channel)


class GrpcTransport:
    """A connection to the server at ``address``, made when first needed.

    ``api_key`` travels as a bearer token; a callable is asked before every call. ``metadata`` goes with
    every call.
    """

    def __init__(
        self,
        address: str,
        api_key: ApiKey | None = None,
        tls: bool | str | os.PathLike[str] | None = None,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._address = with_port(address)
        self._api_key = api_key
        self._tls = tls
        self._metadata = tuple(metadata)
        self._lock = threading.Lock()
        self._open: _Connection | None = None
        self._closed = False
        self._info: ServerInfo | None = None

    # -- collections --

    def create_collection(self, name: str, schema: Schema, exist_ok: bool, timeout: float | None) -> CollectionInfo:
        with _encoding():
            request = collections_pb2.CreateCollectionRequest(
                name=name, schema=convert.schema_to_proto(schema), exist_ok=exist_ok
            )
        answer = self._call(lambda to: to.collections.CreateCollection, request, timeout)
        with _decoding():
            return convert.collection_info_from_proto(answer.collection)

    def drop_collection(self, name: str, timeout: float | None) -> None:
        with _encoding():
            request = collections_pb2.DropCollectionRequest(name=name)
        self._call(lambda to: to.collections.DropCollection, request, timeout)

    def list_collections(self, timeout: float | None) -> list[CollectionInfo]:
        request = collections_pb2.ListCollectionsRequest()
        answer = self._call(lambda to: to.collections.ListCollections, request, timeout)
        with _decoding():
            return [convert.collection_info_from_proto(found) for found in answer.collections]

    def describe(self, name: str, timeout: float | None) -> CollectionInfo:
        with _encoding():
            request = collections_pb2.DescribeCollectionRequest(name=name)
        answer = self._call(lambda to: to.collections.DescribeCollection, request, timeout)
        with _decoding():
            return convert.collection_info_from_proto(answer.collection)

    # -- points --

    def write(self, name: str, batch: WriteBatch, request_id: bytes, timeout: float | None) -> WriteResult:
        with _encoding():
            request = convert.write_to_proto(name, batch, request_id)
        answer = self._call(lambda to: to.points.Write, request, timeout, "write.request_id")
        with _decoding():
            return convert.write_result_from_proto(answer)

    def get(self, name: str, ids: Sequence[str], select: Select, timeout: float | None) -> tuple[Points, int]:
        with _encoding():
            request = points_pb2.GetRequest(collection=name, ids=ids, select=convert.select_to_proto(select))
        answer = self._call(lambda to: to.points.Get, request, timeout)
        with _decoding():
            if ids and not 1 <= answer.answered <= len(ids):
                raise InvalidArgument("out of range", field="answered", received=str(answer.answered))
            return convert.points_from_proto(answer.points, select, "points"), answer.answered

    def exists(self, name: str, ids: Sequence[str], timeout: float | None) -> NDArray[np.bool_]:
        with _encoding():
            request = points_pb2.ExistsRequest(collection=name, ids=ids)
        answer = self._call(lambda to: to.points.Exists, request, timeout)
        with _decoding():
            if len(answer.exists) != len(ids):
                raise InvalidArgument("out of range", field="exists", received=f"{len(answer.exists)} bytes")
            return np.frombuffer(answer.exists, dtype=np.uint8).astype(np.bool_)

    def count(self, name: str, timeout: float | None) -> int:
        with _encoding():
            request = points_pb2.CountRequest(collection=name)
        answer: points_pb2.CountResponse = self._call(lambda to: to.points.Count, request, timeout)
        return answer.count

    def scroll(
        self, name: str, after: str | None, limit: int, select: Select, timeout: float | None
    ) -> tuple[Points, bool]:
        with _encoding():
            request = points_pb2.ScrollRequest(
                collection=name, after=after, limit=limit, select=convert.select_to_proto(select)
            )
        answer = self._call(lambda to: to.points.Scroll, request, timeout)
        with _decoding():
            return convert.points_from_proto(answer.points, select, "points"), answer.end

    # -- search --

    def search(self, name: str, request: SearchRequest, timeout: float | None) -> SearchAnswer:
        return complete(
            lambda remaining: self._search(name, request, remaining),
            lambda ids, remaining: self.get(name, ids, request.select, remaining),
            timeout,
        )

    def _search(self, name: str, request: SearchRequest, timeout: float | None) -> tuple[SearchAnswer, int]:
        with _encoding():
            message = convert.search_to_proto(name, request)
        features = ["search.near"]
        if len(request.legs) > 1:
            features.append("search.rrf")
        if request.explain:
            features.append("search.explain")
        answer = self._call(lambda to: to.search.Search, message, timeout, *features)
        with _decoding():
            return convert.answer_from_proto(answer, request.select), answer.content_hits

    # -- looking after the server --

    def stats(self, name: str, timeout: float | None) -> CollectionStats:
        with _encoding():
            request = admin_pb2.StatsRequest(collection=name)
        answer = self._call(lambda to: to.admin.Stats, request, timeout)
        with _decoding():
            return convert.collection_stats_from_proto(answer.stats)

    def database_stats(self, timeout: float | None) -> DatabaseStats:
        answer = self._call(lambda to: to.admin.DatabaseStats, admin_pb2.DatabaseStatsRequest(), timeout)
        return convert.database_stats_from_proto(answer.stats)

    def compact(self, name: str, timeout: float | None) -> int:
        with _encoding():
            request = admin_pb2.CompactRequest(collection=name)
        answer: admin_pb2.CompactResponse = self._call(lambda to: to.admin.Compact, request, timeout)
        return answer.freed_bytes

    def wait_indexed(self, name: str, timeout: float | None) -> bool:
        with _encoding():
            request = admin_pb2.WaitIndexedRequest(collection=name)
        once = WAIT_CALL_S if timeout is None else min(timeout, WAIT_CALL_S)
        answer: admin_pb2.WaitIndexedResponse = self._call(lambda to: to.admin.WaitIndexed, request, once)
        return answer.indexed

    def set_indexing(self, name: str, mode: Indexing, timeout: float | None) -> None:
        with _encoding():
            request = admin_pb2.SetIndexingRequest(collection=name, indexing=convert.indexing_to_proto(mode))
        self._call(lambda to: to.admin.SetIndexing, request, timeout)

    def check(self, timeout: float | None) -> list[str]:
        answer = self._call(lambda to: to.admin.Check, admin_pb2.CheckRequest(), timeout)
        return list(answer.problems)

    def info(self, timeout: float | None) -> ServerInfo:
        if self._info is None:
            answer = self._send(lambda to: to.admin.Info, admin_pb2.InfoRequest(), timeout)
            self._info = convert.server_info_from_proto(answer)
        return self._info

    def close(self) -> None:
        with self._lock:
            self._closed = True
            connection, self._open = self._open, None
        if connection is not None and connection.pid == os.getpid():
            connection.channel.close()

    # -- sending --

    def _call(self, method: Callable[[_Connection], Any], request: Any, timeout: float | None, *features: str) -> Any:
        """Send, after making sure (once a channel) that the server knows ``features``."""
        started = time.monotonic()
        known = self.info(timeout)
        for feature in features:
            if feature not in known.features:
                raise Unimplemented(
                    f"the server at {self._address} (vecdb {known.version}) is too old for this call",
                    expected=feature,
                    received=", ".join(known.features) or "none",
                )
        if timeout is not None:
            timeout -= time.monotonic() - started
        return self._send(method, request, timeout)

    def _send(self, method: Callable[[_Connection], Any], request: Any, timeout: float | None) -> Any:
        if timeout is not None and timeout <= 0:  # gRPC would still give it a few milliseconds
            raise DeadlineExceeded(f"no time left to ask {self._address}")
        call = method(self._connection())
        try:
            return call(request, timeout=timeout, metadata=self._headers())
        except grpc.RpcError as failed:
            error = self._explained(from_rpc(failed), failed, timeout)
        except ValueError:  # what a closed channel raises
            error = Closed("the client was closed")
        raise error from None

    def _connection(self) -> _Connection:
        connection = self._open
        if connection is None or connection.pid != os.getpid():
            with self._lock:
                if self._closed:
                    raise Closed("the client was closed")
                connection = self._open
                if connection is None or connection.pid != os.getpid():
                    connection = self._open = _Connection(self._address, self._tls)
        return connection

    def _headers(self) -> tuple[tuple[str, str], ...]:
        if self._api_key is None:
            return self._metadata
        key = self._api_key() if callable(self._api_key) else self._api_key
        return (*self._metadata, ("authorization", f"Bearer {key}"))

    def _explained(self, error: VecdbError, failed: grpc.RpcError, timeout: float | None) -> VecdbError:
        """Say where the call went when the error is gRPC's own, and not the server's."""
        if type(error) is Unavailable and error.message == failed.details():
            error.message = f"no answer from {self._address}: {error.message}"
        elif type(error) is DeadlineExceeded and error.message == failed.details() and timeout is not None:
            error.message = f"no answer from {self._address} within {timeout:.3g} s"
        elif self._closed:
            return Closed("the client was closed")
        return error


@contextmanager
def _encoding() -> Iterator[None]:
    """Refuse what protobuf cannot hold, such as a name that is no text."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise InvalidArgument("the request cannot be encoded", received=str(error)) from None


@contextmanager
def _decoding() -> Iterator[None]:
    """An answer that does not fit together is the server's mistake, not the caller's."""
    try:
        yield
    except InvalidArgument as error:
        raise Internal("the server's answer is malformed", received=str(error)) from None
