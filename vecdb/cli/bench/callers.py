"""Callers that search as fast as they are answered, and what they saw.

Each caller is a process: the threads of one would share its GIL, and such a client is slower than the server.
They are spawned, since a channel of gRPC does not survive a fork.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

import vecdb
from vecdb.errors import Unavailable, VecdbError
from vecdb.model.point import Float32

WARM_UP_CALLS = 20
START_DELAY_S = 0.2  # from the word to the start, so that all hear it before
READY_LIMIT_S = 60.0  # for a process to begin and warm up, beside what its calls may take
PAUSE_S = 0.05  # after an error that names no time to wait

Seconds = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Load:
    """What each caller does: searches of ``batch`` queries a call, for ``seconds``; ``how`` goes with each search."""

    address: str
    api_key: str | None
    timeout: float
    collection: str
    seconds: float
    batch: int
    how: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Samples:
    """Every call of one caller: when it began (seconds since the common start), what it took, "" or its error."""

    began: Seconds
    took: Seconds
    error: Sequence[str]


def run(load: Load, queries: Float32, callers: int) -> list[Samples]:
    """Let so many callers search at the same time. Raises what the first that cannot begin met."""
    spawn = multiprocessing.get_context("spawn")
    limit = load.timeout + READY_LIMIT_S
    processes = []
    pipes = []
    try:
        for caller in range(callers):
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=_caller, args=(theirs, load, np.roll(queries, -caller * 7919, axis=0)))
            process.daemon = True
            process.start()
            theirs.close()
            processes.append(process)
            pipes.append(ours)
        for pipe in pipes:
            _hear(pipe, limit)
        start = time.monotonic() + START_DELAY_S
        for pipe in pipes:
            pipe.send(start)
        return [_hear(pipe, load.seconds + limit) for pipe in pipes]
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.terminate()
            process.join()


def _hear(pipe: Connection, limit: float) -> Any:
    said = None
    with contextlib.suppress(EOFError):
        if pipe.poll(limit):
            said = pipe.recv()
    if said is None:
        raise Unavailable(f"a caller of the benchmark ended, or said nothing for {limit:.0f} s")
    if isinstance(said, VecdbError):
        raise said
    return said


def _caller(pipe: Connection, load: Load, queries: Float32) -> None:
    """The life of one caller: warm up, say so, hear when to start, search, tell."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one, and ends it
    with (
        contextlib.suppress(BrokenPipeError, EOFError),  # that one is gone
        vecdb.connect(load.address, load.api_key, timeout=load.timeout) as db,
    ):
        call = _call(db.collection(load.collection), load, queries)
        try:
            for i in range(WARM_UP_CALLS):
                call(i)
        except VecdbError as error:
            pipe.send(error)
            return
        pipe.send("ready")
        start = pipe.recv()
        time.sleep(max(0.0, start - time.monotonic()))
        pipe.send(_search(call, start, start + load.seconds))


def _call(docs: vecdb.Collection, load: Load, queries: Float32) -> Callable[[int], object]:
    """A function that makes the i-th call."""
    n = len(queries)
    if load.batch == 1:
        return lambda i: docs.search(queries[i % n], **load.how)
    return lambda i: docs.search_batch(
        np.take(queries, range(i * load.batch, (i + 1) * load.batch), axis=0, mode="wrap"), **load.how
    )


def _search(call: Callable[[int], object], start: float, end: float) -> Samples:
    began, took, errors = [], [], []
    for i in count():
        before = time.monotonic()
        if before >= end:
            break
        error = None
        try:
            call(i)
        except VecdbError as refusal:
            error = refusal
        took.append(time.monotonic() - before)
        began.append(before - start)
        errors.append(error.reason if error else "")
        if error is not None:
            time.sleep(min(error.retry_after_s or PAUSE_S, max(0.0, end - time.monotonic())))
    return Samples(np.array(began), np.array(took), errors)
