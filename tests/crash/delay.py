"""What slow syncs do to a served database: acknowledgements wait for them, searches and health do not.

``vecdb serve`` runs under strace, which holds every fsync and fdatasync back for a while before it begins. Both
measurements, with and without the delay, run under strace, so that its own cost is in both.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.crash import trace
from tests.crash.laboratory import PATIENCE_S, ROOT
from vecdb.client.client import Client
from vecdb.client.connect import connect
from vecdb.client.health import health

POINTS, DIM = 2_000, 64
WRITERS = 3
PAUSE_S = 0.3
"""A writer waits so long after an answer, so that both measurements are of about the same load."""


@dataclass(slots=True)
class Timings:
    """When calls began and ended, in seconds, by what they were."""

    calls: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def took_ms(self, what: str) -> np.ndarray:
        """Milliseconds each call took."""
        return 1000 * np.array([end - begin for begin, end in self.calls[what]])

    def within(self, what: str, begin: float, end: float) -> int:
        """How many calls began and ended between two moments."""
        return sum(begin <= a and b <= end for a, b in self.calls[what])

    def rows(self, title: str) -> list[str]:
        """As the table prints them."""
        out = []
        for what in self.calls:
            ms = self.took_ms(what)
            p50, p99 = np.percentile(ms, [50, 99])
            out.append(f"{title:12} {what:16} {len(ms):6} {ms.min():9.1f} {p50:9.1f} {p99:9.1f} {ms.max():9.1f}")
        return out


HEADING = "syncs        call              calls    min ms    p50 ms    p99 ms    max ms"


def measure(folder: Path, delay_ms: int, writes: int) -> Timings:
    """Write from several threads, search and ask for health meanwhile; ``writes`` in all."""
    inject = [f"{','.join(trace.SYNCS)}:delay_enter={1000 * delay_ms}"] if delay_ms else []
    _prepare(folder / "data")
    timings = Timings()
    with _serving(folder, trace.command(folder / "trace.txt", *inject)) as address, connect(address) as client:
        points = client.collection("c")
        draw = np.random.default_rng(1)
        queries = draw.standard_normal((500, DIM)).astype(np.float32)
        points.search(queries[0])  # the collection is loaded now
        numbers = iter(range(writes))
        lock = threading.Lock()
        writing = threading.Event()
        writing.set()

        def write(_: int) -> bool:
            with lock:
                n = next(numbers, None)
            if n is not None:
                points.upsert(ids=[f"new-{n}"], vectors=queries[n % len(queries)][None])
            return n is not None

        def search(n: int) -> bool:
            points.search(queries[n % len(queries)])
            return writing.is_set()

        def ask(_: int) -> bool:
            status = health(address, "", PATIENCE_S)
            if status != "SERVING":
                raise AssertionError(f"health said {status}")
            return writing.is_set()

        jobs = [("acknowledgement", write)] * WRITERS + [("search", search), ("health", ask)]
        _together(jobs, timings, writing)
    return timings


def _together(jobs: list[tuple[str, Callable[[int], bool]]], timings: Timings, writing: threading.Event) -> None:
    """Repeat every job in a thread of its own until it says False; ``writing`` is cleared when the writers are done.

    The writers start when every other job was done once.
    """
    failures: list[BaseException] = []

    def repeat(what: str, job: Callable[[int], bool], begun: threading.Event) -> None:
        n = 0
        try:
            while True:
                began = time.monotonic()
                more = job(n)
                ended = time.monotonic()
                begun.set()
                if not more:
                    return
                timings.calls.setdefault(what, []).append((began, ended))
                n += 1
                if what == "acknowledgement":
                    time.sleep(PAUSE_S)
        except BaseException as error:
            failures.append(error)
            begun.set()

    def start(what: str, job: Callable[[int], bool]) -> tuple[threading.Thread, threading.Event]:
        begun = threading.Event()
        thread = threading.Thread(target=repeat, args=(what, job, begun))
        thread.start()
        return thread, begun

    readers = [start(what, job) for what, job in jobs if what != "acknowledgement"]
    for _, begun in readers:
        begun.wait(PATIENCE_S)
    for thread, _ in [start(what, job) for what, job in jobs if what == "acknowledgement"]:
        thread.join()
    writing.clear()
    for thread, _ in readers:
        thread.join()
    if failures:
        raise failures[0]


def _prepare(data: Path) -> None:
    """A collection with some points, made without strace."""
    from vecdb.client.connect import open as open_here

    with open_here(data) as client:
        _fill(client)


def _fill(client: Client) -> None:
    vectors = np.random.default_rng(0).standard_normal((POINTS, DIM)).astype(np.float32)
    points = client.create_collection("c", dim=DIM)
    points.upsert(ids=[f"p{n}" for n in range(POINTS)], vectors=vectors)


@contextlib.contextmanager
def _serving(folder: Path, wrap: list[str]) -> Iterator[str]:
    """``vecdb serve`` behind a prefix; its address."""
    command = [
        *wrap,
        sys.executable,
        "-m",
        "vecdb",
        "serve",
        "--data",
        str(folder / "data"),
        "--address",
        "127.0.0.1:0",
    ]
    with open(folder / "stderr.txt", "ab") as told:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=told, text=True)
    watchdog = threading.Timer(PATIENCE_S, process.kill)
    watchdog.start()
    server = 0
    try:
        assert process.stdout is not None
        ready = process.stdout.readline()
        watchdog.cancel()
        found = re.search(r"ready on (\S+),", ready)
        if found is None:
            raise AssertionError(f"not ready: {ready!r}")
        server = _only_child(process.pid) if wrap else process.pid
        yield found[1]
    finally:
        watchdog.cancel()
        with contextlib.suppress(ProcessLookupError):
            os.kill(server or process.pid, signal.SIGKILL)
        process.wait(PATIENCE_S)
        if process.stdout is not None:
            process.stdout.close()


def _only_child(process: int) -> int:
    """The process that strace started."""
    return int(Path(f"/proc/{process}/task/{process}/children").read_text().split()[0])
