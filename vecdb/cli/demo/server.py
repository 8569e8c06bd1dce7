"""Starts a server as a child process, and stops it whatever happens."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

import vecdb

STOP_LIMIT_S = 30.0

# The child imports vecdb from where this process did, whatever lies in the current directory.
_IMPORTED_FROM = Path(vecdb.__file__).parents[1]


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A server that is ready on ``address``."""

    address: str
    process: subprocess.Popen[str]


@contextlib.contextmanager
def serving(data: Path) -> Iterator[ServerProcess]:
    """A server on a free port of 127.0.0.1. It is gone at the end, and also when this process is killed."""
    command = [sys.executable, "-m", "vecdb.cli.demo.child", "--data", str(data.absolute())]
    command += ["--address", "127.0.0.1:0", "--log-level", "warning"]
    with subprocess.Popen(
        command,
        cwd=_IMPORTED_FROM,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C reaches this process alone, which then stops the server in order
    ) as process:
        try:
            yield ServerProcess(_address(process), process)
        finally:
            _stop(process)


def _address(process: subprocess.Popen[str]) -> str:
    """The address in the line that a server prints when it is ready."""
    assert process.stdout is not None
    ready = process.stdout.readline()
    address = next((word for word in ready.split() if word.startswith("127.0.0.1:")), None)
    if address is None:
        raise click.ClickException("the server did not start; what it said is above")
    return address.rstrip(",")


def _stop(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    try:
        process.stdin.close()
        process.wait(STOP_LIMIT_S)
    except BaseException:
        process.kill()
        raise
