"""``vecdb check --repair``: every intact point, none that is older than it was, and a report of the rest."""

from __future__ import annotations

import errno
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import vecdb
from tests.cli.conftest import run
from tests.damage.cases import Case, damage
from tests.damage.contents import point
from tests.damage.directory import OPTIONS, folder, make_both
from vecdb.cli import exits
from vecdb.engine import repair as repairing
from vecdb.engine.database import Database
from vecdb.engine.options import EngineOptions
from vecdb.engine.repair import STALE, repair
from vecdb.model.context import CallContext
from vecdb.storage import codec, keys
from vecdb.storage.blobs import Blobs, crc32c
from vecdb.storage.rocksdb import RocksKV
from vecdb.storage.rocksdb import salvage as salvage_store


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with folder() as made:
        make_both(made)
        yield made


@pytest.fixture
def path(place: Path) -> Iterator[Path]:
    """A copy of the directory that was closed."""
    yield shutil.copytree(place / "closed", place / "copy")
    for name in ("copy", "new"):
        shutil.rmtree(place / name, ignore_errors=True)


def points(path: Path) -> dict[str, dict[str, Any]]:
    """By collection and id; without versions, which are those of new writes."""
    with vecdb.open(path, **OPTIONS) as db:
        assert db.check() == []
        return {info.name: _points(db.collection(info.name)) for info in db.list_collections()}


def _points(c: vecdb.Collection) -> dict[str, Any]:
    return {p.id: [p.id, *point(p)[2:]] for p in c.scroll(with_vectors=True, batch=1000)}


@pytest.fixture(scope="module")
def wanted(place: Path) -> dict[str, dict[str, Any]]:
    copy = shutil.copytree(place / "closed", place / "whole")
    return points(copy)


def files(path: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}


def salvage(path: Path, wanted: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Repair, and compare: what has its own name is right, and everything else is in the report."""
    before, new = files(path), path.with_name("new")
    done = run("check", "--data", path, "--repair", new, "--json")
    assert files(path) == before
    report: dict[str, Any] = json.loads(done.out)
    found = points(new)
    whole = report["certain"] and report["complete"]
    assert not report["complete"] or wanted.keys() == {said["name"] for said in report["collections"]}
    for said in report["collections"]:
        name = said["name"]
        kept = found.get(name, {})
        apart = found.get(f"{name}{STALE}", {})
        assert (len(kept), len(apart)) == (said["points"], said["stale"])
        if said["inferred"]:
            whole = False
            continue
        assert kept.items() <= wanted[name].items()
        missing = wanted[name].keys() - kept.keys() - apart.keys() - set(said["lost"])
        assert not missing or said["problems"] or not report["certain"]
        whole &= not (missing or said["lost"] or apart or said["problems"])
    assert done.status == (exits.OK if whole else exits.DAMAGE), report
    assert whole or report["problems"] or any(said["problems"] for said in report["collections"])
    return report


def newest(path: Path, pattern: str, at: int = -1) -> str:
    return str(sorted(path.glob(pattern))[at].relative_to(path))


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("how", ["remove", "truncate", "flip"])
def test_a_table(path: Path, wanted: dict[str, dict[str, Any]], how: str, at: int) -> None:
    damage(path, Case("", newest(path, "rocksdb/*.sst", at), "", how))
    salvage(path, wanted)


def test_what_other_tables_hold_where_one_is_missing_is_kept_apart(tmp_path: Path) -> None:
    """The newest versions, and the catalog entry, may have been in the one: nothing is certain, and nothing silent."""
    for start in (0, 3, 6):  # each time it is opened, what was written before is in a table of its own
        with vecdb.open(tmp_path / "data") as db:
            docs = db.create_collection("docs", dim=2, exist_ok=True)
            docs.upsert([f"{i}" for i in range(start, start + 5)], [[1.0, i] for i in range(start, start + 5)])
    tables = sorted((tmp_path / "data/rocksdb").glob("*.sst"))
    assert len(tables) > 1
    tables[0].unlink()
    report = repair(tmp_path / "data", tmp_path / "new")
    assert not report.whole
    assert not report.complete
    with vecdb.open(tmp_path / "new") as db:
        apart = [p.id for info in db.list_collections() for p in db.collection(info.name).scroll()]
        assert [info.name.endswith(STALE) for info in db.list_collections()] == [True]
    assert {"6", "7", "8", "9"} <= set(apart) <= {f"{i}" for i in range(11)}


def test_tables_that_cannot_be_copied_take_nothing_from_what_was_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(_: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(repairing, "salvage_tables", no_room)
    damage(path, Case("", newest(path, "rocksdb/*.sst", 0), "", "remove"))
    report = repair(path, path.with_name("new"))
    assert not report.complete
    assert any("No space left" in problem for problem in report.problems)


def test_an_alias_is_where_the_newest_store_has_it(tmp_path: Path) -> None:
    """Tables that are older may tell of it too."""
    with vecdb.open(tmp_path / "data") as db:
        for name in ("a", "b"):
            db.create_collection(name, dim=2)
        db.alias("x", "a")
        db.alias("y", "a")
    shutil.copytree(tmp_path / "data", tmp_path / "older")
    with vecdb.open(tmp_path / "data") as db:
        db.alias("x", "b")
        db.drop_alias("y")
    new = Database.open(tmp_path / "new", EngineOptions())
    with (
        closing(new),
        salvage_store(tmp_path / "data/rocksdb") as last,
        salvage_store(tmp_path / "older/rocksdb") as older,
    ):
        salvaging = repairing._Salvage(new, time.time)
        salvaging.take(last)
        salvaging.take(older, "older")
        assert {info.name: info.aliases for info in new.list_collections(CallContext())} == {"a": (), "b": ("x",)}


@pytest.mark.parametrize("how", ["remove", "flip"])
def test_a_blob_file(path: Path, wanted: dict[str, dict[str, Any]], how: str) -> None:
    damage(path, Case("", newest(path, "rocksdb/*.blob", 0), "", how))
    docs, other = salvage(path, wanted)["collections"]
    assert docs["inferred"] == (how == "remove")  # its catalog entry was in there
    assert 0 < docs["lost_points"] == len(docs["lost"])
    assert (other["points"], other["lost_points"]) == (7, 0)


@pytest.mark.parametrize("file", ["vecdb.json", "rocksdb/CURRENT"])
@pytest.mark.parametrize("how", ["remove", "empty", "truncate"])
def test_what_says_where_the_rest_is(path: Path, wanted: dict[str, dict[str, Any]], file: str, how: str) -> None:
    damage(path, Case("", file, "", how))
    report = salvage(path, wanted)
    assert report["certain"]
    assert points(path.with_name("new")) == wanted
    with vecdb.open(path.with_name("new")) as db:
        docs = db.collection("papers")
        assert docs.describe().schema == db.collection("docs").describe().schema
        assert {p.id for p in docs.scroll() if p.id == "ttl"} == {"ttl"}


def test_a_log_that_was_cut_is_no_newest_version(place: Path, wanted: dict[str, dict[str, Any]]) -> None:
    path = shutil.copytree(place / "killed", place / "copy")
    try:
        damage(path, Case("", newest(path, "rocksdb/*.log"), "", "truncate"))
        report = salvage(path, wanted)
        assert not report["certain"]
        assert [(c["points"], c["stale"] > 0) for c in report["collections"]] == [(0, True), (0, True)]
    finally:
        for name in ("copy", "new"):
            shutil.rmtree(place / name, ignore_errors=True)


def test_a_list_of_files_that_is_gone(path: Path, wanted: dict[str, dict[str, Any]]) -> None:
    damage(path, Case("", newest(path, "rocksdb/MANIFEST-*"), "", "remove"))
    report = salvage(path, wanted)
    assert not report["certain"]
    assert [(c["name"], c["points"], c["lost"]) for c in report["collections"]] == [("docs", 0, []), ("other", 0, [])]
    assert points(path.with_name("new")) == {f"{name}{STALE}": held for name, held in wanted.items()}


def test_points_without_what_they_point_to_are_lost(path: Path, wanted: dict[str, dict[str, Any]]) -> None:
    kv = RocksKV(path / "rocksdb")
    batch = kv.batch()
    bodies = {codec.decode_body(v).id: keys.body_row(k) for k, v in kv.scan(keys.body(2, 0), keys.body(2, 1 << 40))}
    batch.delete(keys.body(2, bodies["b1"]))
    batch.delete(keys.vector(2, bodies["b2"], 0))
    kv.write(batch)
    kv.close()
    _, other = salvage(path, wanted)["collections"]
    assert (other["points"], sorted(other["lost"])) == (5, ["b1", "b2"])


def test_a_scan_goes_on_behind_damage(tmp_path: Path) -> None:
    """Blocks of a table in the middle are damaged; the pointers before and behind them are read."""
    with vecdb.open(tmp_path / "data") as db:
        docs = db.create_collection("docs", dim=2)
        docs.upsert([f"{i:05d}" for i in range(3_000)], [[1.0, i] for i in range(3_000)])
    table = max((tmp_path / "data/rocksdb").glob("*.sst"), key=lambda file: file.stat().st_size)
    raw = bytearray(table.read_bytes())
    for at in (0.5, 0.65):
        raw[int(at * len(raw))] ^= 1
    table.write_bytes(raw)
    report = repair(tmp_path / "data", tmp_path / "new")
    (docs_said,) = report.collections
    assert 2_000 < docs_said.points < 3_000
    assert docs_said.points + docs_said.stale + docs_said.lost_points == 3_000
    with vecdb.open(tmp_path / "new") as db:
        kept = [p.id for p in db.collection("docs").scroll()]
        assert db.collection("docs").get(["02999"])[0].id == "02999"
    assert len(kept) == docs_said.points


def test_values_of_blob_files_are_checked(path: Path) -> None:
    assert crc32c(b"123456789") == 0xE3069283
    file = path / newest(path, "rocksdb/*.blob", 0)
    whole = Blobs(path / "rocksdb")
    key = whole.next_key(b"v")
    assert key is not None
    value = whole.read(key)
    raw = bytearray(file.read_bytes())
    raw[raw.index(value)] ^= 1
    file.write_bytes(raw)
    with pytest.raises(vecdb.DataLoss, match=file.name):
        Blobs(path / "rocksdb").read(key)


def test_what_is_whole_is_copied(path: Path, wanted: dict[str, dict[str, Any]]) -> None:
    report = repair(path, path.with_name("new"))
    assert report.whole
    assert points(path.with_name("new")) == wanted


def test_what_is_refused(path: Path) -> None:
    assert run("check", "--repair", path.with_name("new")).status == exits.USAGE
    assert run("check", "--data", path, "--repair", path).status == exits.REFUSED
    with vecdb.open(path):
        done = run("check", "--data", path, "--repair", path.with_name("new"))
    assert (done.status, "in use by process" in done.err) == (exits.REFUSED, True)
    assert not path.with_name("new").exists()
