"""What older releases wrote is read, written to and kept; what newer ones wrote is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import vecdb
from tests.cli.conftest import run
from tests.engine.conftest import make
from tests.engine.handle import gaussian, names
from tests.format import frozen, write
from tests.format.frozen import Frozen
from tests.project.repository import ROOT
from vecdb.cli import exits
from vecdb.engine import catalog, manifest
from vecdb.engine.database import Database
from vecdb.engine.options import EngineOptions
from vecdb.errors import FormatTooNew
from vecdb.model.context import CallContext
from vecdb.model.point import Select
from vecdb.storage import codec, keys
from vecdb.storage.memory import MemoryKV


@pytest.fixture(params=frozen.names())
def one(request: pytest.FixtureRequest) -> Frozen:
    return frozen.load(request.param)


def told(db: vecdb.Client, of: Frozen) -> dict[str, Any]:
    """The answers to what could be asked when the directory was written."""
    found = json.loads(json.dumps(write.answers(db)))
    return {name: {question: found[name][question] for question in asked} for name, asked in of.answers.items()}


def test_it_is_read_written_and_kept(one: Frozen, tmp_path: Path) -> None:
    path = one.unpack(tmp_path)
    with vecdb.open(path, **write.QUIET) as db:
        assert told(db, one) == one.answers
        assert db.check() == []
        docs = db.collection("docs")
        docs.upsert(["new"], {"": write.gaussian(1, write.DIM, 9)}, texts=["a new word"], payloads=[{"n": 1}])
        docs.update(["001"], payloads=[{"again": True}])
        assert "new" in [hit.id for hit in docs.search(text="new", limit=100)]
        assert len(docs.search(text=write.WORD, limit=100)) == len(
            [p for p in docs.scroll() if write.WORD in p.texts.get("", "")]
        )
        docs.delete(["new"])
        docs.compact()
        db.collection("small").compact()
        assert db.check() == []
    with vecdb.open(path, **write.OPTIONS) as db:
        docs = db.collection("docs")
        found = {p[0]: p[2:] for p in told(db, one)["docs"]["points"]}
        wanted = {p[0]: p[2:] for p in one.answers["docs"]["points"]}
        assert found.pop("001")[0]["again"] is True
        wanted.pop("001")
        assert found == wanted
        assert told(db, one)["small"] == one.answers["small"]
        assert db.check() == []


def test_its_files_are_built_again(one: Frozen, tmp_path: Path) -> None:
    path = one.unpack(tmp_path)
    for name in ("bodies", "0.hnsw"):
        file = next(path.glob(f"segments/*/*/{name}"), None)
        if file is not None:
            raw = bytearray(file.read_bytes())
            raw[len(raw) // 2] ^= 1
            file.write_bytes(raw)
    with vecdb.open(path, **write.OPTIONS) as db:
        assert told(db, one) == one.answers
        db.collection("docs").wait_indexed(timeout=60)
        assert told(db, one) == one.answers
        assert db.check() == []


def test_what_is_written_today_is_frozen() -> None:
    assert any(frozen.load(name).versions == frozen.versions() for name in frozen.names()), (
        "a format changed: python -m tests.format NAME, and docs/upgrading.md"
    )


def test_the_page_names_every_format() -> None:
    page = (ROOT / "docs/upgrading.md").read_text(encoding="utf-8")
    assert [name for name in frozen.names() if f"| `{name}` |" not in page] == []


# -- newer ones

OPTIONS = EngineOptions(background=False)


@pytest.fixture
def stored(tmp_path: Path) -> dict[bytes, bytes]:
    """Everything in the store of a collection with a bit of all."""
    kv = MemoryKV()
    db = Database(kv, tmp_path / "segments", OPTIONS)
    c = make(db)
    c.upsert(names(20), gaussian(20))
    c.seal()
    c.upsert(names(2), gaussian(2))
    c.cover()
    c.delete("00005")
    db.set_alias(CallContext(), "other", "c")
    db.close()
    return dict(kv.durable_copy().scan(b"", b"\xff" * 20))


NEWER = {
    b"c": ("a catalog entry", catalog.VERSION),
    b"g": ("a manifest", manifest.VERSION),
    b"a": ("alias", codec.NEWEST["alias"]),
    b"h": ("head", codec.NEWEST["head"]),
    b"t": ("tombstones", codec.NEWEST["tombstones"]),
    b"p": ("pointer", codec.NEWEST["pointer"]),
    b"b": ("body", codec.NEWEST["body"]),
    b"l": ("log record", codec.NEWEST["log record"]),
}


@pytest.mark.parametrize("kind", NEWER, ids=[what for what, _ in NEWER.values()])
def test_a_newer_value_is_refused_by_name(stored: dict[bytes, bytes], tmp_path: Path, kind: bytes) -> None:
    what, newest = NEWER[kind]
    for key in [key for key in stored if key[:1] == kind and key != keys.tombstones(1, keys.LAST_ROW)]:
        stored[key] = bytes([newest + 1]) + stored[key][1:]
    with pytest.raises(FormatTooNew, match=f"{what} was written by a newer vecdb") as caught:
        db = Database(MemoryKV(stored), tmp_path / "segments", OPTIONS)
        try:
            db.get(CallContext(), "c", ["00001"], Select(True, True, True))
        finally:
            db.close()
    assert (caught.value.reason, caught.value.received) == ("FORMAT_TOO_NEW", str(newest + 1))


def test_the_dead_of_a_newer_vecdb_are_refused_by_name(stored: dict[bytes, bytes], tmp_path: Path) -> None:
    stored[keys.tombstones(1, keys.LAST_ROW)] = b"\x02" + bytes(8)
    db = Database(MemoryKV(stored), tmp_path / "segments", OPTIONS)
    with pytest.raises(FormatTooNew, match="row list was written by a newer vecdb"):
        db.count(CallContext(), "c")
    db.close()


def test_a_newer_directory_is_refused_by_name(tmp_path: Path) -> None:
    path = frozen.load(frozen.names()[-1]).unpack(tmp_path)
    (path / "vecdb.json").write_text(json.dumps({"format": 2, "database": "x", "something": "new"}))
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    with pytest.raises(FormatTooNew, match="written by a newer vecdb"):
        vecdb.open(path)
    done = run("check", "--data", path)
    assert (done.status, "FORMAT_TOO_NEW" in done.err) == (exits.REFUSED, True)
    assert before.items() <= {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}.items()
