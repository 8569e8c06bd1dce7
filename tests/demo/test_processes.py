"""The server of the demo is gone when the demo is, however it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import vecdb
from tests.project.repository import ROOT

PROGRAM = """
import sys
from pathlib import Path
from vecdb.cli.demo import measure, stdlib
stdlib.folder = lambda library=Path(sys.argv.pop(1)): library
measure.SEARCHES = measure.EXACT_SEARCHES = 20
from vecdb.cli.main import main
main()
"""

LIMIT_S = 60


@contextlib.contextmanager
def a_demo(library: Path, folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PROGRAM, str(library), "demo", "--data", str(folder), "--passages", "100"]
    with subprocess.Popen(
        [*command, *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def until(process: subprocess.Popen[str], beginning: str) -> str:
    """The line that begins so."""
    assert process.stdout is not None
    return next(line for line in process.stdout if line.startswith(beginning))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_kept_serving_until_told_otherwise(library: Path, tmp_path: Path, number: signal.Signals) -> None:
    with a_demo(library, tmp_path / "demo", "--keep-serving") as demo:
        address = until(demo, "Serving on").split()[2]
        (server,) = psutil.Process(demo.pid).children()
        with vecdb.connect(address) as db:
            docs = db.collection("demo")
            point = next(docs.scroll(batch=1, with_vectors=True))
            assert point.vector is not None
            assert docs.search(point.vector)[0].id == point.id
        demo.send_signal(number)
        status = demo.wait(LIMIT_S)
        server.wait(LIMIT_S)
    assert status == {signal.SIGINT: 0, signal.SIGTERM: 128 + signal.SIGTERM, signal.SIGKILL: -signal.SIGKILL}[number]
    with vecdb.open(tmp_path / "demo" / "database") as db:
        assert db.check() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_half_way(library: Path, tmp_path: Path, number: signal.Signals) -> None:
    with a_demo(library, tmp_path / "demo") as demo:
        until(demo, "server")
        children = psutil.Process(demo.pid).children()
        demo.send_signal(number)
        assert demo.wait(LIMIT_S) == 128 + number
        for server in children:
            server.wait(LIMIT_S)
    with vecdb.open(tmp_path / "demo" / "database") as db:
        assert db.check() == []
