"""Searches over streams, for callers that await; the same pool as in ``streams``, on one event loop."""

from __future__ import annotations

import asyncio

import grpc
from google.protobuf.message import DecodeError

from vecdb.client.stream_pool import MAX_REQUEST_BYTES, StreamPool
from vecdb.client.streams import PATH, Headers, message, result
from vecdb.errors import DeadlineExceeded
from vecdb.v1 import search_pb2


class AsyncSearchStreams:
    """The search streams of one channel to ``address``; ``headers`` go with the beginning of each.

    Belongs to the event loop that its channel was made in.
    """

    def __init__(self, channel: grpc.aio.Channel, address: str, headers: Headers) -> None:
        self._begin = channel.stream_stream(PATH)
        self._address = address
        self._headers = headers
        self._pool: StreamPool[_Stream] = StreamPool()
        self._asked: set[_Stream] = set()  # those that somebody waits for

    async def search(self, request: bytes, timeout: float | None) -> bytes | None:
        """The encoded SearchResponse to an encoded SearchRequest; None when it is to be sent as a call of its own.

        Raises what the server refused it with, and DeadlineExceeded.
        """
        if len(request) > MAX_REQUEST_BYTES:
            return None
        stream = self._pool.free() or self._open()
        if stream is None:
            return None
        patience = self._pool.patience(timeout)
        self._asked.add(stream)
        try:
            async with asyncio.timeout(patience):
                answer = await stream.ask(request, timeout)
        except TimeoutError:
            if patience == timeout:
                self._pool.dropped()
                stream.end()
                raise DeadlineExceeded(f"no answer from {self._address} within {timeout:.3g} s") from None
            _end(self._pool.lost(stream))
            return None
        except (grpc.RpcError, asyncio.InvalidStateError, DecodeError):
            _end(self._pool.lost(stream))
            return None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or not task.cancelling():  # the stream was cancelled, by ``close``
                _end(self._pool.lost(stream))
                return None
            self._pool.dropped()  # the task was; the answer would be the next one's
            stream.end()
            raise
        finally:
            self._asked.discard(stream)
        _end(self._pool.put_back(stream))
        return result(answer)

    def close(self) -> None:
        """End all streams. Closing the channel would not end those that are waited for."""
        _end([*self._pool.close(), *self._asked])

    def _open(self) -> _Stream | None:
        if not self._pool.reserve():
            return None
        try:
            return _Stream(self._begin(metadata=tuple(self._headers())))
        except grpc.aio.UsageError:  # what a closed channel raises
            self._pool.lost(None)
            return None
        except BaseException:
            self._pool.dropped()
            raise


class _Stream:
    def __init__(self, call: grpc.aio.StreamStreamCall[bytes, bytes]) -> None:
        self.answered = False
        self.last_use = 0.0
        self._number = 0
        self._call = call

    async def ask(self, request: bytes, timeout: float | None) -> search_pb2.SearchStreamResponse:
        self._number += 1
        await self._call.write(message(self._number, request, timeout))
        encoded = await self._call.read()
        answer = search_pb2.SearchStreamResponse.FromString(encoded if isinstance(encoded, bytes) else b"")
        if answer.number != self._number:  # the end of the stream has none
            raise DecodeError("an answer to something else")
        return answer

    def end(self) -> None:
        self._call.cancel()


def _end(streams: list[_Stream]) -> None:
    for stream in streams:
        stream.end()
