"""A load that was killed, wherever, goes on where it was, and ends as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.load.files import FORMATS, jsonl, parquet, records, rows
from tests.load.model import contents
from vecdb import errors
from vecdb.client.client import Client
from vecdb.client.collection import Collection
from vecdb.client.connect import open as open_client
from vecdb.client.load import load
from vecdb.model.point import WriteResult


class Killed(BaseException):
    """The process is gone; nobody handles this."""


class Dying:
    """A collection whose user is killed at write number ``at``: before it is sent, or after it is stored."""

    def __init__(self, collection: Collection, at: int, stored: bool) -> None:
        self._collection = collection
        self._left = at
        self._stored = stored

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    def upsert(self, *args: Any, **options: Any) -> WriteResult:
        if self._left == 0:
            if self._stored:
                self._collection.upsert(*args, **options)
            raise Killed
        self._left -= 1
        return self._collection.upsert(*args, **options)


def versions(collection: Collection) -> dict[str, int]:
    return {found.id: found.version for found in collection.scroll()}


FILES = [name for name, format in FORMATS.items() if format.extension]


@pytest.mark.parametrize("stored", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", FILES, ids=lambda name: name.replace(" ", "-"))
def test_killed_at_every_batch(db: Client, tmp_path: Path, name: str, stored: bool) -> None:
    format = FORMATS[name]
    given = rows(11)
    path = Path(format.make(given, tmp_path / f"rows.{format.extension}"))
    whole = db.create_collection("whole", 4, "dot")
    load(whole, path, batch=3, **format.options)
    killed = db.create_collection("killed", 4, "dot")
    for at in range(1, 4):
        with pytest.raises(Killed):
            load(Dying(killed, 1, stored), path, batch=3, **format.options)  # type: ignore[arg-type]
        assert len(contents(killed)) == min(11, 3 * (at + stored))
    report = load(killed, path, batch=3, **format.options)
    assert contents(killed) == contents(whole) == given.model(**format.kept)
    assert versions(killed) == versions(whole), "each batch had one effect"
    assert (report.read, report.written, report.resumed_from) == (11, 11, 9)
    assert not path.with_name(path.name + ".killed.load.json").exists()


def test_what_has_no_path_goes_on_by_a_checkpoint_of_ones_own(docs: Collection, tmp_path: Path) -> None:
    for name in ("iterator", "arrow reader", "arrow table", "data frame"):
        docs.clear()
        with pytest.raises(Killed):
            load(Dying(docs, 2, True), FORMATS[name].make(rows(11), tmp_path), batch=3, checkpoint=tmp_path / "c")  # type: ignore[arg-type]
        report = load(docs, FORMATS[name].make(rows(11), tmp_path), batch=3, checkpoint=tmp_path / "c")
        assert contents(docs) == rows(11).model()
        assert report.resumed_from == 6


def test_skipped_rows_are_counted_and_kept_once(docs: Collection, tmp_path: Path) -> None:
    def bad_rows(path: Path) -> Path:
        path.write_text(
            "\n".join(
                '{"id": "", "vector": [1, 2, 3, 4]}' if i % 2 else f'{{"id": {i}, "vector": [1, 2, 3, 4]}}'
                for i in range(12)
            )
        )
        return path

    whole, killed = bad_rows(tmp_path / "whole.jsonl"), bad_rows(tmp_path / "killed.jsonl")
    expected = load(docs, whole, batch=4, on_error="skip")
    for stored in (False, True):
        with pytest.raises(Killed):
            load(Dying(docs, 1, stored), killed, batch=4, on_error="skip")  # type: ignore[arg-type]
    report = load(docs, killed, batch=4, on_error="skip")
    assert (
        (report.read, report.written, report.skipped)
        == (expected.read, expected.written, expected.skipped)
        == (12, 6, 6)
    )
    assert report.rejects and expected.rejects
    assert report.rejects.read_bytes() == expected.rejects.read_bytes()


def test_a_load_that_stopped_at_a_bad_row_goes_on_without_it(docs: Collection, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(f'{{"id": {i}, "vector": [1, 2, 3{"" if i == 5 else ", 4"}]}}' for i in range(8)))
    with pytest.raises(errors.PartialWrite) as caught:
        load(docs, path, batch=2)
    assert (caught.value.written, caught.value.next_index) == (4, 4)
    report = load(docs, path, batch=2, on_error="skip")
    assert (report.read, report.written, report.skipped, report.resumed_from) == (8, 7, 1, 4)


@pytest.fixture
def interrupted(docs: Collection, tmp_path: Path) -> Path:
    """A file of which two of four batches are loaded."""
    path = Path(jsonl(rows(8), tmp_path / "rows.jsonl"))
    with pytest.raises(Killed):
        load(Dying(docs, 1, True), path, batch=2)  # type: ignore[arg-type]
    return path


def test_the_same_file_into_another_collection_is_another_load(db: Client, docs: Collection, interrupted: Path) -> None:
    other = db.create_collection("other", 4, "dot")
    assert load(other, interrupted, batch=2).resumed_from is None
    assert load(docs, interrupted, batch=2).resumed_from == 2
    assert contents(other) == contents(docs) == rows(8).model()


def test_a_changed_source_is_refused(docs: Collection, interrupted: Path) -> None:
    interrupted.write_text(interrupted.read_text() + "\n")
    with pytest.raises(errors.FailedPrecondition, match="since then its source changed; restart=True begins anew"):
        load(docs, interrupted, batch=2)
    report = load(docs, interrupted, batch=2, restart=True)
    assert (report.read, report.resumed_from) == (8, None)


def test_another_mapping_or_batch_is_refused(docs: Collection, interrupted: Path) -> None:
    with pytest.raises(errors.FailedPrecondition, match="its mapping changed"):
        load(docs, interrupted, batch=2, text=None)
    with pytest.raises(errors.FailedPrecondition, match="its batch changed"):
        load(docs, interrupted, batch=3)


def test_a_collection_made_anew_is_refused(db: Client, docs: Collection, interrupted: Path) -> None:
    created = docs.describe().created_at_ms
    while docs.describe().created_at_ms == created:
        db.drop_collection("docs")
        db.create_collection("docs", 4, "dot")
    with pytest.raises(errors.FailedPrecondition, match="its collection changed"):
        load(docs, interrupted, batch=2)


def test_a_foreign_file_is_no_checkpoint(docs: Collection, tmp_path: Path) -> None:
    path = jsonl(rows(3), tmp_path / "rows.jsonl")
    for content in (b"", b"[]", b"{}", b'{"vecdb_load": 2}', b'{"vecdb_load": 1, "x": 1}'):
        (tmp_path / "c").write_bytes(content)
        with pytest.raises(errors.InvalidArgument, match="not a checkpoint"):
            load(docs, path, checkpoint=tmp_path / "c")
        assert (tmp_path / "c").read_bytes() == content


def test_a_checkpoint_is_whole_at_every_moment(
    docs: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is synced before it gets its name, and the name after that."""
    events: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        events.append("sync " + os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    def noted_replace(source: Any, target: Any) -> None:
        orjson.loads(Path(source).read_bytes())
        events.append("name " + os.path.basename(target))
        replace(source, target)

    path = Path(jsonl(rows(4), tmp_path / "rows.jsonl"))
    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    load(docs, path, batch=2)
    once = ["sync rows.jsonl.docs.load.json.tmp", "name rows.jsonl.docs.load.json", f"sync {tmp_path.name}"]
    assert [event for event in events if event in once] == once * 3


def test_a_folder_that_cannot_be_written(docs: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = jsonl(rows(4), tmp_path / "rows.jsonl")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    report = load(docs, path)
    assert report.checkpoint is None
    assert "not resumable" in report.warnings[0] and "checkpoint=" in str(report)
    with pytest.raises(errors.FailedPrecondition, match="the checkpoint cannot be written"):
        load(docs, path, checkpoint=tmp_path / "no such folder" / "c")


LOADER = """
import sys, vecdb
from vecdb.client.load import load
with vecdb.open(sys.argv[1], durability="os") as db:
    load(db.collection("docs"), sys.argv[2], batch=50, progress=lambda done, total: print(done, flush=True))
"""


@pytest.mark.slow
def test_killed_for_real(tmp_path: Path, bounded: Callable[[int], int]) -> None:
    """SIGKILL at some batch, again and again, until the load is complete."""
    given = rows(1000 + 150 * bounded(20))
    path = parquet(given, tmp_path / "rows.parquet")
    with open_client(tmp_path / "data") as db:
        db.create_collection("docs", 4, "dot")
    command = [sys.executable, "-c", LOADER, str(tmp_path / "data"), str(path)]
    kills = 0
    while True:
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(5):
                last = process.stdout.readline()
            if last:
                process.send_signal(signal.SIGKILL)
                kills += 1
                process.communicate()
                continue
            assert process.wait(60) == 0
        break
    assert kills >= 3
    with open_client(tmp_path / "data") as db:
        docs = db.collection("docs")
        assert contents(docs) == given.model()
        assert db.check() == []


def test_records_are_read_again_by_a_resumed_load(docs: Collection, tmp_path: Path) -> None:
    read: list[int] = []

    def source() -> Any:
        for i, record in enumerate(records(rows(8))):
            read.append(i)
            yield record

    with pytest.raises(Killed):
        load(Dying(docs, 1, False), source(), batch=3, checkpoint=tmp_path / "c")  # type: ignore[arg-type]
    read.clear()
    load(docs, source(), batch=3, checkpoint=tmp_path / "c")
    assert read == list(range(8))
    assert contents(docs) == rows(8).model()
