"""``vecdb import`` and ``vecdb export``, on a server and on a data directory."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import CommandLine, run

ROWS = [{"id": str(i), "embedding": [i, 0.1], "title": f"n {i}", "text": f"this is row {i}"} for i in range(5)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "points.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def test_what_was_exported_is_imported_equal(vec: CommandLine, tmp_path: Path) -> None:
    before = vec("export", "docs", "--quiet").out
    lines = [json.loads(line) for line in before.splitlines()]
    assert [line["id"] for line in lines] == ["a", "b", "c"]
    assert lines[1] == {"id": "b", "vector": [3.0, 4.0], "text": "二", "payload": {"n": 2}}
    vec("collections", "create", "copy", "--dim", 2, "--metric", "euclidean")
    (report,) = vec("import", "copy", "-", "--json", "--quiet", given=before).documents()
    assert (report["read"], report["written"], report["skipped"]) == (3, 3, 0)
    assert vec("export", "copy", "--quiet").out == before
    gotten = vec("get", "copy", "a", "b", "c", "--with-vectors", "--json").documents()
    assert [{name: point[name] for name in lines[0]} for point in gotten] == lines


def test_a_file_makes_its_collection(vec: CommandLine, file: Path) -> None:
    shown = vec("import", "new", file, "--create", "--dry-run").out
    assert "vector  <- embedding" in shown
    assert "COLLECTION_NOT_FOUND" in vec("count", "new", status=1).err
    (planned,) = vec("import", "new", file, "--create", "--dry-run", "--json").documents()
    assert planned["mapping"]["vectors"] == {"": "embedding"}
    done = vec("import", "new", file, "--create", "--metric", "dot", "--model", "m-1", "--payload", "name=title")
    assert "5 of 5 rows loaded into new" in done.out
    assert "5" in done.err  # progress, as plain lines
    (made,) = vec("collections", "describe", "new", "--json").documents()
    assert made["schema"]["vectors"][""] | {"m": 0, "ef_construction": 0} == {
        "dim": 2, "metric": "dot", "m": 0, "ef_construction": 0, "model": "m-1",
    }  # fmt: skip
    (point,) = vec("get", "new", "3", "--json").documents()
    assert (point["payload"], point["text"]) == ({"name": "n 3"}, "this is row 3")


def test_columns_can_be_named_and_left_out(vec: CommandLine, file: Path) -> None:
    words = ("--without", "id", "--text", "title", "--without", "payload", "--no-checkpoint", "--quiet")
    vec("import", "new", file, "--create", *words)
    (point,) = vec("get", "new", "4", "--json").documents()
    assert (point["text"], point["payload"]) == ("n 4", None)
    for words in (("--without", "id", "--id", "id"), ("--payload", "title", "--payload-object", "text")):
        assert "give one of them" in vec("import", "new", file, *words, status=2).err


def test_bad_rows_are_reported_by_number(vec: CommandLine, file: Path) -> None:
    with file.open("a") as more:
        more.write('{"id": "bad", "embedding": [1, 2, 3]}\n')
    vec("collections", "create", "new", "--dim", 2)
    refused = vec("import", "new", file, "--quiet", status=1)
    assert "DIMENSION_MISMATCH" in refused.err
    assert refused.err.count("\n") == 1
    (report,) = vec("import", "new", file, "--skip-bad", "--restart", "--quiet", "--json").documents()
    assert (report["written"], report["skipped"], report["bad"][0]["row"]) == (5, 1, 5)
    assert Path(report["rejects"]).exists()


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz", "out.npy"])
def test_an_export_to_a_file_says_what_it_wrote(vec: CommandLine, tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    (report,) = vec("export", "docs", "-o", out, "--json", "--quiet").documents()
    assert report["written"] == 3
    assert str(out) in report["paths"]
    assert "ALREADY_EXISTS" in vec("export", "docs", "-o", out, status=1).err
    assert "3 points" in vec("export", "docs", "-o", out, "--overwrite").out
    if name == "out.npy":
        assert np.array_equal(np.load(out), [[0, 0], [3, 4], [6, 8]])


def test_parts_can_be_left_out_of_an_export(vec: CommandLine) -> None:
    words = ("--without-vectors", "--without-text", "--without-payload", "--quiet")
    assert vec("export", "docs", *words).out.splitlines()[0] == '{"id":"a"}'
    told = vec("export", "docs", *words, "--json")
    assert json.loads(told.err)["written"] == 3


def test_only_an_import_that_creates_makes_a_directory(tmp_path: Path, file: Path) -> None:
    new = tmp_path / "new"
    assert run("import", "docs", file, "--data", new).status == 1
    assert not new.exists()
    assert run("import", "docs", file, "--data", new, "--create", "--dry-run").status == 0
    assert not new.exists()
    assert run("import", "docs", file, "--data", new, "--create", "--quiet").status == 0
    assert run("count", "docs", "--data", new).out == "5\n"
