"""Turns: in order, never more than there are, and none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from vecdb.client.lanes import Turns
from vecdb.client.run import Budget
from vecdb.errors import DeadlineExceeded

FOREVER = Budget(None, None)


def run(work: Callable[[Turns], Awaitable[None]], size: int) -> None:
    async def use() -> None:
        await work(Turns(size))

    asyncio.run(use())


def test_turns_come_in_the_order_of_asking() -> None:
    async def use(turns: Turns) -> None:
        came: list[int] = []

        async def one(i: int) -> None:
            await turns.take(FOREVER)
            came.append(i)

        asking = [asyncio.create_task(one(i)) for i in range(6)]
        for expected in (2, 3, 4, 5, 6):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert came == list(range(expected))
            turns.release()
        await asyncio.gather(*asking)

    run(use, 2)


def test_who_waits_too_long_is_told_and_leaves_no_gap() -> None:
    async def use(turns: Turns) -> None:
        await turns.take(FOREVER)
        for left in (0.01, 0.0, -1.0):
            with pytest.raises(DeadlineExceeded):
                await turns.take(Budget(left, None))
        last = asyncio.create_task(turns.take(FOREVER))
        await asyncio.sleep(0)
        turns.release()
        await last

    run(use, 1)


def test_the_cancelled_leave_no_gap() -> None:
    async def use(turns: Turns) -> None:
        await turns.take(FOREVER)
        waiting = [asyncio.create_task(turns.take(FOREVER)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        waiting[1].cancel()
        turns.release()
        await waiting[2]
        assert [task.cancelled() for task in waiting] == [True, True, False]

    run(use, 1)


def test_a_turn_that_comes_to_the_cancelled_goes_on() -> None:
    async def use(turns: Turns) -> None:
        await turns.take(FOREVER)
        first, second = (asyncio.create_task(turns.take(FOREVER)) for _ in range(2))
        await asyncio.sleep(0)
        turns.release()  # to the first, which does not run before it is cancelled
        first.cancel()
        await asyncio.wait_for(second, 10)
        turns.release()
        await turns.take(Budget(0.0, None))

    run(use, 1)
