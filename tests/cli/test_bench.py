"""``vecdb bench``: figures from samples, and a whole run against a server process."""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import vecdb
from tests.cli.conftest import run
from tests.project.repository import ROOT
from vecdb.cli import exits
from vecdb.cli.bench import callers
from vecdb.cli.bench.callers import Load, Samples
from vecdb.cli.bench.command import _write
from vecdb.cli.bench.figures import figures, recall, void
from vecdb.cli.bench.run import run as measure
from vecdb.index import hnsw

LOAD = Load("127.0.0.1:1", None, timeout=1.0, collection="docs", seconds=1.0, batch=1, how={"limit": 1})


def samples(*calls: tuple[float, float, str]) -> Samples:
    began, took, errors = zip(*calls, strict=True)
    return Samples(np.array(began), np.array(took), errors)


def test_figures_count_what_was_answered_in_time() -> None:
    one = samples((0.0, 0.1, ""), (0.1, 0.3, ""), (0.4, 0.2, "RESOURCE_EXHAUSTED"), (0.9, 0.1, ""))
    other = samples((0.0, 0.5, ""), (0.5, 0.7, ""), (0.9, 0.0, "UNAVAILABLE"))
    found = figures([one, other], seconds=1.0, batch=10)
    assert found.searches_per_s == 40.0  # not the refused, nor the one that was answered too late
    assert found.calls == 5
    assert (found.p50_ms, found.max_ms) == (pytest.approx(300), pytest.approx(700))
    assert found.errors == {"RESOURCE_EXHAUSTED": 1, "UNAVAILABLE": 1}


def test_figures_of_refusals_alone() -> None:
    found = figures([samples((0.0, 0.1, "RESOURCE_EXHAUSTED"))], seconds=1.0, batch=1)
    assert (found.searches_per_s, found.calls, found.p99_ms) == (0.0, 0, None)


def test_recall_takes_any_of_equal_hits(path: Path) -> None:
    with vecdb.open(path) as db:
        docs = db.collection("docs")
        docs.upsert(["d", "e"], [[0, 1], [1, 0]])  # equally far from a
        true = docs.search([0, 0], limit=2, exact=True)
        other = docs.search([0, 0], limit=3, exact=True)
        assert true.ids == ["a", "d"]
        equal = replace(other, points=other.points, scores=other.scores[[0, 2]])
        worse = replace(true, scores=true.scores * np.float32(0.9))
    assert recall([true], [true]) == 1.0
    assert recall([equal], [true]) == 1.0
    assert recall([worse, true], [true, true]) == pytest.approx(0.75)


def test_a_run_without_graphs_is_void(path: Path) -> None:
    with vecdb.open(path) as db:
        stats = db.collection("docs").stats()
    whole = replace(stats, vectors=100, indexed=95)
    assert void(whole, whole) is None
    assert "94.0% of the vectors" in str(void(replace(whole, indexed=94), whole))
    assert void(whole, replace(whole, indexed=94)) is not None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    data = tmp_path_factory.mktemp("bench") / "data"
    command = [sys.executable, "-m", "vecdb", "serve", "--data", str(data), "--address", "127.0.0.1:0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"127\.0\.0\.1:\d+", process.stdout.readline())
        assert found
        with vecdb.connect(found[0]) as db:
            docs = db.create_collection("docs", dim=8)
            docs.upsert(range(500), np.random.default_rng(1).standard_normal((500, 8)))
        yield found[0]
        process.terminate()


def bench(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vecdb", "bench", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("batch", [1, 7])
def test_a_run_is_what_its_samples_say(server: str, tmp_path: Path, batch: int) -> None:
    file = tmp_path / "samples.csv"
    how = ("--callers", 2, "--seconds", 0.5, "--batch", batch, "--limit", 5, "--samples", file)
    done = bench("--address", server, "--collection", "docs", *how, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    lines = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    assert {line["caller"] for line in lines} == {"0", "1"}
    assert all(line["error"] == "" and 0 <= float(line["began_s"]) < 0.5 for line in lines)
    answered = sum(float(line["began_s"]) + float(line["took_s"]) <= 0.5 for line in lines)
    assert result["figures"]["searches_per_s"] == pytest.approx(batch * answered / 0.5, rel=0.02)
    assert result["figures"]["calls"] == len(lines) > 0
    assert (result["recall"], result["recall_queries"]) == (1.0, 100)
    assert "0.0% of the vectors" in result["void"]  # so few are never in a graph
    assert result["stats_after"]["live"] == result["points"] == 500


def test_a_collection_of_its_own_is_gone_afterwards(server: str) -> None:
    done = bench("--address", server, "--points", 5000, "--dim", 16, "--callers", 1, "--seconds", 0.1)
    assert done.returncode == 0, done.stderr
    lines = dict(line.split("  ", 1) for line in done.stdout.splitlines())
    assert "5,000 points" in lines["collection"]
    assert float(lines["recall"].split()[0]) > 0.9
    assert ("VOID" in lines) == (not hnsw.available())
    with vecdb.connect(server) as db:
        assert [info.name for info in db.list_collections()] == ["docs"]


def test_samples_are_kept_before_anything_else_can_fail(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    class Dying:
        """A collection whose server dies while it is searched."""

        answers = 0

        def stats(self) -> vecdb.CollectionStats:
            self.answers += 1
            if self.answers > 1:
                raise vecdb.Unavailable("gone")
            with vecdb.open(path) as db:
                return db.collection("docs").stats()

    taken = [samples((0.0, 0.1, ""), (0.1, 0.2, "UNAVAILABLE"))]
    monkeypatch.setattr(callers, "run", lambda load, queries, count: taken)
    file = io.StringIO()
    with pytest.raises(vecdb.Unavailable):
        measure(Dying(), LOAD, np.zeros((1, 2)), 1, partial(_write, file))  # type: ignore[arg-type]
    assert file.getvalue().splitlines() == [
        "caller,began_s,took_s,error",
        "0,0.000000,0.100000,",
        "0,0.100000,0.200000,UNAVAILABLE",
    ]


def test_callers_end_when_nobody_answers() -> None:
    with pytest.raises(vecdb.VecdbError, match=r"no answer from 127\.0\.0\.1:1"):
        callers.run(LOAD, np.zeros((1, 2), dtype=np.float32), 2)
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--collection", "nothing"), exits.REFUSED, "COLLECTION_NOT_FOUND"),
        (("--collection", "docs", "--using", "image"), exits.REFUSED, "FAILED_PRECONDITION"),
        (("--callers", 0), exits.USAGE, "--callers"),
        (("--seconds", 0), exits.USAGE, "--seconds"),
    ],
)
def test_what_cannot_be_searched_is_told(server: str, words: tuple[object, ...], status: int, said: str) -> None:
    done = run("bench", "--address", server, *words)
    assert done.status == status
    assert said in done.err


def test_a_caller_that_cannot_begin_says_why(server: str, tmp_path: Path) -> None:
    file = tmp_path / "q.npy"
    np.save(file, np.zeros(3))
    done = bench("--address", server, "--collection", "docs", "--queries", file, "--callers", 2)
    assert done.returncode == exits.REFUSED
    assert done.stderr.startswith("Error: DIMENSION_MISMATCH: ")
    assert "Traceback" not in done.stderr
