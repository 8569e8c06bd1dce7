"""Looks after the state of a database: opens it again after a failure, and tells of every change of its state.

It has a thread of its own, for opening again ends all others.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from vecdb.errors import VecdbError
from vecdb.model.state import DatabaseState, StateName

log = logging.getLogger(__name__)

LOOK_S = 0.5
"""Between two looks: so long, about, those who watch do not hear of a change."""
MAX_PAUSE_S = 60.0
FAILED = ("read_only", "unavailable")
"""The states that only opening the store again ends."""


class Supervisor:
    """``now`` says the state and why, ``reopen`` ends a failure or raises, ``tend`` is called at every look.

    ``pause_s``: before the store is opened again, twice as long each time; 0: never. ``clock``: seconds since 1970.
    """

    def __init__(
        self,
        now: Callable[[], tuple[StateName, str | None]],
        tend: Callable[[], None],
        reopen: Callable[[], None],
        pause_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._now = now
        self._tend = tend
        self._reopen = reopen
        self._pause_s = pause_s
        self._clock = clock
        self._lock = threading.Lock()
        self._state = DatabaseState(since_ms=int(1000 * clock()))
        self._attempts = 0
        self._due: float | None = None
        self._watchers: list[Callable[[], None]] = []
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look, in a thread."""
        self._thread = threading.Thread(target=self._loop, name="vecdb-supervisor", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; an opening under way is waited for."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()

    def watch(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` after every change of the state, from whichever thread saw it."""
        self._watchers.append(changed)

    def state(self) -> DatabaseState:
        """The state at this moment."""
        name, reason = self._now()
        with self._lock:
            before = self._state
            if name not in FAILED:
                self._attempts = 0
            since_ms = before.since_ms if name == before.name else int(1000 * self._clock())
            now = self._state = DatabaseState(name, reason, since_ms, self._attempts)
        if name != before.name:
            told = log.info if now.writes else log.error
            told("the state is %s now, after %s%s", name, before.name, f": {reason}" if reason else "")
            for changed in self._watchers:
                changed()
        return now

    def attempted(self) -> None:
        """Count an attempt to open the store again."""
        with self._lock:
            self._attempts += 1

    def step(self) -> None:
        """Look once, and open the store again when it is time to."""
        self._tend()
        if self.state().name not in FAILED:
            self._due = None
            return
        now = time.monotonic()
        if self._due is None:
            self._due = now + self._pause_s
        if not self._pause_s or now < self._due:
            return
        try:
            self._reopen()
        except VecdbError as error:
            doublings = min(self.state().attempts, 30)  # of days of attempts no float holds the power
            pause = min(MAX_PAUSE_S, self._pause_s * 2**doublings)
            self._due = time.monotonic() + pause
            log.error("the database could not be opened again, which is tried in %g s: %s", pause, error)
        else:
            self._due = None
        self.state()

    def _loop(self) -> None:
        while not self._ending.wait(min(LOOK_S, self._pause_s or LOOK_S)):
            try:
                self.step()
            except Exception:
                log.exception("looking after the database failed and is tried again")
