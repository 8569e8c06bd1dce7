"""How much the server takes on at once: what is above it is refused at once, never queued.

Reads, writes and slow admin calls each have a bound of their own, so that writes which wait for the
builder do not keep searches out. Together they are below the number of threads, so that health and the
other admin calls always find one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from vecdb.errors import ResourceExhausted

RETRY_AFTER_S = 0.1


class Gate:
    """Lets at most ``calls`` calls holding ``nbytes`` request bytes together pass at a time. Thread-safe.

    A call alone always passes, whatever its size.
    """

    def __init__(self, what: str, calls: int, nbytes: int) -> None:
        self._what = what
        self._calls = calls
        self._nbytes = nbytes
        self._lock = threading.Lock()
        self._calls_inside = 0
        self._nbytes_inside = 0

    @contextmanager
    def inside(self, nbytes: int) -> Iterator[None]:
        """Hold a place for a request of ``nbytes``. Raises ResourceExhausted when there is none."""
        self._enter(nbytes)
        try:
            yield
        finally:
            with self._lock:
                self._calls_inside -= 1
                self._nbytes_inside -= nbytes

    def _enter(self, nbytes: int) -> None:
        with self._lock:
            if self._calls_inside >= self._calls:
                raise self._full(f"at most {self._calls} at once", str(self._calls_inside + 1))
            total = self._nbytes_inside + nbytes
            if self._calls_inside and total > self._nbytes:
                raise self._full(f"at most {self._nbytes} bytes of requests at once", str(total))
            self._calls_inside += 1
            self._nbytes_inside = total

    def _full(self, expected: str, received: str) -> ResourceExhausted:
        return ResourceExhausted(
            f"the server has too many {self._what}", expected=expected, received=received, retry_after_s=RETRY_AFTER_S
        )
