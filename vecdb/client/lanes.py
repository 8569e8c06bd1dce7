"""Kinds of operations, each with its bound on how many an async client has under way: the rest wait in order.

Without bounds a thousand tasks that begin at once are built and sent in one go, and the event loop stands
still meanwhile. With one bound for all, writes that wait for the disk keep searches out.
"""

from __future__ import annotations

import asyncio
from collections import deque
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
# They wait for changes most of the time, on a condition or a socket.
FOLLOW = Lane(turns=64, threads=16)
LANES = (READ, BULK, WRITE, SLOW, FOLLOW)


class Turns:
    """The turns of one lane in one event loop: ``size`` at a time, then in the order of asking.

    As asyncio.Semaphore with asyncio.timeout, at a third of the cost: a thousand that begin to wait in one go are
    what a loop stands still for longest.
    """

    def __init__(self, size: int) -> None:
        self._free = size
        self._waiting: deque[asyncio.Future[bool]] = deque()

    async def take(self, budget: Budget) -> None:
        """Wait for a turn, which the caller releases. Raises DeadlineExceeded."""
        if self._free and not self._waiting:
            self._free -= 1
            return
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(turn)
        left = budget.left()
        timer = None if left is None else loop.call_later(left, _settle, turn, False)
        try:
            came = await turn
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.result():  # it came just then
                self.release()
            raise
        finally:
            if timer is not None:
                timer.cancel()
        if not came:
            raise DeadlineExceeded("the deadline passed behind other calls of this client")

    def release(self) -> None:
        """Give the turn to whoever waits longest."""
        while self._waiting:
            if _settle(self._waiting.popleft(), True):
                return
        self._free += 1


def _settle(turn: asyncio.Future[bool], came: bool) -> bool:
    """Whether somebody still waited for it."""
    if turn.done():
        return False
    turn.set_result(came)
    return True
