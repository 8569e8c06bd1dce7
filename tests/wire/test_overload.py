"""Far more callers than a server takes: it refuses the rest at once, and answers who asks for its health."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import vecdb

ROOT = Path(__file__).parents[2]
CALLERS = 200
PROCESSES = 4
SECONDS = 60
HEALTH_S = 1.0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_hundred_callers_beyond_the_limits(tmp_path: Path, bounded: Callable[[int], int]) -> None:
    server = start("vecdb", "serve", "--data", tmp_path, "--address", "127.0.0.1:0", "--max-calls", "4")
    try:
        assert server.stdout is not None
        address = next(word for word in server.stdout.readline().replace(",", " ").split() if ":" in word)
        with vecdb.connect(address) as db:
            docs = db.create_collection("docs", dim=8)
            docs.upsert([f"{i}" for i in range(1_000)], np.random.default_rng(1).normal(size=(1_000, 8)))
        seconds = bounded(SECONDS)
        crowds = [start("tests.wire.crowd", address, seconds, CALLERS // PROCESSES) for _ in range(PROCESSES)]
        waits = []
        try:
            with grpc.insecure_channel(address) as channel:
                stub = health_pb2_grpc.HealthStub(channel)
                until = time.monotonic() + seconds
                while time.monotonic() < until:
                    began = time.monotonic()
                    answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
                    waits.append(time.monotonic() - began)
                    assert answer.status == health_pb2.HealthCheckResponse.SERVING
                    time.sleep(0.02)
        finally:
            said = [json.loads(crowd.communicate(timeout=200)[0]) for crowd in crowds]
        ends: Counter[str] = Counter()
        for one in said:
            ends.update(one["ends"])
        print(f"{dict(ends)}; {len(waits)} times asked for its health, longest {max(waits):.3f} s")
        assert set(ends) == {"OK", "RESOURCE_EXHAUSTED"}, [one["errors"] for one in said]
        assert max(waits) < HEALTH_S
        with vecdb.connect(address) as db:
            assert db.collection("docs").count() == 1_000
            assert db.check() == []
    finally:
        server.terminate()
        assert server.wait(60) == 0
        assert server.stdout is not None
        server.stdout.close()


def start(module: str, *arguments: object) -> subprocess.Popen[str]:
    """``python -m module arguments``, its output to be read."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
