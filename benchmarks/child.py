"""Other processes of a run: servers that say when they are ready, and programs that print one JSON value."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
STOP_S = 60.0


def start(module: str, *arguments: object, **more: Any) -> subprocess.Popen[str]:
    """``python -m module arguments`` with its standard output to be read."""
    return subprocess.Popen(command(module, *arguments), cwd=ROOT, stdout=subprocess.PIPE, text=True, **more)


def command(module: str, *arguments: object) -> Sequence[str]:
    """The command line of a module of this checkout."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def answer(module: str, *arguments: object) -> Any:
    """The JSON value that a module prints. Raises RuntimeError when it fails."""
    done = subprocess.run(command(module, *arguments), cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{module} ended with {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def serving(module: str, *arguments: object) -> Iterator[tuple[str, int]]:
    """A server for the length of the block: its address, read from the ready line, and its process id."""
    with start(module, *arguments) as process:
        try:
            yield ready_address(process), process.pid
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


def vecdb_server(data: Path, **options: Any) -> Any:
    """``vecdb serve`` on a data directory; with engine options, the same server put together by hand."""
    return serving("benchmarks.serve", json.dumps({"data": os.fspath(data), "options": options}))


def ready_address(process: subprocess.Popen[str]) -> str:
    """The address in a server's ready line."""
    assert process.stdout is not None
    line = process.stdout.readline()
    for word in line.replace(",", " ").split():
        if word.startswith("127.0.0.1:"):
            return word
    raise RuntimeError(f"no address in the ready line {line!r}")
