"""States of the store that are kept for snapshots under way: what they are, and that none is kept for ever.

A kept state makes the store keep every file that it needs. A reader that stalls, or whose network is gone, would fill
the disk: a timer lets go of what is older than ``max_snapshot_s``.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

from vecdb.errors import Closed, DeadlineExceeded, VecdbError
from vecdb.model.snapshot import Pin
from vecdb.storage.kv import KV


class Pins:
    """The states that are kept. Any thread."""

    def __init__(self, clock: Callable[[], float], max_s: float) -> None:
        self._clock = clock
        self._max_s = max_s
        self._lock = threading.Lock()
        self._held: dict[int, Held] = {}
        self._ids = itertools.count(1)

    def take(self, kv: KV, purpose: str, commit: int) -> Held:
        """Keep the store as it is now, until the pin is let go of."""
        with self._lock:
            pin = Pin(next(self._ids), purpose, commit, int(1000 * self._clock()))
            held = self._held[pin.id] = Held(pin, kv, self._max_s, self._forget)
        return held

    def list(self) -> tuple[Pin, ...]:
        """Those that are kept, the oldest first."""
        with self._lock:
            return tuple(held.pin for held in self._held.values())

    def close(self, told: VecdbError | None = None) -> None:
        """Let go of all; ``told`` is what their readers are told, None: that the database is closed."""
        with self._lock:
            held = list(self._held.values())
        for one in held:
            one.told = told
            one.release()

    def _forget(self, pin: Pin) -> None:
        with self._lock:
            self._held.pop(pin.id, None)


class Held:
    """A state that is kept; ``state`` reads it."""

    def __init__(self, pin: Pin, kv: KV, max_s: float, forget: Callable[[Pin], None]) -> None:
        self.pin = pin
        self.state = kv.snapshot()
        self._max_s = max_s
        self._forget = forget
        self._expired = False
        self.told: VecdbError | None = None
        self._timer = threading.Timer(max_s, self.expire)
        self._timer.daemon = True
        self._timer.start()

    def expire(self) -> None:
        """Let go of it because it is too old: whoever reads it is told."""
        self._expired = True
        self.release()

    def release(self) -> None:
        """Let go of it; calling it again does nothing."""
        self._timer.cancel()
        self.state.close()
        self._forget(self.pin)

    def lost(self, error: Closed) -> Exception:
        """What to tell a reader that met ``error``."""
        if not self._expired:
            return self.told or error
        return DeadlineExceeded(
            "the snapshot was not read to its end in time, and the state it read is not kept any more",
            expected=f"max_snapshot_s = {self._max_s:g}",
        )
