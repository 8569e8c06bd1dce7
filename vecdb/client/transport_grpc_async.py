"""Calls to a server over gRPC, for event loops."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from typing import Any, TypeVar

import grpc

from vecdb.client import calls, rpc
from vecdb.client.calls import Call, Steps
from vecdb.client.channel import open_async_channel
from vecdb.client.lanes import LANES, Lane, Turns
from vecdb.client.per_loop import PerLoop
from vecdb.client.remote import ApiKey, Remote, remaining, within
from vecdb.client.rpc import Rpc
from vecdb.client.run import Budget
from vecdb.client.run_async import run_async
from vecdb.client.streams import STREAMS, Headers
from vecdb.client.streams_async import AsyncSearchStreams
from vecdb.client.transport_grpc import GrpcTransport
from vecdb.model.info import ServerInfo

T = TypeVar("T")

# Encoding or decoding this much takes about a millisecond; more is done in a worker thread.
LARGE_BYTES = 1 << 20


class _Connection:
    """A channel, its methods, streams and turns, of the event loop that made them."""

    def __init__(self, channel: grpc.aio.Channel, address: str, headers: Headers) -> None:
        self.channel = channel
        self.streams = AsyncSearchStreams(channel, address, headers)
        self.turns = {lane: Turns(lane.turns) for lane in LANES}
        self.asking = asyncio.Lock()
        self._methods: dict[str, Any] = {}

    def method(self, path: str) -> Any:
        """What sends the bytes of a request and is awaited for those of the answer."""
        found = self._methods.get(path)
        if found is None:
            found = self._methods[path] = self.channel.unary_unary(path)
        return found

    async def close(self) -> None:
        self.streams.close()
        await self.channel.close()


class AsyncGrpcTransport(Remote):
    """Connections to a server, one for each event loop that uses it, made when first needed; see Remote."""

    def __init__(
        self,
        address: str,
        api_key: ApiKey | None = None,
        tls: bool | str | PathLike[str] | None = None,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(address, api_key, tls, metadata)
        self._connections = PerLoop(self._connect)
        self._links: set[GrpcTransport] = set()  # that carry archives

    async def open(self) -> None:
        """Nothing goes out before it is needed."""

    async def run(self, steps: Steps[T], budget: Budget, lane: Lane) -> T:
        if self._closed:
            raise self._was_closed()
        connection = self._connections.get()
        turns = connection.turns[lane]
        await turns.take(budget)

        async def send(call: Call[Any], timeout: float | None) -> Any:
            return await self._answer(connection, call, timeout, lane.heavy)

        try:
            return await run_async(steps, send, budget, lane.heavy)
        finally:
            turns.release()

    async def close(self) -> None:
        self._closed = True
        for link in list(self._links):
            link.close()
        running = asyncio.get_running_loop()
        for loop, connection in self._connections.take_all():
            if loop is running:
                await connection.close()
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(connection.close(), loop)

    def _connect(self) -> _Connection:
        return _Connection(open_async_channel(self._address, self._tls), self._address, self._headers)

    async def _answer(self, connection: _Connection, call: Call[T], timeout: float | None, heavy: bool) -> T:
        message = await asyncio.to_thread(rpc.encode, call) if heavy else rpc.encode(call)
        if isinstance(call, calls.Info):
            return await self._known(connection, timeout)  # type: ignore[return-value]
        deadline = None if timeout is None else time.monotonic() + timeout
        known = await self._known(connection, timeout)
        self._require(message.features, known)
        if isinstance(call, calls.Snapshot | calls.Restore):
            return await self._carry(call, remaining(deadline))  # type: ignore[no-any-return]
        raw = None
        if isinstance(call, calls.Search) and STREAMS in known.features:
            self._require_time(left := remaining(deadline))
            raw = await connection.streams.search(message.request, left)
        if raw is None:
            raw = await self._send(connection, message, within(remaining(deadline), message.longest_s))
        return await asyncio.to_thread(message.decode, raw) if len(raw) > LARGE_BYTES else message.decode(raw)

    async def _carry(self, call: Call[Any], timeout: float | None) -> Any:
        """In a thread, over a connection of its own, whose end is the call's: files are read and written there too."""
        link = GrpcTransport(self._address, self._api_key, self._tls, self._metadata)
        thread = ThreadPoolExecutor(1, "vecdb-archive")
        self._links.add(link)
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, link.send, call, timeout)
        finally:
            self._links.discard(link)
            link.close()
            thread.shutdown(wait=False)

    async def _known(self, connection: _Connection, timeout: float | None) -> ServerInfo:
        if self._info is None:
            async with connection.asking:
                if self._info is None:
                    message = rpc.encode(calls.Info())
                    self._info = message.decode(await self._send(connection, message, timeout))
        return self._info

    async def _send(self, connection: _Connection, message: Rpc[T], timeout: float | None) -> bytes:
        self._require_time(timeout)
        try:
            method = connection.method(message.path)
            raw: bytes = await method(message.request, timeout=timeout, metadata=self._headers())
            return raw
        except grpc.RpcError as failed:
            error = self._explained(failed, timeout)
        except grpc.aio.UsageError:  # what a closed channel raises
            error = self._was_closed()
        except asyncio.CancelledError:
            if not self._closed or (task := asyncio.current_task()) is None or task.cancelling():
                raise
            error = self._was_closed()  # closing cancels what is in flight, and nobody cancelled the caller
        raise error from None
