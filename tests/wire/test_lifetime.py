"""How a serving process ends: cleanly, and always."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from tests.project.repository import ROOT
from vecdb.client.health import health
from vecdb.v1 import points_pb2, points_pb2_grpc
from vecdb.wire.lifetime import FORCED_EXIT


class Process:
    """A serving process, and the lines it says."""

    def __init__(self, mode: str) -> None:
        command = [sys.executable, "-m", "tests.wire.serving_process", mode, "127.0.0.1:0"]
        self.popen = subprocess.Popen(
            command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.address = self.wait_for("ready ").split()[1]

    def wait_for(self, start: str) -> str:
        """The next line that starts so."""
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            if line.startswith(start):
                return line
        raise AssertionError(f"the process never said {start!r}")

    def say(self, line: str) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()


@pytest.fixture
def begin() -> Iterator[Callable[[str], Process]]:
    begun: list[Process] = []

    def start(mode: str) -> Process:
        begun.append(Process(mode))
        return begun[-1]

    yield start
    for process in begun:
        process.popen.kill()
        process.popen.communicate()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


def counting(process: Process, pool: ThreadPoolExecutor) -> Callable[[], int]:
    """A count under way; the function waits for its result."""

    def count() -> int:
        with grpc.insecure_channel(process.address) as channel:
            request = points_pb2.CountRequest(collection="docs")
            return points_pb2_grpc.PointsServiceStub(channel).Count(request, timeout=30).count

    under_way = pool.submit(count)
    process.wait_for("counting")
    return lambda: under_way.result(30)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(begin: Callable[[str], Process], number: signal.Signals) -> None:
    process = begin("patient")
    assert health(process.address, "", 10) == "SERVING"
    process.popen.send_signal(number)
    process.wait_for("closed")
    process.wait_for("stopped")
    assert process.popen.wait(10) == 0


def test_a_signal_that_interrupts_nothing_stops_it_too(begin: Callable[[str], Process]) -> None:
    """One that comes just before the main thread waits is noticed by looking, not by being woken."""
    process = begin("deaf")
    process.popen.terminate()
    assert process.popen.wait(10) == 0
    process.wait_for("closed")


def test_a_call_under_way_is_finished(begin: Callable[[str], Process], pool: ThreadPoolExecutor) -> None:
    process = begin("patient")
    result = counting(process, pool)
    process.popen.terminate()
    process.wait_for("stopping")
    process.say("42")
    assert result() == 42
    process.wait_for("closed")
    assert process.popen.wait(10) == 0


def test_a_stuck_call_does_not_hold_it(begin: Callable[[str], Process], pool: ThreadPoolExecutor) -> None:
    process = begin("impatient")
    result = counting(process, pool)
    process.popen.terminate()
    process.wait_for("closed")
    assert process.popen.wait(10) == 0
    with pytest.raises(grpc.RpcError):
        result()


def test_an_engine_that_does_not_close_does_not_hold_it(begin: Callable[[str], Process]) -> None:
    process = begin("unclosable")
    process.popen.terminate()
    assert process.popen.wait(10) == FORCED_EXIT


def test_a_second_signal_ends_it_at_once(begin: Callable[[str], Process], pool: ThreadPoolExecutor) -> None:
    process = begin("patient")
    result = counting(process, pool)
    process.popen.terminate()
    process.wait_for("stopping")
    process.popen.terminate()
    assert process.popen.wait(10) == 128 + signal.SIGTERM
    with pytest.raises(grpc.RpcError):
        result()
