"""A shared directory as the tests look at it: its server, the processes that share it, its end."""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

import vecdb
from tests.project.repository import ROOT

BOUND_S = 30.0


def vector(number: int) -> list[float]:
    """One of many that differ."""
    drawn: list[float] = np.random.default_rng(number).standard_normal(4).tolist()
    return drawn


def create(db: vecdb.Client) -> vecdb.Collection:
    return db.create_collection("docs", dim=4, exist_ok=True)


def server_pid(path: Path | str) -> int:
    """Who has the directory open."""
    return int((Path(path) / "LOCK.pid").read_text())


def served(path: Path) -> int:
    """How many servers have begun to serve it."""
    return (path / "shared" / "server.log").read_text().count(" serving ")


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BOUND_S
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def is_free(path: Path) -> bool:
    """Whether there is no server, nor anybody who starts one."""
    with open(path / "shared" / "server", "wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def kill_server(path: Path) -> int:
    """Its pid; it is gone when this returns."""
    process = psutil.Process(server_pid(path))
    process.kill()
    wait_for(lambda: has_ended(process))
    return int(process.pid)


def has_ended(process: psutil.Process) -> bool:
    """Also when nobody has taken notice yet, for it is not our child; its last thread closes its files."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1)
    except psutil.NoSuchProcess:
        return True


class Worker:
    """Another process that shares the directory; see tests/shared/worker.py."""

    def __init__(self, path: Path, mode: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "tests.shared.worker", str(path), mode],
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def line(self) -> str:
        assert self.popen.stdout is not None
        return self.popen.stdout.readline().strip()

    def ask(self, line: str) -> str:
        assert self.popen.stdin is not None
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()
        return self.line()

    def end(self) -> list[str]:
        """What it says until it ends by itself, without an error."""
        assert self.popen.stdin and self.popen.stdout and self.popen.stderr
        self.popen.stdin.close()
        said = self.popen.stdout.read()
        errors = self.popen.stderr.read()
        assert self.popen.wait(BOUND_S) == 0, errors
        return said.split()

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
