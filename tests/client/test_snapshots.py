"""Snapshots through the Python API: what is archived is what is restored, and what is given up leaves nothing."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from tests.project.repository import ROOT
from vecdb import errors
from vecdb.client import installed
from vecdb.client.async_client import AsyncClient
from vecdb.client.client import Client
from vecdb.client.collection import Collection
from vecdb.client.transport_embedded import EmbeddedTransport, open_database
from vecdb.client.transport_grpc_async import AsyncGrpcTransport
from vecdb.client.transport_pooled import PooledTransport
from vecdb.engine.database import Database
from vecdb.wire.server import Server, ServerOptions


def fill(docs: Collection, start: int = 0, count: int = 30) -> None:
    rng = np.random.default_rng(start)
    docs.upsert(
        [f"{start + i}" for i in range(count)],
        rng.standard_normal((count, 4)),
        texts=[f"number {start + i}" if i % 3 else None for i in range(count)],
        payloads=[{"n": start + i, "f": 1.0} for i in range(count)],
    )


def points(docs: Collection) -> list[Any]:
    """All there is of a collection, as something to compare."""
    return [
        (p.id, p.payload, p.text, None if p.vector is None else p.vector.tolist(), p.version)
        for p in docs.scroll(with_vectors=True)
    ]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with nothing in it."""
    (tmp_path / "archives").mkdir()
    return tmp_path / "archives"


def test_what_was_archived_is_restored(db: Client, docs: Collection, place: Path) -> None:
    fill(docs)
    docs.delete(["3", "4"])
    docs.update(["5"], payloads=[{"n": -5}])
    db.alias("live", "docs")
    db.create_collection("empty", dim=2, metric="dot")
    before = points(docs)
    made = db.snapshot(place / "all.vdb")
    assert files(place) == ["all.vdb"]
    assert made.nbytes == (place / "all.vdb").stat().st_size
    assert made.base_commit is None
    assert [(c.name, c.points, c.vectors, c.aliases) for c in made.collections] == [
        ("docs", 28, {"": 28}, ("live",)),
        ("empty", 0, {"": 0}, ()),
    ]
    docs.clear()
    db.drop_collection("empty")
    with pytest.raises(errors.CollectionExists):
        db.restore(place / "all.vdb")
    assert [info.name for info in db.list_collections()] == ["docs"]
    report = db.restore(place / "all.vdb", rename={"docs": "then"})
    assert [(c.name, c.was, c.points, c.vectors) for c in report.collections] == [
        ("then", "docs", 28, {"": 28}),
        ("empty", "empty", 0, {"": 0}),
    ]
    assert report.collections[0].recall == {"": 1.0}
    assert report.collections[0].token == made.collections[0].token
    then = db.collection("then")
    assert points(then) == before
    assert then.search(before[0][3], limit=1).ids == [before[0][0]]
    assert then.search(text="number", filter={"n": -5}).ids == ["5"]
    assert db.collection("empty").describe().schema.vectors[""].metric == "dot"
    assert db.collection("live").count() == 0  # still the one that was there


def test_collections_are_chosen_by_name(db: Client, docs: Collection, place: Path) -> None:
    fill(docs)
    db.create_collection("more", dim=2).upsert(["x"], [[1, 2]])
    assert [c.name for c in db.snapshot(place / "one.vdb", collections="more").collections] == ["more"]
    db.snapshot(str(place / "two.vdb"), collections=["docs", "more"])
    report = db.restore(place / "two.vdb", collections=["more"], rename={"more": "again"})
    assert [(c.name, c.points) for c in report.collections] == [("again", 1)]
    for wrong in (lambda: db.snapshot(place / "no.vdb", ["nothing"]), lambda: db.restore(place / "one.vdb", ["docs"])):
        with pytest.raises(errors.CollectionNotFound):
            wrong()
    assert files(place) == ["one.vdb", "two.vdb"]


def test_an_archive_goes_on_from_an_earlier_one(db: Client, docs: Collection, place: Path) -> None:
    fill(docs)
    whole = db.snapshot(place / "0.vdb")
    fill(docs, 20, 20)
    docs.delete(["1"])
    first = db.snapshot(place / "1.vdb", base=place / "0.vdb")
    docs.upsert(["last"], [[1, 2, 3, 4]])
    second = db.snapshot(place / "2.vdb", base=first)
    assert (whole.commit, first.commit) == (first.base_commit, second.base_commit)
    chain = [place / f"{i}.vdb" for i in range(3)]
    db.restore(chain, rename={"docs": "all"})
    assert points(db.collection("all")) == points(docs)
    assert [found.commit for found in vecdb.verify(chain)] == [whole.commit, first.commit, second.commit]
    for wrong in ([chain[1]], [chain[0], chain[2]], [chain[1], chain[0]], chain[:1] * 2):
        with pytest.raises(errors.FailedPrecondition):
            db.restore(wrong, rename={"docs": "wrong"})
    assert [info.name for info in db.list_collections()] == ["all", "docs"]


def test_a_dry_run_reads_everything_and_makes_nothing(db: Client, docs: Collection, place: Path) -> None:
    fill(docs)
    db.snapshot(place / "a.vdb")
    report = db.restore(place / "a.vdb", rename={"docs": "new"}, dry_run=True)
    assert report.dry_run
    assert [(c.name, c.was, c.points) for c in report.collections] == [("new", "docs", 30)]
    with pytest.raises(errors.CollectionExists):
        db.restore(place / "a.vdb", dry_run=True)
    damage(place / "a.vdb", -5_000)
    with pytest.raises(errors.DataLoss):
        db.restore(place / "a.vdb", rename={"docs": "new"}, dry_run=True)
    assert [info.name for info in db.list_collections()] == ["docs"]


def test_files_that_are_open_will_do(db: Client, docs: Collection, place: Path) -> None:
    fill(docs)
    whole = io.BytesIO()
    summary = db.snapshot(whole)
    assert summary.nbytes == len(whole.getvalue())
    fill(docs, 30)
    with open(place / "raw.vdb", "wb", buffering=0) as raw:
        db.snapshot(raw, base=summary)
        assert not raw.closed
    whole.seek(0)
    db.restore([whole, place / "raw.vdb"], rename={"docs": "new"})
    assert points(db.collection("new")) == points(docs)
    db.snapshot("/dev/null")
    assert Path("/dev/null").is_char_device()


def damage(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


def test_damage_is_told_and_nothing_appears(db: Client, docs: Collection, place: Path) -> None:
    fill(docs)
    db.snapshot(file := place / "a.vdb")
    whole = file.read_bytes()
    for change in (
        whole[: len(whole) // 2],
        whole[:-1024],
        whole[:5_000] + bytes([whole[5_000] ^ 1]) + whole[5_001:],
        whole + b"x",
        b"",
        b"no archive at all",
        bytes(4096),
    ):
        file.write_bytes(change)
        for read in (lambda: db.restore(file, rename={"docs": "new"}), lambda: vecdb.verify(file)):
            with pytest.raises(errors.DataLoss):
                read()
    assert [info.name for info in db.list_collections()] == ["docs"]
    file.write_bytes(whole)
    assert [found.commit for found in vecdb.verify(file)] == [1]
    db.restore(file, rename={"docs": "new"})


# -- what does not come to its end --


class Filling(io.BytesIO):
    """A file on a disk that is full after the first write; ``met`` is called then."""

    def __init__(self, met: Callable[[], object]) -> None:
        super().__init__()
        self._met = met

    def write(self, piece: Any) -> int:
        self._met()
        raise OSError(28, "No space left on device")


def wait_until(holds: Callable[[], bool]) -> None:
    """Until something that another thread or the server does has happened; the test's own timeout is the bound."""
    while not holds():
        pass


def test_while_it_is_made_its_state_is_listed_and_then_no_more(db: Client) -> None:
    wide = db.create_collection("wide", dim=1_024)
    wide.upsert([f"{i}" for i in range(2_500)], np.ones((2_500, 1_024), np.float32))
    seen: list[Any] = []
    with pytest.raises(OSError, match="No space"):
        db.snapshot(Filling(lambda: seen.append(db.stats())))
    (stats,) = seen
    (pin,) = stats.pins
    assert (pin.commit, pin.since_ms > 0) == (stats.commit, True)
    wait_until(lambda: db.stats().pins == ())


def test_a_file_is_there_when_it_is_complete(
    db: Client, docs: Collection, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(docs)
    file = place / "a.vdb"
    file.write_bytes(b"the one before")

    def fails(*given: Any) -> None:
        assert len(files(place)) == 2
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", fails)
        with pytest.raises(OSError, match="No space"):
            db.snapshot(file)
    assert (files(place), file.read_bytes()) == (["a.vdb"], b"the one before")
    with pytest.raises(errors.DeadlineExceeded):
        db.snapshot(file, timeout=0)
    assert (files(place), file.read_bytes()) == (["a.vdb"], b"the one before")
    db.snapshot(file)
    assert vecdb.verify(file)


def test_an_archive_that_cannot_be_read_to_its_end_makes_nothing(db: Client, docs: Collection, place: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise OSError(5, "Input/output error")
            return super().read(1_000)

    fill(docs)
    db.snapshot(whole := io.BytesIO())
    with pytest.raises(OSError, match="Input/output"):
        db.restore(Broken(whole.getvalue()), rename={"docs": "new"})
    with pytest.raises(errors.DeadlineExceeded):
        db.restore(io.BytesIO(whole.getvalue()), rename={"docs": "new"}, timeout=0)
    assert [info.name for info in db.list_collections()] == ["docs"]


def test_how_far_it_is(db: Client, docs: Collection, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(docs)
    heard: list[Any] = []
    summary = db.snapshot(place / "a.vdb", progress=lambda *news: heard.append(news))
    assert {of for _, of in heard} == {None}
    assert (sorted(heard), heard[-1][0]) == (heard, summary.nbytes)
    heard.clear()
    db.restore(place / "a.vdb", rename={"docs": "new"}, progress=lambda *news: heard.append(news))
    assert heard[-1] == (summary.nbytes, summary.nbytes)
    heard.clear()
    with open(place / "a.vdb", "rb") as file:
        db.restore(file, rename={"docs": "newer"}, progress=lambda *news: heard.append(news))
    assert heard[-1] == (summary.nbytes, None)
    db.restore(place / "a.vdb", rename={"docs": "newest"}, progress=True)
    assert capsys.readouterr().err == f"restore: {summary.nbytes:,} of {summary.nbytes:,} bytes\n"


def test_what_makes_no_sense_is_refused_before_anything_is_done(db: Client, docs: Collection, place: Path) -> None:
    db.snapshot(place / "a.vdb")
    wrong: list[tuple[type[errors.VecdbError], str, Callable[[], object]]] = [
        (errors.InvalidArgument, "target", lambda: db.snapshot(place / "no" / "a.vdb")),
        (errors.InvalidArgument, "target", lambda: db.snapshot(io.StringIO())),  # type: ignore[arg-type]
        (errors.InvalidArgument, "target", lambda: db.snapshot(7)),  # type: ignore[arg-type]
        (errors.InvalidArgument, "collections", lambda: db.snapshot(place / "b.vdb", [])),
        (errors.InvalidArgument, "collections[0]", lambda: db.snapshot(place / "b.vdb", ["a/b"])),
        (errors.InvalidArgument, "target", lambda: db.snapshot(place / "a.vdb", base=place / "a.vdb")),
        (errors.InvalidArgument, "base", lambda: db.snapshot(place / "b.vdb", base=7)),  # type: ignore[arg-type]
        (errors.NotFound, "base", lambda: db.snapshot(place / "b.vdb", base=place / "no.vdb")),
        (errors.InvalidArgument, "progress", lambda: db.snapshot(place / "b.vdb", progress="yes")),  # type: ignore[arg-type]
        (errors.InvalidArgument, "source", lambda: db.restore([])),
        (errors.InvalidArgument, "source", lambda: db.restore(7)),  # type: ignore[arg-type]
        (errors.InvalidArgument, "source[1]", lambda: db.restore([place / "a.vdb", io.StringIO()])),  # type: ignore[list-item]
        (errors.NotFound, "source[1]", lambda: db.restore([place / "a.vdb", place / "no.vdb"])),
        (errors.InvalidArgument, "rename", lambda: db.restore(place / "a.vdb", rename=["x"])),  # type: ignore[arg-type]
        (errors.InvalidArgument, "rename['docs']", lambda: db.restore(place / "a.vdb", rename={"docs": ""})),
    ]
    for kind, field, call in wrong:
        with pytest.raises(kind) as refused:
            call()
        assert (type(refused.value), refused.value.field) == (kind, field)
    for content in (b"", b"x" * 5_000, (place / "a.vdb").read_bytes()[:-4_096]):
        (place / "cut.vdb").write_bytes(content)
        with pytest.raises(errors.DataLoss):
            db.snapshot(place / "b.vdb", base=place / "cut.vdb")
    assert files(place) == ["a.vdb", "cut.vdb"]


def test_a_base_of_another_database_is_refused(db: Client, docs: Collection, tmp_path: Path) -> None:
    with vecdb.open(tmp_path / "other") as other:
        other.snapshot(tmp_path / "other.vdb")
    with pytest.raises(errors.FailedPrecondition):
        db.snapshot(tmp_path / "a.vdb", base=tmp_path / "other.vdb")
    assert not (tmp_path / "a.vdb").exists()


def test_without_the_engine_verifying_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(installed, "find_spec", lambda name: None)
    with pytest.raises(errors.EngineNotInstalled):
        vecdb.verify(tmp_path / "a.vdb")


# -- cancelled --


class Held(io.BytesIO):
    """A file of which each piece waits to be let through; ``reached`` is set by the first."""

    def __init__(self, content: bytes = b"") -> None:
        super().__init__(content)
        self.reached, self.go_on = threading.Event(), threading.Event()

    def write(self, piece: Any) -> int:
        self.reached.set()
        assert self.go_on.wait(60)
        return len(piece)

    def read(self, size: int | None = -1) -> bytes:
        if self.tell():
            self.reached.set()
            assert self.go_on.wait(60)
        return super().read(1_000)


@pytest.mark.parametrize("kind", ["embedded", "grpc"])
def test_a_task_that_is_cancelled_leaves_nothing(tmp_path: Path, kind: str) -> None:
    database = open_database(tmp_path / "data", {})
    with Client(EmbeddedTransport(database), 30) as db:
        fill(db.create_collection("docs", dim=4))
        db.snapshot(whole := io.BytesIO())
        server = Server(database, ServerOptions(address="127.0.0.1:0"))
        server.start()
        asyncio.run(_cancelled(database, server.address if kind == "grpc" else None, whole.getvalue(), tmp_path))
        wait_until(lambda: db.stats().pins == ())
        server.stop(grace_s=0)
        assert [info.name for info in db.list_collections()] == ["docs"]
        assert files(tmp_path) == ["data"]
        assert db.check() == []


async def _cancelled(database: Database, address: str | None, whole: bytes, folder: Path) -> None:
    there = PooledTransport(lambda: _Kept(database)) if address is None else AsyncGrpcTransport(address)
    client = AsyncClient(there, 30)
    for held, begin in (
        (target := Held(), lambda: client.snapshot(target)),
        (source := Held(whole), lambda: client.restore(source, rename={"docs": "new"})),
    ):
        task = asyncio.create_task(begin())
        await asyncio.to_thread(held.reached.wait, 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        held.go_on.set()
    task = asyncio.create_task(client.snapshot(folder / "a.vdb"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await client.close()


class _Kept(EmbeddedTransport):
    """Does not close the database, which is another's."""

    def close(self) -> None:
        pass


# -- beside other processes, and without the engine --


def test_processes_that_share_a_directory_snapshot_and_restore_it(tmp_path: Path) -> None:
    with vecdb.open(tmp_path / "data", shared=True) as db:
        docs = db.create_collection("docs", dim=4)
        fill(docs)
        db.snapshot(tmp_path / "a.vdb")
        db.restore(tmp_path / "a.vdb", rename={"docs": "new"})
        assert points(db.collection("new")) == points(docs)
        with pytest.raises(errors.CollectionExists):
            db.restore(tmp_path / "a.vdb")


def test_a_client_without_the_engine_snapshots_and_restores(tmp_path: Path) -> None:
    """Over gRPC, from an earlier archive too, with none of the engine's libraries."""
    chain = [str(tmp_path / "0.vdb"), str(tmp_path / "1.vdb")]
    program = f"""
import sys
for name in ("hnswlib", "rocksdict", "xxhash", "rjieba"):
    sys.modules[name] = None
import vecdb
with vecdb.connect(sys.argv[1]) as db:
    db.snapshot({chain[0]!r})
    db.snapshot({chain[1]!r}, base={chain[0]!r})
    print(db.restore({chain}, rename={{"docs": "new"}}).collections[0].points)
assert not [name for name in sys.modules if name.startswith(("vecdb.engine", "vecdb.index"))]
"""
    database = open_database(tmp_path / "data", {})
    server = Server(database, ServerOptions(address="127.0.0.1:0"))
    server.start()
    with Client(EmbeddedTransport(database), 30) as db:
        fill(db.create_collection("docs", dim=4))
        done = subprocess.run([sys.executable, "-c", program, server.address], cwd=ROOT, capture_output=True, text=True)
        assert (done.stdout, done.stderr) == ("30\n", "")
        server.stop(grace_s=0)
