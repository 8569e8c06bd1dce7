"""Searches over streams, for callers that block: less transport than calls of their own (docs/decisions/0009).

gRPC reads what a stream sends from an iterator, in a thread of its own that ends with the iterator, and
knows no timeout for one answer: so a queue feeds each stream, and ``Deadlines`` cancels it when its
caller's time is up.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import grpc
from google.protobuf.message import DecodeError

from vecdb.client.deadlines import Deadlines
from vecdb.client.stream_pool import MAX_REQUEST_BYTES, StreamPool
from vecdb.errors import DeadlineExceeded, Internal, Unavailable
from vecdb.v1 import search_pb2
from vecdb.wire.status import from_message

PATH = "/vecdb.v1.SearchService/SearchStream"
STREAMS = "search.stream"
"""The feature of a server that has them."""

Headers = Callable[[], Sequence[tuple[str, str]]]


# A forked child shares its parent's connection: gRPC, letting go of a stream there, would cancel the parent's.
_inherited: list[object] = []


class SearchStreams:
    """The search streams of one channel to ``address``; ``headers`` go with the beginning of each.

    Belongs to the process that made it. Close it before the channel.
    """

    def __init__(self, channel: grpc.Channel, address: str, headers: Headers) -> None:
        self._pid = os.getpid()
        self._pool: StreamPool[_Stream] = StreamPool()
        self._deadlines = Deadlines()
        self._address = address
        self._headers = headers
        self._begin = channel.stream_stream(PATH)

    def search(self, request: bytes, timeout: float | None) -> bytes | None:
        """The encoded SearchResponse to an encoded SearchRequest; None when it is to be sent as a call of its own.

        Raises what the server refused it with, and DeadlineExceeded.
        """
        if len(request) > MAX_REQUEST_BYTES:
            return None
        deadline = None if timeout is None else time.monotonic() + timeout
        stream = self._pool.free() or self._open()
        if stream is None:
            return None
        try:
            answer = self._ask(stream, request, timeout)
        except (grpc.RpcError, StopIteration, DecodeError):
            if deadline is not None and time.monotonic() >= deadline:
                self._pool.dropped()
                stream.end()
                raise DeadlineExceeded(f"no answer from {self._address} within {timeout:.3g} s") from None
            _end(self._pool.lost(stream))
            return None
        except BaseException:  # the caller was interrupted; the answer would be the next one's
            self._pool.dropped()
            stream.end()
            raise
        _end(self._pool.put_back(stream))
        return result(answer)

    def close(self) -> None:
        """End the streams that nobody uses; the others end with their channel."""
        _end(self._pool.close())
        self._deadlines.close()

    def __del__(self) -> None:
        if self._pid == os.getpid():
            self.close()
        else:
            _inherited.append(self._pool)

    def _open(self) -> _Stream | None:
        if not self._pool.reserve():
            return None
        try:
            return _Stream(self._begin, self._headers())
        except ValueError:  # what a closed channel raises
            self._pool.lost(None)
            return None
        except BaseException:
            self._pool.dropped()
            raise

    def _ask(self, stream: _Stream, request: bytes, timeout: float | None) -> search_pb2.SearchStreamResponse:
        patience = self._pool.patience(timeout)
        if patience is None:
            return stream.ask(request, None)
        self._deadlines.set(stream, time.monotonic() + patience)
        try:
            return stream.ask(request, timeout)
        finally:
            self._deadlines.done(stream)


class _Stream:
    def __init__(self, begin: grpc.StreamStreamMultiCallable, headers: Sequence[tuple[str, str]]) -> None:
        self.answered = False
        self.last_use = 0.0
        self._number = 0
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._call = begin(_feed(self._requests), metadata=tuple(headers))

    def ask(self, request: bytes, timeout: float | None) -> search_pb2.SearchStreamResponse:
        self._number += 1
        self._requests.put(message(self._number, request, timeout))
        answer = search_pb2.SearchStreamResponse.FromString(next(self._call))
        if answer.number != self._number:
            raise DecodeError("an answer to something else")
        return answer

    def cancel(self) -> None:
        self._call.cancel()

    def end(self) -> None:
        self._requests.put(None)  # ends the thread that waits for the next request
        self._call.cancel()


def _feed(requests: queue.SimpleQueue[bytes | None]) -> Iterator[bytes]:
    """What gRPC sends, until None comes; in a thread of its own, which should not keep the stream alive."""
    threading.current_thread().name = "vecdb-stream"
    while (request := requests.get()) is not None:
        yield request


def message(number: int, request: bytes, timeout: float | None) -> bytes:
    """A search as a message of a stream, encoded."""
    timeout_ms = None if timeout is None else 1e3 * timeout
    return search_pb2.SearchStreamRequest(number=number, timeout_ms=timeout_ms, search=request).SerializeToString()


def result(answer: search_pb2.SearchStreamResponse) -> bytes | None:
    """What a message answers; None when a call of its own had better ask again. Raises the error that it says."""
    what = answer.WhichOneof("result")
    if what == "answer":
        return answer.answer
    if what is None:
        raise Internal("the server's answer is malformed", received="a message of a stream without a result")
    error = from_message(answer.status)
    if isinstance(error, Unavailable):  # the channel sends calls again, at the moment that the server names
        return None
    raise error


def _end(streams: list[_Stream]) -> None:
    for stream in streams:
        stream.end()
