"""An async client driven from blocking code: what runs against Client runs against AsyncClient too."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, Self, cast

from vecdb.client.async_client import AsyncClient
from vecdb.client.async_collection import AsyncCollection
from vecdb.client.client import Client


class LoopThread:
    """An event loop in a thread of its own, until ``close``."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What the coroutine returns or raises, run there."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def close(self) -> None:
        """Stop the loop, after the threads that work for it."""
        self.run(self.loop.shutdown_default_executor())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class _FromLoop:
    """Whatever is called on it is called on ``target``, in the loop, and awaited."""

    def __init__(self, target: AsyncClient | AsyncCollection, loop: LoopThread) -> None:
        self._target = target
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        return self._caller(found) if callable(found) else found

    def _caller(self, method: Any) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            async def in_loop() -> Any:
                result = method(*given, **named)
                return await result if inspect.iscoroutine(result) else result

            result = self._loop.run(in_loop())
            if isinstance(result, AsyncCollection):
                return _FromLoop(result, self._loop)
            return self._walk(result) if isinstance(result, AsyncIterator) else result

        return call

    def _walk(self, items: AsyncIterator[Any]) -> _Walk:
        return _Walk(items, self._loop)

    def close(self) -> None:
        self._caller(self._target.close)()  # type: ignore[union-attr]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class _Walk:
    """An async iterator, driven from blocking code; it has what the iterator has."""

    def __init__(self, items: AsyncIterator[Any], loop: LoopThread) -> None:
        self._items = items
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        return getattr(self._items, name)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        async def following() -> Any:
            return await anext(self._items, None)

        if (item := self._loop.run(following())) is None:
            raise StopIteration
        return item


def from_loop(client: AsyncClient, loop: LoopThread) -> Client:
    """``client`` as a blocking one, whose work is done in ``loop``."""
    return cast(Client, _FromLoop(client, loop))
