"""Which search streams a client has, and when it may open another. Opens, sends and ends nothing itself.

A stream serves one caller at a time. Searches are safe to repeat, so whatever happens to a stream, the
search it carried is sent again as a call of its own; and where streams do not get through (a proxy that
forbids or swallows them, a server with too many) all searches are, for a while.
"""

from __future__ import annotations

import threading
import time
from typing import Generic, Protocol, TypeVar

MAX_STREAMS = 16
"""Open at once. Each holds a thread at the server; more callers than cores gain nothing from a stream of their own."""
MAX_REQUEST_BYTES = 256 << 10
"""Larger requests, batches of queries, take their time in the engine; a stream saves them nothing."""
PAUSE_S = 10.0
"""Streams are left alone for so long after one that failed before it had answered anything."""
PROOF_S = 2.0
"""How long the very first answer may take, or half its time, before a call of its own is tried: some proxies
swallow streams."""
IDLE_S = 60.0
"""A stream that nobody wanted for so long is ended."""


class Stream(Protocol):
    """What the pool keeps of a stream."""

    answered: bool
    """Whether an answer ever came from it."""
    last_use: float
    """When it was put back, on ``time.monotonic``'s clock."""


S = TypeVar("S", bound=Stream)


class StreamPool(Generic[S]):
    """The free streams of one connection, and how many there are in all. Safe to call from any thread."""

    def __init__(self, most: int = MAX_STREAMS) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._free: list[S] = []  # put back last comes first, so that those not needed grow old
        self._count = 0
        self._paused_until = 0.0
        self._proven = False
        self._closed = False

    def free(self) -> S | None:
        """A stream that nobody uses, now the caller's."""
        with self._lock:
            return self._free.pop() if self._free else None

    def reserve(self) -> bool:
        """Whether the caller may open another."""
        with self._lock:
            if self._closed or self._count >= self._most or time.monotonic() < self._paused_until:
                return False
            self._count += 1
            return True

    def patience(self, timeout: float | None) -> float | None:
        """Seconds to wait for an answer, of ``timeout``: less of it until streams are known to work."""
        if self._proven:
            return timeout
        return PROOF_S if timeout is None else min(PROOF_S, timeout / 2)

    def put_back(self, stream: S) -> list[S]:
        """Take back a stream that has answered; returns streams to end."""
        now = time.monotonic()
        stream.answered, stream.last_use = True, now
        with self._lock:
            self._proven = True
            if self._closed:
                self._count -= 1
                return [stream]
            self._free.append(stream)
            old = next((i for i, one in enumerate(self._free) if now - one.last_use <= IDLE_S), len(self._free))
            return self._take(old)

    def lost(self, stream: S | None) -> list[S]:
        """Forget a stream that failed, or (None) could not be opened; returns streams to end.

        Those that nobody uses go with it: they are of the same connection.
        """
        with self._lock:
            self._count -= 1
            if stream is None or not stream.answered:
                self._paused_until = time.monotonic() + PAUSE_S
            return self._take(len(self._free)) + ([] if stream is None else [stream])

    def dropped(self) -> None:
        """Forget a stream that the caller ended for a reason of his own."""
        with self._lock:
            self._count -= 1

    def close(self) -> list[S]:
        """Let nobody have a stream any more; returns streams to end."""
        with self._lock:
            self._closed = True
            return self._take(len(self._free))

    def _take(self, n: int) -> list[S]:
        taken, self._free = self._free[:n], self._free[n:]
        self._count -= n
        return taken
