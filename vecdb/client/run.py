"""Runs the steps of an operation, blocking: each call it yields is sent, each answer or error given back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from vecdb.client.calls import Call, Steps
from vecdb.errors import VecdbError

T = TypeVar("T")


class Budget:
    """How long an operation may take: ``whole`` seconds in all, or, when that is None, ``each`` for each call."""

    def __init__(self, whole: float | None, each: float | None) -> None:
        self._deadline = None if whole is None else time.monotonic() + whole
        self._each = each

    def left(self) -> float | None:
        """Seconds for the next call, None for no limit. Not above 0: the time is up."""
        return self._each if self._deadline is None else self._deadline - time.monotonic()


def run(steps: Steps[T], send: Callable[[Call[Any], float | None], Any], budget: Budget) -> T:
    """What the operation returns or raises; ``send`` carries a call with the seconds it may take."""
    try:
        call = next(steps)
        while True:
            try:
                answer = send(call, budget.left())
            except VecdbError as error:
                call = steps.throw(error)
            else:
                call = steps.send(answer)
    except StopIteration as done:
        result: T = done.value
        return result
