"""Searches over streams: each message is answered as a call of its own would be, and none ends its stream.

A stream holds a thread from beginning to end, so their number is bounded (``AdmitCalls``); what it asks
takes its place among the reads message by message, so one that is idle takes none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import grpc
from google.protobuf.message import DecodeError

from vecdb.model.context import CallContext
from vecdb.model.filter import Filter
from vecdb.v1 import search_pb2 as pb
from vecdb.wire.admission import Gate
from vecdb.wire.failures import Failures, unparsable
from vecdb.wire.status import to_message

Search = Callable[[pb.SearchRequest, CallContext], pb.SearchResponse]


class Streams:
    """The search streams that are open. ``reads`` is the gate of every message."""

    def __init__(self, reads: Gate, failures: Failures) -> None:
        self._reads = reads
        self._failures = failures
        self._lock = threading.Lock()
        self._idle: set[grpc.ServicerContext] = set()
        self._ending = False

    def messages(
        self, requests: Iterator[pb.SearchStreamRequest], rpc: grpc.ServicerContext
    ) -> Iterator[pb.SearchStreamRequest]:
        """The messages of a stream until the client has gone or the server stops."""
        while self._wait(rpc):
            try:
                message = next(requests, None)
            except grpc.RpcError:  # cancelled, by the client or by ``end``
                return
            finally:
                with self._lock:
                    self._idle.discard(rpc)
            if message is None:
                return
            yield message

    def answer(self, message: pb.SearchStreamRequest, scope: Filter | None, search: Search) -> pb.SearchStreamResponse:
        """What a search comes to: its answer, or the error that a call of its own would have ended with."""
        timeout_s = message.timeout_ms / 1e3 if message.HasField("timeout_ms") else None
        caller = CallContext.within(timeout_s, scope=scope)
        try:
            with self._reads.inside(len(message.search)):
                caller.check("waiting to be read")
                answer = search(_parsed(message.search), caller).SerializeToString()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this message's alone
            status = to_message(self._failures.explain(error, "SearchStream"))
            return pb.SearchStreamResponse(number=message.number, status=status.SerializeToString())
        return pb.SearchStreamResponse(number=message.number, answer=answer)

    def end(self) -> None:
        """End every stream between two messages: idle ones now, others with the answer they work at."""
        with self._lock:
            self._ending = True
            for rpc in self._idle:
                rpc.cancel()

    def _wait(self, rpc: grpc.ServicerContext) -> bool:
        """Whether another message may be waited for."""
        with self._lock:
            if not self._ending:
                self._idle.add(rpc)
            return not self._ending


def _parsed(encoded: bytes) -> pb.SearchRequest:
    try:
        return pb.SearchRequest.FromString(encoded)
    except DecodeError:
        raise unparsable(len(encoded)) from None
