"""A process that serves an engine which can get stuck: python -m tests.wire.serving_process MODE ADDRESS.

Says "ready ADDRESS", "counting" when a count begins, "closed" when the engine was closed. A count waits for a line on
standard input; with MODE ``unclosable`` the engine never closes. With MODE ``deaf`` a signal interrupts no wait of
the main thread.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading

from tests.wire.fake_engine import FakeDatabase
from vecdb.wire.lifetime import run
from vecdb.wire.server import Server, ServerOptions


def say(text: str) -> None:
    print(text, flush=True)


def say_when_waiting(text: str) -> None:
    """Say it once the main thread waits, as threads of Python do."""
    main = threading.main_thread().ident
    assert main is not None
    while sys._current_frames()[main].f_code.co_name != "wait":
        os.sched_yield()
    say(text)


class Engine(FakeDatabase):
    """Its counts wait for a line."""

    def count(self, context: object, name: str, filter: object = None) -> int:
        say("counting")
        return int(sys.stdin.readline())

    def close(self) -> None:
        if sys.argv[1] == "unclosable":
            threading.Event().wait()
        say("closed")


if __name__ == "__main__":
    logging.basicConfig(level="INFO", stream=sys.stdout, format="%(message)s")
    engine = Engine()
    server = Server(engine, ServerOptions(address=sys.argv[2]))  # type: ignore[arg-type]
    patience = {"impatient": (0.05, 120.0), "unclosable": (0.0, 0.05)}.get(sys.argv[1], (60.0, 120.0))

    def ready() -> None:
        if sys.argv[1] == "deaf":  # another thread takes it, as when it comes just before the wait
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            threading.Thread(target=say_when_waiting, args=(f"ready {server.address}",)).start()
        else:
            say(f"ready {server.address}")

    run(server, engine.close, ready, grace_s=patience[0], limit_s=patience[1])
