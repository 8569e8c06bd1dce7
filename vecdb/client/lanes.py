"""Kinds of operations, each with a bound of its own on how many an async client has under way: the rest wait in order.

Without bounds a thousand tasks that begin at once are built and sent in one go, and the event loop stands
still meanwhile. With one bound for all, writes that wait for the disk keep searches out.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from vecdb.client.run import Budget
from vecdb.errors import DeadlineExceeded


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """A kind: ``turns`` over a connection of one event loop, ``threads`` where the engine is in this process.

    Operations of a ``heavy`` one take longer to build than an event loop should stand still.
    """

    turns: int
    threads: int
    heavy: bool = False


# A server answers 64 reads and 64 writes at a time (vecdb.wire.server), and one client should not take all.
# In this process more threads would only wait for each other's GIL, and the event loop for all of theirs;
# those of a write wait for the disk.
READ = Lane(turns=32, threads=4)
BULK = Lane(turns=4, threads=2, heavy=True)
WRITE = Lane(turns=16, threads=8, heavy=True)
SLOW = Lane(turns=8, threads=4)


class Turns:
    """The turns of one event loop; ``size`` says how many a lane has."""

    def __init__(self) -> None:
        self._waiting: dict[Lane, asyncio.Semaphore] = {}

    async def take(self, lane: Lane, size: int, budget: Budget) -> asyncio.Semaphore:
        """Wait for a turn, which the caller releases. Raises DeadlineExceeded."""
        turn = self._waiting.get(lane)
        if turn is None:
            turn = self._waiting[lane] = asyncio.Semaphore(size)
        try:
            async with asyncio.timeout(budget.left()):
                await turn.acquire()
        except TimeoutError:
            raise DeadlineExceeded("the deadline passed behind other calls of this client") from None
        return turn
