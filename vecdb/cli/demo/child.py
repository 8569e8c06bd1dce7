"""The demo's server: ``vecdb serve`` that stops when its standard input ends, so that it never outlives the demo."""

from __future__ import annotations

import os
import signal
import sys
import threading

from vecdb.cli.main import main as command_line


def main() -> None:
    """Serve with the arguments of ``vecdb serve``."""
    threading.Thread(target=_stop_at_end_of_input, name="end-of-input", daemon=True).start()
    command_line(["serve", *sys.argv[1:]])


def _stop_at_end_of_input() -> None:
    while os.read(0, 4096):
        pass
    # To the main thread, whose wait it must interrupt.
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


if __name__ == "__main__":
    main()
