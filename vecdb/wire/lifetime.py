"""From the first call to the last: how a serving process runs and stops.

On SIGTERM or SIGINT: health says NOT_SERVING, no new calls; calls under way get a grace; the engine is
closed; the process ends, without waiting for a thread that is stuck in a call. An engine that does not
close cannot hold the process for longer than the limit; what was acknowledged is on disk by then. A
second signal ends it at once.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from vecdb.wire.server import Server

log = logging.getLogger(__name__)

# Python hands the GIL over every 5 ms by default, which a search beside a busy thread pays several times.
SWITCH_INTERVAL_S = 0.0005

FORCED_EXIT = 70

# A signal that comes between Python's last look for one and the wait does not interrupt it, and with other threads
# at work that is long enough to happen: look again.
LOOK_S = 0.5


def run(
    server: Server, close: Callable[[], None], on_ready: Callable[[], None], grace_s: float, limit_s: float
) -> NoReturn:
    """Serve until a signal comes, then end the process with status 0. Call from the main thread.

    ``close`` closes the engine; ``limit_s`` seconds after the signal the process exits whatever happens,
    with status 70. A second signal ends it at once with 128 plus its number.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    stopping = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stopping.is_set():
            _leave(128 + number)
        stopping.set()

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, on_signal)
    server.start()
    on_ready()
    while not stopping.wait(LOOK_S):
        pass
    log.info("stopping; calls under way have %g s", grace_s)
    deadline = threading.Timer(limit_s, _leave, (FORCED_EXIT,))
    deadline.daemon = True
    deadline.start()
    server.stop(grace_s)
    close()
    log.info("stopped")
    _leave(0)


def _leave(status: int) -> NoReturn:
    """End the process without waiting for any thread."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
