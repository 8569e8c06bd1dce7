"""The server of a shared directory: ``python -m vecdb.cli.shared DATA OPTIONS CLAIM REPORT``, run by its clients.

CLAIM is the inherited lock that makes this process the server, held until it is gone; REPORT the pipe to
the client that started it. The process stops when the last client has gone.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from typing import Any, NoReturn

from vecdb import config
from vecdb.client.shared_folder import OPTIONS, SOCKET, SharedFolder
from vecdb.client.shared_start import READY, tell
from vecdb.errors import VecdbError

log = logging.getLogger(__name__)

# Its clients are gone when it stops, but for a signal sent by hand.
GRACE_S = 5.0
LIMIT_S = 25.0


def main() -> None:
    """Serve a directory with the arguments above."""
    data, options, _, report = sys.argv[1:]
    if os.fork():  # the client has nothing to wait for, and the server no parent whose zombie it could become
        os._exit(0)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # inherited too, and the end comes as a signal
    config.one_thread_for_libraries()
    logging.basicConfig(level="INFO", format=f"%(asctime)s {os.getpid()} %(levelname)s %(name)s: %(message)s")
    try:
        _serve(data, json.loads(options), int(report))
    except VecdbError as error:
        log.error("%s: %s", error.reason, error)
        _say(int(report), tell(error))
        sys.exit(1)


def _serve(data: str, given: dict[str, Any], report: int) -> NoReturn:
    from vecdb.client.transport_embedded import open_database
    from vecdb.wire.lifetime import run
    from vecdb.wire.server import Server, ServerOptions

    folder = SharedFolder(data)
    os.chdir(folder.path)  # the address of a socket is short, and this one has no characters of its own
    database = open_database(data, given)
    try:
        effective = {"given": given, "effective": asdict(database.options)}
        folder.replace(OPTIONS, json.dumps(effective).encode())
        with suppress(FileNotFoundError):
            os.unlink(SOCKET)  # of a server that was killed: whoever has the claim is the only one
        server = Server(database, ServerOptions(address=f"unix:{SOCKET}"))
        os.chmod(SOCKET, 0o600)
    except BaseException:
        database.close()
        raise

    def ready() -> None:
        log.info("serving %s", data)
        threading.Thread(target=_stop_when_left, args=(folder,), name="last-client", daemon=True).start()
        _say(report, READY)

    run(server, database.close, ready, grace_s=GRACE_S, limit_s=LIMIT_S)


def _stop_when_left(folder: SharedFolder) -> None:
    folder.wait_until_left()
    log.info("the last client has gone")
    # To the main thread, whose wait it must interrupt.
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


def _say(report: int, text: bytes) -> None:
    with suppress(OSError):  # the client that started us may be gone
        os.write(report, text)
    os.close(report)


if __name__ == "__main__":
    main()
