"""A million rows from parquet over gRPC and back: constant memory, killed half way, resumed, equal."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

import vecdb
from tests.project.repository import ROOT

MIB = 1 << 20
DIM = 16
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}

# What may be taken beyond what is taken after the first batches: two batches and what Python makes of them.
GROWTH_BYTES = 64 * MIB
# An export holds a row group besides, as it is, as Arrow and compressed.
EXPORT_GROWTH_BYTES = 96 * MIB


@contextlib.contextmanager
def a_server(data: Path) -> Iterator[str]:
    """The address of a server in a process of its own, gone afterwards."""
    command = [sys.executable, "-m", "vecdb", "serve", "--data", str(data), "--address", "127.0.0.1:0"]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = process.stdout.readline()
            yield next(word for word in ready.split() if word.startswith("127.0.0.1:")).rstrip(".,;")
        finally:
            process.terminate()
            process.wait(60)


def vectors(n: int) -> np.ndarray:
    return np.random.default_rng(11).normal(size=(n, DIM)).astype(np.float32)


def write(path: Path, n: int) -> None:
    """One row group, the hardest: no piece of it can be had by its number."""
    flat = pyarrow.array(vectors(n).reshape(-1))
    table = pyarrow.table(
        {
            "id": [f"{i:08}" for i in range(n)],
            "vector": pyarrow.FixedSizeListArray.from_arrays(flat, DIM),
            "text": [f"row {i} of a table, with some words to it; 第 {i} 行" for i in range(n)],
            "year": np.arange(n) % 200,
            "tags": [["a", f"t{i % 7}"] for i in range(n)],
        }
    )
    pyarrow.parquet.write_table(table, path, row_group_size=n)


def told(process: subprocess.Popen[str]) -> Iterator[tuple[int, int]]:
    """What the loader says after each batch: rows done, resident bytes."""
    assert process.stdout is not None
    for line in process.stdout:
        done, resident = map(int, line.split())
        yield done, resident


def growth(run: list[tuple[int, int]]) -> int:
    """Bytes that were taken beyond what was resident after three batches."""
    base = run[min(2, len(run) - 1)][1]
    more = max(resident for _, resident in run) - base
    print(f"{len(run)} batches, {base / MIB:.0f} MiB resident after three, at most {more / MIB:.0f} more")
    return more


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_half_way_and_resumed(tmp_path: Path, bounded: Callable[[int], int]) -> None:
    n = bounded(1_000_000)
    path = tmp_path / "rows.parquet"
    write(path, n)
    with a_server(tmp_path / "data") as address:
        with vecdb.connect(address) as db:
            db.create_collection("docs", DIM, "euclidean")
        command = [sys.executable, "-m", "tests.load.carrier", "load", address, str(path)]
        seen: list[tuple[int, int]] = []
        with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
            for done, resident in told(process):
                seen.append((done, resident))
                if done >= n // 2:
                    process.kill()
                    break
        assert seen[-1][0] >= n // 2
        again: list[tuple[int, int]] = []
        with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
            again += told(process)
            assert process.wait(60) == 0
        assert n // 2 < again[0][0] and again[-1][0] == n, "it went on where it was"
        for run in (seen, again):
            assert growth(run) < GROWTH_BYTES
        with vecdb.connect(address) as db:
            docs = db.collection("docs")
            assert docs.count() == n
            docs.set_indexing("deferred")  # what follows is about reading
        command = [sys.executable, "-m", "tests.load.carrier", "export", address, str(tmp_path / "out.parquet")]
        with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
            assert growth(list(told(process))) < EXPORT_GROWTH_BYTES
            assert process.wait(60) == 0
    given, exported = (pyarrow.parquet.read_table(file) for file in (path, tmp_path / "out.parquet"))
    assert exported["id"].equals(given["id"]) and exported["text"].equals(given["text"])
    flat = [table["vector"].combine_chunks().flatten().to_numpy().tobytes() for table in (given, exported)]
    assert flat[0] == flat[1]
    for i, payload in enumerate(exported["payload"].to_pylist()):
        assert payload == f'{{"year":{i % 200},"tags":["a","t{i % 7}"]}}'
