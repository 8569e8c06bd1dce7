"""soak: every kind of call over gRPC for a long time, with snapshots and restarts."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import vecdb
from benchmarks import child
from benchmarks.figure import Figure, percentile
from benchmarks.mixed_load import NAME, Load, Restarts
from benchmarks.process import disk_bytes, memory, open_files
from benchmarks.run import Run
from benchmarks.sets import enlarged
from benchmarks.setup import FULL_ROWS, Setup

SIZE = 100_000
FULL_MINUTES = 30.0
RESTARTS = (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM, signal.SIGKILL)
"""At equal distances over the first third; the rest is one process, whose memory can be told to grow or not."""
SAMPLE_S = 1.0
WARM = 1 / 2
"""The share of that rest in which caches fill and segments settle: of half an hour ten minutes, for so long the change
feed keeps what is dead."""
MOST_GROWTH = 0.10
"""Of memory and of open files, in an hour."""
LIMIT_S = 60.0


def measure(setup: Setup) -> Run:
    """Memory and open files each second, the time of each call, errors, and what was acknowledged and is missing."""
    run = Run.begin("soak", setup.size)
    if setup.size < FULL_ROWS or setup.minutes < FULL_MINUTES:
        run.doubt(f"{setup.size:,} rows for {setup.minutes:g} minutes; {FULL_ROWS:,} for {FULL_MINUTES:g} are the rule")
    some = enlarged(setup.data, setup.size)
    copies = setup.folder("copies")
    copies.mkdir()
    seconds = 60 * setup.minutes
    server = Server(setup.folder("db"), setup.options())
    restarts = Restarts()
    server.start()
    try:
        with vecdb.connect(server.address, timeout=LIMIT_S) as db:
            docs = db.create_collection(NAME, dim=some.dim, metric=some.metric)
            load = Load(db, some, restarts, copies)
            load.fill()
            docs.wait_indexed(timeout=600)
            with _sampled(run, server):
                load.run(seconds, lambda wait: _restart(server, restarts, seconds, wait))
            run.add("missing", load.missing())
            run.add("disk", disk_bytes(server.data))
        told = load.told
        run.add("told", {"taken": told.taken, "errors": told.errors, "retried": told.retried})
    finally:
        server.stop(signal.SIGTERM)
    return run


class Server:
    """One server after another on one address and one data directory."""

    def __init__(self, data: Path, options: dict[str, Any]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.data = data
        self._options = options
        self._process: subprocess.Popen[str] | None = None
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """None while there is none."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start one, and wait until it is ready."""
        given = {"data": os.fspath(self.data), "options": self._options, "address": self.address}
        process = child.start("benchmarks.serve", json.dumps(given))
        child.ready_address(process)
        self._process, self.starts = process, self.starts + 1

    def stop(self, number: signal.Signals) -> None:
        """End it by a signal."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            try:
                process.wait(LIMIT_S)
            finally:
                process.kill()
                process.stdout.close()  # type: ignore[union-attr]


def _restart(server: Server, restarts: Restarts, seconds: float, wait: Callable[[float], bool]) -> None:
    for number in RESTARTS:
        if not wait(seconds / 3 / len(RESTARTS)):
            return
        restarts.begin()
        server.stop(number)
        server.start()
        restarts.end()


@contextmanager
def _sampled(run: Run, server: Server) -> Iterator[None]:
    ending = threading.Event()
    began = time.monotonic()

    def look() -> None:
        while not ending.wait(SAMPLE_S):
            pid, start = server.pid, server.starts
            if pid is not None:
                try:
                    held, files = memory(pid)["anonymous"], open_files(pid)
                except (OSError, KeyError):
                    continue  # it has just ended
                run.add("server", {"at": time.monotonic() - began, "start": start, "anonymous": held, "files": files})

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def figures(samples: dict[str, Any]) -> list[Figure]:
    """Errors and losses; growth in an hour by least squares over the last process, once warm, against its mean."""
    told = samples["told"][0]
    out = [
        Figure("errors that no client should see", len(told["errors"]), at_most=0),
        Figure("rows not as they were acknowledged", samples["missing"][0], at_most=0),
        Figure("restarts", max(s["start"] for s in samples["server"]) - 1),
        Figure("calls that were sent again", told["retried"]),
    ]
    last = [s for s in samples["server"] if s["start"] == max(s["start"] for s in samples["server"])]
    warm = last[int(WARM * len(last)) :]
    for what, unit, scale in (("anonymous", "MiB", 1 << 20), ("files", "", 1)):
        hours = np.array([s["at"] for s in warm]) / 3600
        values = np.array([s[what] for s in warm]) / scale
        slope, _ = np.polyfit(hours, values, 1)
        name = {"anonymous": "anonymous memory", "files": "open files"}[what]
        out.append(Figure(f"{name}, mean", float(values.mean()), unit))
        out.append(Figure(f"{name}, slope in an hour", float(slope), unit))
        out.append(Figure(f"{name}, growth in an hour", float(slope / values.mean()), at_most=MOST_GROWTH))
    for kind, taken in sorted(told["taken"].items()):
        out.append(Figure(f"{kind}: calls", len(taken)))
        out.append(Figure(f"{kind}: p99", 1e3 * percentile(taken, 99), "ms"))
    return out
