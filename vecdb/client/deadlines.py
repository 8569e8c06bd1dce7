"""Ends what is not done in time, for calls that cannot be given a timeout themselves."""

from __future__ import annotations

import math
import threading
import time
from typing import Protocol


class Cancellable(Protocol):
    """What can be told to end."""

    def cancel(self) -> object: ...


class Deadlines:
    """Cancels what is not done by its deadline; from one thread, which sleeps until the earliest of them.

    Setting a deadline wakes the thread only if it would oversleep: where all callers give the same time, never.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: dict[Cancellable, float] = {}
        self._sleeps_until = math.inf
        self._thread: threading.Thread | None = None
        self._closed = False

    def set(self, what: Cancellable, deadline: float) -> None:
        """Cancel ``what`` at ``deadline``, on ``time.monotonic``'s clock, unless it is done by then."""
        with self._changed:
            if self._closed:
                return
            self._due[what] = deadline
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="vecdb-deadlines", daemon=True)
                self._thread.start()
            elif deadline < self._sleeps_until:
                self._changed.notify()

    def done(self, what: Cancellable) -> None:
        """It is done, one way or the other."""
        with self._changed:
            self._due.pop(what, None)

    def close(self) -> None:
        """Stop watching."""
        with self._changed:
            self._closed = True
            self._due.clear()
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                for what in [what for what, deadline in self._due.items() if deadline <= now]:
                    del self._due[what]
                    what.cancel()
                self._sleeps_until = min(self._due.values(), default=math.inf)
                self._changed.wait(min(self._sleeps_until - now, threading.TIMEOUT_MAX))
