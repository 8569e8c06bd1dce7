"""How far a write is, for whoever wants to know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from vecdb.client.steps import Report

N = TypeVar("N")

Progress = bool | Callable[[int, int], object]


@contextmanager
def reporting(progress: Progress) -> Iterator[Report | None]:
    """What to call after each batch, None when nobody wants to know. Raises InvalidArgument."""
    if progress is False:
        yield None
    elif callable(progress):
        yield progress
    else:
        from vecdb.client.load.progress import reporter

        with reporter(progress, "write", None) as advance:
            yield advance


def in_loop(report: Callable[[int, N], object]) -> Callable[[int, N], object]:
    """The same, called in the running loop wherever the news comes from, before the write is over for its caller."""
    loop = asyncio.get_running_loop()
    return lambda done, total: loop.call_soon_threadsafe(report, done, total)
