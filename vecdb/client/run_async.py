"""Runs the steps of an operation for async callers, as vecdb/client/run.py does for blocking ones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from vecdb.client.calls import Call, Steps
from vecdb.client.run import Budget
from vecdb.errors import VecdbError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Done(Generic[T]):
    result: T


async def run_async(
    steps: Steps[T], send: Callable[[Call[Any], float | None], Awaitable[Any]], budget: Budget, heavy: bool
) -> T:
    """What the operation returns or raises. The steps of a ``heavy`` one run in a worker thread."""
    move: Callable[[], Call[Any]] = partial(next, steps)
    while True:
        met = await asyncio.to_thread(_step, move) if heavy else _step(move)
        if isinstance(met, _Done):
            result: T = met.result
            return result
        try:
            move = partial(steps.send, await send(met, budget.left()))
        except VecdbError as error:
            move = partial(steps.throw, error)


def _step(move: Callable[[], Call[Any]]) -> Call[Any] | _Done[Any]:
    """The next call, or the end: a StopIteration cannot cross from a thread into a task."""
    try:
        return move()
    except StopIteration as done:
        return _Done(done.value)
