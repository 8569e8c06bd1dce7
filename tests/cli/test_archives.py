"""``vecdb snapshot``, ``restore`` and ``verify``, on a server and on a data directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine, run
from tests.project.repository import ROOT
from vecdb.cli import exits

PROGRAM = [sys.executable, "-m", "vecdb"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def names(vec: CommandLine) -> list[str]:
    return [info["name"] for info in vec("collections", "list", "--json").documents()]


def test_what_was_archived_is_restored_under_other_names(vec: CommandLine, tmp_path: Path) -> None:
    out = tmp_path / "nightly.vdb"
    (summary,) = vec("snapshot", "-o", out, "--json", "--quiet").documents()
    assert [(c["name"], c["points"]) for c in summary["collections"]] == [("docs", 3), ("more", 0)]
    assert (summary["nbytes"], summary["base_commit"]) == (out.stat().st_size, None)
    done = vec("restore", out, "--rename", "docs=copy", "--rename", "more=more-copy")
    assert f"restore: {summary['nbytes']:,} of {summary['nbytes']:,} bytes" in done.err
    assert [line.split()[:3] for line in done.out.splitlines() if "copy" in line] == [
        ["copy", "docs", "3"],
        ["more-copy", "more", "0"],
    ]
    assert names(vec) == ["copy", "docs", "more", "more-copy"]
    assert vec("export", "copy", "--quiet").out == vec("export", "docs", "--quiet").out


def test_some_collections_and_what_came_since(vec: CommandLine, tmp_path: Path) -> None:
    whole, more = tmp_path / "0.vdb", tmp_path / "1.vdb"
    assert "1 collections, 3 points as of commit" in vec("snapshot", "-o", whole, "--collection", "docs").out
    vec("import", "docs", "-", "--quiet", given='{"id": "d", "vector": [1, 1], "text": "four"}\n')
    told = vec("snapshot", "-o", more, "--collection", "docs", "--base", whole, "--quiet")
    assert "4 points" in told.out and "what came since commit" in told.out
    assert told.err == ""
    (report,) = vec("restore", whole, more, "--collection", "docs", "--rename", "docs=new", "--json").documents()
    assert [(c["name"], c["was"], c["points"]) for c in report["collections"]] == [("new", "docs", 4)]
    assert vec("export", "new", "--quiet").out == vec("export", "docs", "--quiet").out
    assert "FAILED_PRECONDITION" in vec("restore", more, "--rename", "docs=newer", status=exits.REFUSED).err
    found = run("verify", whole, more, "--json", "--quiet").documents()
    assert [one["base_commit"] for one in found] == [None, found[0]["commit"]]


def test_a_dry_run_tells_and_makes_nothing(vec: CommandLine, tmp_path: Path) -> None:
    out = tmp_path / "a.vdb"
    vec("snapshot", "-o", out, "--quiet")
    refused = vec("restore", out, "--dry-run", "--quiet", status=exits.REFUSED)
    assert "COLLECTION_EXISTS" in refused.err and refused.err.count("\n") == 1
    told = vec("restore", out, "--dry-run", "--collection", "docs", "--rename", "docs=new", "--quiet").out
    assert told.split()[:3] == ["would", "be", "made"]
    assert ["new", "docs", "3"] in [line.split()[:3] for line in told.splitlines()]
    assert names(vec) == ["docs", "more"]


def test_a_directory_is_made_unless_it_is_a_dry_run(vec: CommandLine, tmp_path: Path) -> None:
    out, new = tmp_path / "a.vdb", tmp_path / "new"
    vec("snapshot", "-o", out, "--quiet")
    assert "would be made" in run("restore", out, "--data", new, "--dry-run", "--quiet").out
    assert not new.exists()
    assert run("restore", out, "--data", new, "--quiet").status == 0
    assert run("count", "docs", "--data", new).out == "3\n"


@pytest.mark.parametrize("change", ["flipped", "cut", "none"])
def test_damage_has_its_own_status(vec: CommandLine, tmp_path: Path, change: str) -> None:
    out = tmp_path / "a.vdb"
    vec("snapshot", "-o", out, "--quiet")
    whole = out.read_bytes()
    half = len(whole) // 2
    flipped = whole[:half] + bytes([whole[half] ^ 4]) + whole[half + 1 :]
    out.write_bytes({"flipped": flipped, "cut": whole[:half], "none": b"{}"}[change])
    for words in (("verify", out, "--quiet"), ("verify", out, "--json", "--quiet")):
        done = run(*words)
        assert (done.status, done.out) == (exits.DAMAGE, "")
        assert done.err.startswith("Error: DATA_LOSS: ") and done.err.count("\n") == 1
    words = ("restore", out, "--rename", "docs=new", "--rename", "more=newer", "--quiet")
    assert "DATA_LOSS" in vec(*words, status=exits.DAMAGE).err
    assert names(vec) == ["docs", "more"]


def test_what_is_wrong_is_told_in_a_line(vec: CommandLine, tmp_path: Path) -> None:
    out, no = tmp_path / "a.vdb", tmp_path / "no.vdb"
    vec("snapshot", "-o", out, "--quiet")
    for words, status, reason in (
        (("restore", no), exits.REFUSED, "NOT_FOUND"),
        (("restore", out), exits.REFUSED, "COLLECTION_EXISTS"),
        (("restore", out, "--collection", "nothing"), exits.REFUSED, "COLLECTION_NOT_FOUND"),
        (("restore", out, "--rename", "docs"), exits.USAGE, "give OLD=NEW"),
        (("restore",), exits.USAGE, "FILE..."),
        (("snapshot", "-o", no, "--collection", "nothing"), exits.REFUSED, "COLLECTION_NOT_FOUND"),
        (("snapshot", "-o", out, "--base", out), exits.REFUSED, "INVALID_ARGUMENT"),
        (("snapshot", "-o", no / "a.vdb"), exits.REFUSED, "INVALID_ARGUMENT"),
    ):
        assert reason in vec(*words, status=status).err
    assert run("verify", no).status == exits.REFUSED
    assert not no.exists()


def test_verify_tells_what_is_in_an_archive(vec: CommandLine, tmp_path: Path) -> None:
    out = tmp_path / "a.vdb"
    vec("snapshot", "-o", out, "--quiet")
    told = run("verify", out).out
    assert [line.split() for line in told.splitlines() if line.startswith(("damage", "docs", "more"))] == [
        ["damage", "none"],
        ["docs", "3", "3"],
        ["more", "0", "0"],
    ]


def test_an_archive_goes_through_a_pipe(path: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    line = f'"$@" snapshot --data {path} -o - --quiet | "$@" restore - --data {new} --quiet --json'
    done = subprocess.run(["sh", "-c", line, "sh", *PROGRAM], env=ENVIRONMENT, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b'"name":"docs"' in done.stdout
    assert run("count", "docs", "--data", new).out == "3\n"


def test_a_pipe_that_breaks_off_is_no_archive(path: Path, tmp_path: Path) -> None:
    out, new = tmp_path / "a.vdb", tmp_path / "new"
    assert run("snapshot", "--data", path, "-o", out, "--quiet").status == 0
    line = f'head -c 3000 {out} | "$@" restore - --data {new} --quiet'
    done = subprocess.run(["sh", "-c", line, "sh", *PROGRAM], env=ENVIRONMENT, capture_output=True, timeout=60)
    assert done.returncode == exits.DAMAGE
    assert run("collections", "list", "--data", new, "--json").out == ""


def test_a_snapshot_under_way_is_among_the_statistics(path: Path, vec: CommandLine, tmp_path: Path) -> None:
    if vec.where[0] != "--address":
        pytest.skip("a directory is opened for one command at a time")
    import vecdb

    with vecdb.connect(vec.where[1]) as db:
        wide = db.create_collection("wide", dim=1_024)
        wide.upsert([f"{i}" for i in range(2_500)], [[1.0] * 1_024] * 2_500)
        told: list[str] = []

        def stats(done: int, of: int | None) -> None:
            if not told:
                told.append(vec("stats").out)

        db.snapshot(tmp_path / "a.vdb", progress=stats)
    assert "as of commit" in told[0] and "snapshot of" in told[0]
    assert "as of commit" not in vec("stats").out
