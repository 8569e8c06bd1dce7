"""``vecdb inspect`` tells what is in a directory, and leaves it as it is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from tests.cli.conftest import run
from tests.project.repository import ROOT
from vecdb.cli import exits
from vecdb.engine import inspection
from vecdb.engine.inspection import Inspection
from vecdb.errors import DataLoss


def inspected(path: Path, status: int = 0) -> dict[str, Any]:
    done = run("inspect", "--data", path, "--json")
    assert done.status == status, done
    found: dict[str, Any] = json.loads(done.out)
    return found


def tree(path: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every file and folder: when it was changed, and what is in it."""
    return {
        str(entry): (entry.stat().st_mtime_ns, entry.stat().st_ctime_ns, entry.read_bytes() if entry.is_file() else b"")
        for entry in [path, *path.rglob("*")]
    }


@pytest.fixture
def sealed(path: Path) -> Path:
    """The directory with a segment of 50 rows, five of them dead, and with a row in none."""
    with vecdb.open(path, idle_seal_s=0.0, graph_rows=10) as db:
        db.drop_collection("more")
        docs = db.create_collection("sealed", dim=4)
        docs.upsert(range(50), np.random.default_rng(1).standard_normal((50, 4)), texts=["some words"] * 50)
        docs.compact()
        assert [segment.state for segment in docs.stats().segments] == ["sealed"]
        docs.delete(range(5))
    with vecdb.open(path, idle_seal_s=1000.0) as db:
        db.collection("sealed").upsert(["late"], [[1, 0, 0, 0]])
    return path


def test_it_tells_what_is_there_and_changes_nothing(sealed: Path) -> None:
    before = tree(sealed)
    found = inspected(sealed)
    assert (found["format"], found["holder"]) == (1, None)
    docs, collection = found["collections"]
    assert (docs["name"], docs["points"], docs["segments"]) == ("docs", 3, [])
    assert (collection["name"], collection["points"], collection["next_row"]) == ("sealed", 46, 51)
    (segment,) = collection["segments"]
    assert (segment["rows"], segment["problems"]) == (50, [])
    assert segment["disk_bytes"] > segment["texts"][""]["bytes"] > 0
    assert segment["texts"][""]["analyzer"] == "multilingual"
    assert collection["unsealed_rows"] == 1
    shown = run("inspect", "--data", sealed).out
    assert "no process" in shown
    assert "sealed" in shown
    assert tree(sealed) == before


def test_it_looks_while_the_directory_is_open_and_sees_what_was_committed(path: Path) -> None:
    with vecdb.open(path) as db:
        db.collection("docs").upsert(["d"], [[1, 1]])
        found = inspected(path)
        assert found["holder"] == str(os.getpid())
        assert found["collections"][0]["points"] == 4
        db.collection("docs").upsert(["e"], [[1, 1]])  # and its holder goes on
    assert inspected(path)["holder"] is None


def test_files_that_are_replaced_while_it_looks_are_no_damage(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = iter([DataLoss("no such file"), FileNotFoundError("no such file")])
    look = inspection._look

    def interrupted(root: Path) -> Inspection:
        for failure in failures:
            raise failure
        return look(root)

    monkeypatch.setattr(inspection, "_look", interrupted)
    with vecdb.open(path):
        assert inspected(path)["collections"][0]["points"] == 3
    failures = iter([DataLoss("no such file")])
    assert run("inspect", "--data", path).status == exits.DAMAGE  # nobody is there who could have replaced them


def test_a_holder_that_was_killed_holds_nothing(path: Path) -> None:
    program = f"import vecdb, signal; db = vecdb.open({str(path)!r}); print('open', flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert inspected(path)["holder"] == str(process.pid)
        process.send_signal(signal.SIGKILL)
    assert (path / "LOCK.pid").read_text().strip() == str(process.pid)
    assert inspected(path)["holder"] is None


def test_a_file_that_is_missing_is_damage(sealed: Path) -> None:
    file = next(sealed.glob("segments/*/*/bodies"))
    size = file.stat().st_size
    file.unlink()
    found = inspected(sealed, status=exits.DAMAGE)
    assert found["collections"][1]["segments"][0]["problems"] == [f"bodies is missing, {size} bytes were written"]
    assert "wrong: collection 'sealed', segment" in run("inspect", "--data", sealed).out
    file.write_bytes(b"short")
    assert (
        "bodies has 5 bytes" in inspected(sealed, status=exits.DAMAGE)["collections"][1]["segments"][0]["problems"][0]
    )


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    assert run("inspect", "--data", tmp_path / "nothing").status == exits.REFUSED
    (tmp_path / "vecdb.json").write_text('{"format": 99, "database": "x"}')
    done = run("inspect", "--data", tmp_path)
    assert (done.status, done.err.split(":")[1].strip()) == (exits.REFUSED, "FORMAT_TOO_NEW")
    (tmp_path / "vecdb.json").write_text('{"format": 1, "database": "x"}')
    done = run("inspect", "--data", tmp_path)
    assert done.status == exits.REFUSED
    assert "rocksdb" in done.err
