"""Time on the monotonic clock: each call by itself, and a heartbeat beside other work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")

BEAT_S = 0.0005


def seconds(action: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def each(action: Callable[[T], object], arguments: Iterable[T]) -> list[float]:
    """How long each of the calls takes, in seconds."""
    clock, taken = time.perf_counter, []
    for argument in arguments:
        began = clock()
        action(argument)
        taken.append(clock() - began)
    return taken


class Heartbeat:
    """A thread that wakes every half millisecond; ``gaps`` (seconds) tell for how long it could not."""

    def __init__(self) -> None:
        self.gaps: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        last = time.perf_counter()
        while not self._stop.is_set():
            time.sleep(BEAT_S)
            now = time.perf_counter()
            if now - last > 4 * BEAT_S:  # millions of good beats tell nothing
                self.gaps.append(now - last)
            last = now
