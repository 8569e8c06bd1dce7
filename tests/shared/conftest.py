"""A directory to share, and processes to share it with. All of them are gone when a test ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import vecdb
from tests.shared.site import Worker, is_free, kill_server, wait_for


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """Where the data goes. When the test ends the last server must be gone, and the data sound."""
    path = tmp_path / "data"
    yield path
    if (path / "shared" / "server").exists():
        try:
            wait_for(lambda: is_free(path))
        except AssertionError:
            kill_server(path)  # no process outlives its test
            raise
    if (path / "vecdb.json").exists():
        with vecdb.open(path) as db:
            assert db.check() == []


@pytest.fixture
def begin(path: Path) -> Iterator[Callable[[str], Worker]]:
    begun: list[Worker] = []

    def start(mode: str) -> Worker:
        begun.append(Worker(path, mode))
        return begun[-1]

    yield start
    for worker in begun:
        worker.kill()
