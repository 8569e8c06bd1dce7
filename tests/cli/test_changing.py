"""Commands that change something, on a server and on a data directory."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import CommandLine, run


def test_a_collection_comes_and_goes(vec: CommandLine) -> None:
    how = ("--dim", 4, "--metric", "dot", "--model", "m-2", "--vector", "image:3", "--vector", "sound:2:euclidean")
    (made,) = vec("collections", "create", "new", *how, "--json").documents()
    fields = made["schema"]["vectors"]
    assert {name: (f["dim"], f["metric"], f["model"]) for name, f in fields.items()} == {
        "": (4, "dot", "m-2"),
        "image": (3, "cosine", None),
        "sound": (2, "euclidean", None),
    }
    assert "COLLECTION_EXISTS" in vec("collections", "create", "new", "--dim", 4, status=1).err
    assert "created new" in vec("collections", "create", "new", *how, "--exist-ok").out
    assert vec("collections", "drop", "new", "--yes").out == "dropped new\n"
    assert "COLLECTION_NOT_FOUND" in vec("count", "new", status=1).err


def test_nothing_is_dropped_without_being_asked_for(vec: CommandLine) -> None:
    assert "docs has 3 points" in vec("collections", "drop", "docs", given="y\n", status=2).err
    assert vec("count", "docs").out == "3\n"


def test_a_field_that_cannot_be_is_refused(vec: CommandLine) -> None:
    for text in ("image", "image:", ":3", "image:three"):
        assert "NAME:DIM" in vec("collections", "create", "new", "--vector", text, status=2).err
    assert "unknown metric" in vec("collections", "create", "new", "--dim", 2, "--metric", "taxi", status=1).err


def test_fields_come_and_go(vec: CommandLine) -> None:
    (info,) = vec("collections", "add-vector", "docs", "image", "--dim", 3, "--metric", "dot", "--json").documents()
    assert info["schema"]["vectors"]["image"]["dim"] == 3
    assert "3 dot, m 16" in vec("collections", "describe", "docs").out
    assert "ALREADY_EXISTS" in vec("collections", "add-vector", "docs", "image", "--dim", 3, status=1).err
    assert "vector picture" in vec("collections", "rename-vector", "docs", "image", "picture").out
    (info,) = vec(
        "collections", "set", "docs", "--default-vector", "picture", "--ttl", 90, "--payload-columns", "off", "--json"
    ).documents()
    found = info["schema"]
    assert (found["default_vector"], found["ttl_ms"], found["payload_columns"]) == ("picture", 90_000, False)
    described = vec("collections", "describe", "docs").out.splitlines()
    assert {" ".join(line.split()) for line in described} >= {
        "default vector picture",
        "time to live 90 s",
        "payload columns off",
    }
    assert "time to live" not in vec("collections", "set", "docs", "--ttl", "none").out
    assert "FAILED_PRECONDITION" in vec("collections", "drop-vector", "docs", "picture", "--yes", status=1).err
    assert "--yes" in vec("collections", "drop-vector", "docs", "", status=2).err
    assert "default" not in vec("collections", "set", "docs", "--default-vector", "").out
    assert "picture" not in vec("collections", "drop-vector", "docs", "picture", "--yes").out
    assert vec("count", "docs").out == "3\n"


def test_nothing_to_set(vec: CommandLine) -> None:
    assert "nothing to set" in vec("collections", "set", "docs", status=2).err
    assert "seconds" in vec("collections", "set", "docs", "--ttl", "soon", status=2).err
    assert "INVALID_ARGUMENT" in vec("collections", "set", "docs", "--ttl", "-5", status=1).err


def test_names(vec: CommandLine) -> None:
    vec("collections", "alias", "current", "docs")
    vec("collections", "rename", "docs", "docs_v1")
    assert vec("count", "current").out == "3\n"
    assert vec("collections", "describe", "docs_v1", "--json").documents()[0]["aliases"] == ["current"]
    assert vec("collections", "list").out.splitlines()[1].split()[:2] == ["docs_v1", "current"]
    vec("collections", "alias", "current", "more")
    assert vec("count", "current").out == "0\n"
    vec("collections", "unalias", "current")
    assert "COLLECTION_NOT_FOUND" in vec("count", "current", status=1).err
    assert "NOT_FOUND: no such alias" in vec("collections", "unalias", "current", status=1).err


def test_indexing(vec: CommandLine) -> None:
    vec("collections", "indexing", "docs", "deferred")
    assert vec("collections", "describe", "docs", "--json").documents()[0]["indexing"] == "deferred"
    assert vec("collections", "indexing", "docs", "auto", "--wait").out == "indexing of docs is auto\n"
    assert vec("collections", "describe", "docs", "--json").documents()[0]["indexing"] == "auto"
    vec("collections", "indexing", "docs", "later", status=2)


def test_compact(vec: CommandLine) -> None:
    assert vec("compact", "docs").out.startswith("freed ")
    assert isinstance(vec("compact", "docs", "--json").documents()[0]["freed_bytes"], int)


def test_only_what_makes_a_collection_makes_a_directory(tmp_path: Path) -> None:
    new = tmp_path / "new"
    missing = run("count", "docs", "--data", new)
    assert missing.status == 1
    assert missing.err.startswith(f"Error: DATA_DIR_UNUSABLE: there is no database in {new}")
    assert not new.exists()
    assert run("collections", "create", "docs", "--dim", 2, "--data", new).status == 0
    assert run("count", "docs", "--data", new).out == "0\n"


def test_sparse_fields(vec: CommandLine) -> None:
    (made,) = vec(
        "collections", "create", "new", "--sparse-field", "splade", "--sparse-field", "", "--json"
    ).documents()
    assert made["schema"]["sparse"] == {"splade": {"model": None}, "": {"model": None}}
    assert "sparse splade  dot product\n" in vec("collections", "describe", "new").out


def test_text_fields(vec: CommandLine) -> None:
    how = ("--dim", 2, "--analyzer", "english", "--text-field", "title:chinese", "--text-field", "raw")
    (made,) = vec("collections", "create", "new", *how, "--json").documents()
    assert {name: field["analyzer"] for name, field in made["schema"]["texts"].items()} == {
        "": "english",
        "title": "chinese",
        "raw": "multilingual",
    }
    options = ("--options", '{"fold_accents": false}')
    (info,) = vec(
        "collections", "set-text", "new", "title", "--analyzer", "german", *options, "--k1", 1.5, "--json"
    ).documents()
    assert info["schema"]["texts"]["title"] == {
        "analyzer": "german",
        "options": {"fold_accents": False},
        "k1": 1.5,
        "b": 0.75,
        "keywords": True,
    }
    shown = vec("collections", "set-text", "new", "title", "--b", 0).out
    assert 'text title  analyzer german, options {"fold_accents":false}, k1 1.5, b 0\n' in shown
    assert "analyzer exact\n" in vec("collections", "set-text", "new", "--analyzer", "exact").out
    assert "analyzer multilingual, no keywords" in vec("collections", "set-text", "new", "raw", "--keywords", "off").out


def test_a_text_field_that_cannot_be_is_refused(vec: CommandLine) -> None:
    assert "NAME:ANALYZER" in vec("collections", "create", "new", "--text-field", ":english", status=2).err
    assert "there is nothing to set" in vec("collections", "set-text", "docs", status=2).err
    assert "an object is expected" in vec("collections", "set-text", "docs", "--options", "[]", status=2).err
    assert "not JSON" in vec("collections", "set-text", "docs", "--options", "{", status=2).err
    refused = vec("collections", "set-text", "docs", "nothing", "--k1", 1, status=1).err
    assert "FIELD_NOT_FOUND: unknown text field" in refused
    assert "k1" in vec("collections", "set-text", "docs", "--k1", -1, status=1).err
