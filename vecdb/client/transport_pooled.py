"""Any blocking transport, for event loops: its operations run in bounded pools of threads."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from vecdb.client.calls import Call, Steps
from vecdb.client.lanes import LANES, SLOW, Lane, Turns
from vecdb.client.per_loop import PerLoop
from vecdb.client.run import Budget, run
from vecdb.client.transport import Transport
from vecdb.errors import Cancelled, Closed

T = TypeVar("T")


class PooledTransport:
    """Owns the transport that ``open_transport`` makes when it is first needed, in a thread, and closes it.

    An operation sees the context variables of its caller. One whose caller was cancelled ends after the call
    it is in, or at its deadline, and its result is dropped.
    """

    def __init__(self, open_transport: Callable[[], Transport]) -> None:
        self._open_transport = open_transport
        self._lock = threading.Lock()
        self._transport: Transport | None = None
        self._closed = False
        self._pid = os.getpid()
        self._pools: dict[Lane, ThreadPoolExecutor] = {}
        self._turns = PerLoop(lambda: {lane: Turns(lane.threads) for lane in LANES})

    async def open(self) -> None:
        turns = self._turns.get()[SLOW]
        await turns.take(Budget(None, None))
        await self._apart(self._opened, turns, SLOW)

    async def run(self, steps: Steps[T], budget: Budget, lane: Lane) -> T:
        turns = self._turns.get()[lane]
        await turns.take(budget)
        abandoned = threading.Event()

        def send(call: Call[Any], timeout: float | None) -> Any:
            if abandoned.is_set():
                raise Cancelled("whoever asked was cancelled")
            return self._opened().send(call, timeout)

        try:
            return await self._apart(lambda: run(steps, send, budget), turns, lane)
        except asyncio.CancelledError:
            abandoned.set()
            raise

    async def close(self) -> None:
        with self._lock:
            self._closed = True
            transport, self._transport = self._transport, None
            pools, self._pools = self._pools, {}
        if transport is not None:
            await asyncio.to_thread(transport.close)
        for pool in pools.values():
            pool.shutdown(wait=False)

    def _opened(self) -> Transport:
        transport = self._transport
        if transport is None:
            with self._lock:
                if self._closed:
                    raise Closed("the client was closed")
                if self._transport is None:
                    self._transport = self._open_transport()
                transport = self._transport
        return transport

    async def _apart(self, work: Callable[[], T], turns: Turns, lane: Lane) -> T:
        """Do it in a thread of the lane. A turn is over when the thread is free, also if nobody waits any more."""
        loop = asyncio.get_running_loop()

        def release(done: Future[T]) -> None:
            try:
                loop.call_soon_threadsafe(turns.release)
            except RuntimeError:  # the loop was closed meanwhile
                pass

        try:
            under_way = self._pool(lane).submit(contextvars.copy_context().run, work)
        except BaseException:
            turns.release()
            raise
        under_way.add_done_callback(release)
        return await asyncio.wrap_future(under_way)

    def _pool(self, lane: Lane) -> ThreadPoolExecutor:
        if self._pid != os.getpid():  # a forked child inherits pools, but none of their threads
            self._pid, self._pools, self._lock = os.getpid(), {}, threading.Lock()
        with self._lock:
            if self._closed:
                raise Closed("the client was closed")
            pool = self._pools.get(lane)
            if pool is None:
                pool = self._pools[lane] = ThreadPoolExecutor(lane.threads, "vecdb-async")
            return pool
