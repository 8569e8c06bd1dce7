"""One random history through every door of a shared directory, against a dict, while its server is killed.

The model is that of the state machine (tests/machine). A call that the kill met has its one result like any other.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import vecdb
from tests.machine.model import SCHEMA, Given, Held, Model, Step, operation, same
from tests.shared.site import is_free, kill_server, server_pid, wait_for
from vecdb.client.near import Near
from vecdb.errors import PointExists

POOL = [f"point{i}" for i in range(30)]
SMALL = {"growing_rows": 20, "graph_rows": 12, "idle_seal_s": 0.05}
DIMS = {name: about.dim for name, about in SCHEMA.vectors.items()}


class History:
    """A history drawn from ``seed``; ``doors`` are clients of the directory, one of them for event loops."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path = path
        self.rng = np.random.default_rng(seed)
        self.model = Model()
        self.kills = 0
        self._runner = asyncio.Runner()
        self._clients = [vecdb.open(path, shared=True, **SMALL), vecdb.open(path, shared=True)]
        self._async = vecdb.open_async(path, shared=True)
        for client in self._clients:
            client.create_collection("c", vectors=SCHEMA.vectors, texts=SCHEMA.texts, exist_ok=True)

    def ask(self, method: str, *arguments: Any, **options: Any) -> Any:
        """The answer through a door."""
        door = int(self.rng.integers(3))
        if door < 2:
            return getattr(self._clients[door].collection("c"), method)(*arguments, **options)
        return self._runner.run(getattr(self._async.collection("c"), method)(*arguments, **options))

    def held(self) -> Held:
        vectors = {
            name: self.rng.standard_normal(dim).astype(np.float32)
            for name, dim in DIMS.items()
            if self.rng.random() < 0.7
        }
        return Held(vectors, {"": "words"} if self.rng.random() < 0.5 else {}, {"n": int(self.rng.integers(9))})

    def steps(self) -> list[Step]:
        drawn = []
        for _ in range(int(self.rng.integers(1, 4))):
            verb = str(
                self.rng.choice(["upsert", "insert", "update", "delete", "clear"], p=[0.4, 0.2, 0.2, 0.18, 0.02])
            )
            chosen = self.rng.choice(POOL, int(self.rng.integers(1, 8)), replace=False)
            drawn.append(Step(verb, [] if verb == "clear" else [Given(str(id), self.held()) for id in chosen]))
        return drawn

    def write(self) -> None:
        steps, request_id = self.steps(), uuid.UUID(bytes=self.rng.bytes(16)).bytes
        operations = [operation(step) for step in steps]
        try:
            points, result = self.model.write(steps, None)
        except PointExists:
            with pytest.raises(PointExists):
                self.ask("write", operations, request_id=request_id)
            return
        for _ in range(int(self.rng.integers(1, 3))):  # also sent again by whoever had no answer
            assert self.ask("write", operations, request_id=request_id) == result
        self.model.points, self.model.seq = points, result.seq

    def read(self) -> None:
        points = self.model.points
        wanted = [str(id) for id in self.rng.choice(POOL, 9)]
        found = self.ask("get", wanted, with_vectors=True)
        assert [point.id for point in found] == [id for id in wanted if id in points]
        assert all(same(point, points[point.id]) for point in found)
        assert self.ask("exists", wanted).tolist() == [id in points for id in wanted]
        assert self.ask("count") == len(points)

    def search(self) -> None:
        using = str(self.rng.choice(sorted(DIMS)))
        near = Near(self.rng.standard_normal(DIMS[using]).astype(np.float32), using)
        wanted = self.model.ranked([near], None, None, 0)[:7]
        found = self.ask("search", near.vector, using=using, limit=7, exact=True)
        assert [(hit.id, hit.score, hit.distance) for hit in found] == [(w.id, w.score, w.distance) for w in wanted]
        assert found.seq == self.model.seq

    def go_on(self) -> None:
        """One step; now and then the server is killed before it, or while it is under way."""
        luck = self.rng.random()
        killer: threading.Thread | None = None
        if luck < 0.06:
            kill_server(self.path)
        elif luck < 0.12:
            killer = threading.Thread(target=psutil.Process(server_pid(self.path)).kill)
            killer.start()
        self.kills += luck < 0.12
        for _ in range(3 if killer else 1):
            (self.write, self.read, self.search)[int(self.rng.integers(3))]()
        if killer:
            killer.join()

    def end(self) -> None:
        self.read()
        self._runner.run(self._async.close())
        self._runner.close()
        for client in self._clients:
            client.close()


def run(path: Path, seed: int, steps: int) -> None:
    history = History(path, seed)
    try:
        for _ in range(steps):
            history.go_on()
    finally:
        history.end()
    wait_for(lambda: is_free(path))
    with vecdb.open(path) as db:
        assert db.check() == []
    assert history.kills > 0
    assert history.model.seq > steps / 10


def test_every_door_agrees_with_a_dict(path: Path) -> None:
    run(path, seed=3, steps=30)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_door_agrees_with_a_dict_for_long(path: Path, bounded: Callable[[int], int]) -> None:
    for seed in range(bounded(20)):
        run(path / str(seed), seed, steps=150)
