"""One of something for each event loop that asks: what belongs to a loop works in no other."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

# What a forked child inherited belongs to threads that it does not have: it is left alone, never taken apart.
_inherited: list[object] = []


class PerLoop(Generic[T]):
    """Makes a T when a loop first asks, and lets go of those whose loop was closed. Any thread may ask."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._made: dict[asyncio.AbstractEventLoop, T] = {}

    def get(self) -> T:
        """The one of the running loop."""
        loop = asyncio.get_running_loop()
        if self._pid != os.getpid():
            _inherited.append(self._made)
            self._pid, self._made, self._lock = os.getpid(), {}, threading.Lock()
        found = self._made.get(loop)
        if found is None:
            with self._lock:
                for other in [other for other in self._made if other.is_closed()]:
                    del self._made[other]
                found = self._made[loop] = self._make()
        return found

    def take_all(self) -> list[tuple[asyncio.AbstractEventLoop, T]]:
        """All there are in this process; from now on new ones are made."""
        if self._pid != os.getpid():
            return []
        with self._lock:
            made, self._made = self._made, {}
        return list(made.items())
