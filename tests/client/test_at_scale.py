"""A server as `vecdb serve` starts it, without a setting: what is large arrives whole, a restart is lived through."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import vecdb

DIM = 2048
GIB = 1 << 30
WINDOW = 10_000


@contextmanager
def serving(data: Path, address: str = "127.0.0.1:0") -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of a server on ``data``, and its process; ended by SIGTERM unless it has ended."""
    command = [sys.executable, "-m", "vecdb", "serve", "--data", str(data), "--address", address]
    log = (data.parent / "server.log").open("a")
    with log, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            yield line.partition(" ready on ")[2].partition(",")[0], process
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_gigabyte_goes_up_and_ten_thousand_whole_hits_come_down(
    tmp_path: Path, bounded: Callable[[int], int]
) -> None:
    """Both are larger than a message may be; one call each, no setting."""
    count = max(9_000, bounded(GIB // (4 * DIM)))  # in any case more than one message holds
    vectors = np.random.default_rng(5).standard_normal((count, DIM), dtype=np.float32)
    with serving(tmp_path / "data") as (address, _), vecdb.connect(address, timeout=600) as db:
        docs = db.create_collection("docs", dim=DIM, metric="dot")
        docs.set_indexing("deferred")
        assert docs.upsert(range(count), vectors, payloads=({"i": i} for i in range(count))).count == count
        assert docs.count() == count
        found = docs.search(vectors[0], limit=WINDOW, with_vectors=True)
        assert len(found) == min(WINDOW, count)
        assert (
            found.points.vectors is not None and found.points.vectors[""].data.nbytes > db.info().limits.message_bytes
        )
        numbers = np.array(found.ids, dtype=np.int64)
        assert np.array_equal(found.points.vectors[""].data, vectors[numbers])
        assert [hit.payload for hit in found] == [{"i": i} for i in numbers.tolist()]
        order = np.argsort(-(vectors.astype(np.float64) @ vectors[0].astype(np.float64)), kind="stable")
        assert len(np.intersect1d(order[: len(found)], numbers)) >= 0.9999 * len(found), "rounding at the cut alone"


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_restarted_server_costs_what_was_in_flight(tmp_path: Path, how: signal.Signals) -> None:
    """Callers go on with the same client; each may lose the one call that it waited for, no acknowledged write is."""
    callers, before = 4, 50
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    acknowledged: list[list[str]] = [[] for _ in range(callers)]
    errors: list[list[vecdb.VecdbError]] = [[] for _ in range(callers)]
    warm = threading.Semaphore(0)
    restarted = threading.Event()

    def work(caller: int, docs: vecdb.Collection) -> None:
        after = 0
        while after < before:
            point_id = str(uuid.uuid4())
            try:
                docs.upsert([point_id], [[caller, 1.0]])
                acknowledged[caller].append(point_id)
                if len(acknowledged[caller]) == before:
                    warm.release()
                assert len(docs.search([1.0, 1.0], limit=3)) == 3 or len(acknowledged[caller]) < 3
                after += restarted.is_set()
            except vecdb.VecdbError as error:
                errors[caller].append(error)

    with vecdb.connect(address, timeout=20) as db:
        docs = db.collection("docs")
        threads = [threading.Thread(target=work, args=(caller, docs), daemon=True) for caller in range(callers)]
        with serving(tmp_path / "data", address) as (_, process):
            db.create_collection("docs", dim=2)
            for thread in threads:
                thread.start()
            for _ in threads:
                assert warm.acquire(timeout=60)
            process.send_signal(how)
            process.wait(timeout=60)
        with serving(tmp_path / "data", address):
            restarted.set()
            for thread in threads:
                thread.join(timeout=60)
                assert not thread.is_alive()
            everything = [point_id for some in acknowledged for point_id in some]
            assert docs.exists(everything).all()
            assert db.check() == []
    assert max(len(some) for some in errors) <= 1, errors
    assert all(isinstance(error, vecdb.Unavailable) for some in errors for error in some), errors
