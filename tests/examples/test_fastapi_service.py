"""The example service: what it answers, and what of it survives."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

import vecdb
from tests.project.repository import ROOT
from tests.shared.site import is_free, kill_server, wait_for

pytest.importorskip("fastapi", reason="the extra `examples` is not installed")
httpx = pytest.importorskip("httpx", reason="the extra `examples` is not installed")

EXAMPLE = ROOT / "examples" / "fastapi_service"
WORKERS = 4
UVICORN = ["uvicorn", "app:app", "--workers", str(WORKERS), "--host", "127.0.0.1", "--port", "0"]
GUNICORN = ["gunicorn", "app:app", "--workers", str(WORKERS), "--preload", "--bind", "127.0.0.1:0"]
GUNICORN += ["--worker-class", "uvicorn.workers.UvicornWorker"]
LISTENS = re.compile(r"http://127\.0\.0\.1:\d+")


@contextlib.contextmanager
def serving(command: list[str], folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The address of the service, once every worker has answered, and its main process."""
    environment = {**os.environ, "PASSAGES_DATA": str(folder / "data"), "PYTHONPATH": str(ROOT)}
    with (folder / "service.log").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=EXAMPLE, env=environment, stdout=output, stderr=output
        )
    try:
        wait_for(lambda: process.poll() is not None or has_begun(folder, workers_of(command)))
        found = LISTENS.search(said(folder))
        assert process.poll() is None and found, said(folder)
        yield found[0], psutil.Process(process.pid)
    finally:
        process.terminate()
        assert process.wait(30) in (0, -15), said(folder)


def workers_of(command: list[str]) -> int:
    return int(command[command.index("--workers") + 1])


def said(folder: Path) -> str:
    return (folder / "service.log").read_text(errors="replace")


def has_begun(folder: Path, workers: int) -> bool:
    """Whether so many workers have begun to answer, those that are gone among them."""
    return said(folder).count("startup complete") >= workers


def workers(main: psutil.Process) -> list[psutil.Process]:
    """The processes that answer: living children that are not Python's tracker of resources."""
    living = [child for child in main.children() if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in living if "resource_tracker" not in " ".join(child.cmdline())]


def test_what_it_answers(tmp_path: Path) -> None:
    one = [*UVICORN[:2], "--workers", "1", *UVICORN[4:]]
    with serving(one, tmp_path) as (address, _), httpx.Client(base_url=address, timeout=30) as http:
        cat = {"id": "cat", "text": "The cat sleeps on the sofa.", "source": "home.txt"}
        added = http.post("/passages", json=[cat, {"text": "高铁票可以在网上改签。"}])
        assert (added.status_code, added.json()["ids"][0]) == (201, "cat")
        (found,) = http.get("/search", params={"q": "where is the SOFA?", "limit": 1}).json()
        assert {name: found[name] for name in cat} == cat
        assert 0.1 < found["score"] < 1.0
        assert http.get("/search", params={"q": "车票改签", "limit": 1}).json()[0]["text"].startswith("高铁票")
        assert http.get("/health").json() == {"vecdb": vecdb.__version__, "passages": 2}
        assert http.delete("/passages/cat").json() == {"deleted": 1}
        assert http.delete("/passages/cat").json() == {"deleted": 0}
        for refused in (
            http.post("/passages", json=[{"text": "..."}]),  # no word, so no direction
            http.post("/passages", json=[{"id": "x" * 513, "text": "long"}]),
        ):
            assert (refused.status_code, refused.json()["reason"]) == (422, refused.json()["reason"])
            assert refused.json()["reason"] in ("INVALID_VECTOR", "INVALID_ARGUMENT")
        assert http.get("/search", params={"q": "x", "limit": 0}).status_code == 422
    wait_for(partial(is_free, tmp_path / "data"))
    with vecdb.open(tmp_path / "data") as db:
        assert db.collection("passages").count() == 1
        assert db.check() == []


class Caller(threading.Thread):
    """Adds passages one by one and looks for each; keeps what was acknowledged, when, and what went wrong."""

    def __init__(self, address: str, name: str) -> None:
        super().__init__(name=name)
        self._address = address
        self._ended = threading.Event()
        self.acknowledged: list[tuple[str, float]] = []
        self.refused: list[str] = []

    def run(self) -> None:
        one_request_each = httpx.Limits(max_keepalive_connections=0)  # so that every worker gets some
        with httpx.Client(base_url=self._address, timeout=30, limits=one_request_each) as http:
            for number in itertools.count():
                if self._ended.is_set():
                    return
                id = f"{self.name}-{number}"
                text = f"passage {number} of {self.name}"
                try:
                    http.post("/passages", json=[{"id": id, "text": text}]).raise_for_status()
                    self.acknowledged.append((id, time.monotonic()))
                    found = http.get("/search", params={"q": text, "limit": 3}).raise_for_status().json()
                    assert id in [hit["id"] for hit in found]
                except (httpx.HTTPError, AssertionError) as error:
                    self.refused.append(repr(error))

    def end(self) -> None:
        self._ended.set()
        self.join(60)

    def answered_since(self, when: float) -> float | None:
        """When the first request that was acknowledged after ``when`` was."""
        return next((at for _, at in self.acknowledged if at > when), None)


def pause(callers: list[Caller], since: float) -> float:
    """How long it took until each of them was answered again."""
    wait_for(lambda: all(caller.answered_since(since) for caller in callers))
    return max(at for caller in callers if (at := caller.answered_since(since))) - since


@pytest.mark.slow
@pytest.mark.parametrize("command", [UVICORN, GUNICORN], ids=["uvicorn", "gunicorn-preload"])
def test_nothing_acknowledged_is_lost(command: list[str], tmp_path: Path) -> None:
    """A worker is killed, then the server of the directory, under load; it answers again within two seconds."""
    data = tmp_path / "data"
    with serving(command, tmp_path) as (address, main):
        callers = [Caller(address, f"caller{i}") for i in range(4)]
        try:
            for caller in callers:
                caller.start()
            pause(callers, time.monotonic())
            in_flight = 0
            waits = []
            for number in range(1, 4):
                victim = workers(main)[0]
                began = time.monotonic()
                victim.kill()
                print(f"without a worker: answered after {pause(callers, began):.2f} s")
                in_flight = sum(len(caller.refused) for caller in callers)
                wait_for(partial(has_begun, tmp_path, WORKERS + number))
                began = time.monotonic()
                kill_server(data)
                waits.append(pause(callers, began))
                print(f"without the server: answered after {waits[-1]:.2f} s")
                assert sum(len(caller.refused) for caller in callers) == in_flight, "errors although no worker died"
        finally:
            for caller in callers:
                caller.end()
        acknowledged = [id for caller in callers for id, _ in caller.acknowledged]
        assert statistics.median(waits) < 2.0  # a busy machine may hold up one of them
        print(f"{len(acknowledged)} acknowledged, {in_flight} in flight in killed workers")
        with vecdb.open(data, shared=True) as db:
            assert db.collection("passages").exists(acknowledged).all()
    wait_for(partial(is_free, data))
    with vecdb.open(data) as db:
        assert len(acknowledged) <= db.collection("passages").count() <= len(acknowledged) + in_flight
        assert db.check() == []
