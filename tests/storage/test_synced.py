"""The mark beside a store: what was synced and is gone is noticed, what was never synced is not missed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.storage.stores import everything, put
from vecdb.errors import DataLoss
from vecdb.storage.rocksdb import RocksKV
from vecdb.storage.synced import mark_path, read_mark

OpenRocks = Callable[..., RocksKV]
SYNCED = {b"%03d" % i: b"x" * 100 for i in range(200)}
LATER = {b"%03d" % i: b"y" * 100 for i in range(200, 220)}


@pytest.fixture
def left(open_rocks: OpenRocks, tmp_path: Path) -> Path:
    """A store as a kill leaves it: some flushed, more synced, and after that some that was only written."""
    kv = open_rocks()
    put(kv, dict(list(SYNCED.items())[:50]))
    kv.flush()
    for key, value in list(SYNCED.items())[50:]:
        put(kv, {key: value})
    kv.sync()
    copy = tmp_path / "left"
    shutil.copy(mark_path(kv.path), mark_path(copy))
    synced = log_of(kv.path).stat().st_size
    for key, value in LATER.items():
        put(kv, {key: value})
    shutil.copytree(kv.path, copy)
    (copy / "synced").write_text(str(synced))
    return copy


def log_of(path: Path) -> Path:
    return max(path.glob("*.log"))


def flip(file: Path, at: int) -> None:
    raw = bytearray(file.read_bytes())
    raw[at] ^= 1
    file.write_bytes(raw)


def refused(open_rocks: OpenRocks, path: Path, name: str) -> None:
    """Twice, and nothing is changed by it."""
    before = {file.name: file.read_bytes() for file in path.iterdir() if not file.name.startswith("LOG")}
    for _ in range(2):
        with pytest.raises(DataLoss, match=name):
            open_rocks(path=path)
        assert before.items() <= {file.name: file.read_bytes() for file in path.iterdir()}.items()


def test_what_was_never_synced_may_be_torn(open_rocks: OpenRocks, left: Path) -> None:
    log = log_of(left)
    for cut in (1, 300):
        copy = left.with_name(f"cut{cut}")
        shutil.copytree(left, copy)
        shutil.copy(mark_path(left), mark_path(copy))
        os.truncate(copy / log.name, log.stat().st_size - cut)
        found = everything(open_rocks(path=copy))
        assert SYNCED.items() <= found.items() < (SYNCED | LATER).items()
    flip(log, log.stat().st_size - 5)
    assert len(everything(open_rocks(path=left))) == 219


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_a_flip_amid_what_was_synced_does_not_cut_off_the_rest(open_rocks: OpenRocks, left: Path, part: float) -> None:
    flip(log_of(left), 5 + int(part * int((left / "synced").read_text())))
    refused(open_rocks, left, log_of(left).name)


def test_a_log_that_is_shorter_than_it_was(open_rocks: OpenRocks, left: Path) -> None:
    os.truncate(log_of(left), int((left / "synced").read_text()) - 1)
    refused(open_rocks, left, log_of(left).name)


def test_a_log_that_ends_between_two_writes(open_rocks: OpenRocks, left: Path) -> None:
    os.truncate(log_of(left), 0)
    name = log_of(left).name
    for _ in range(2):
        with pytest.raises(DataLoss, match=name):
            open_rocks(path=left)


def test_a_log_that_is_gone(open_rocks: OpenRocks, left: Path) -> None:
    name = log_of(left).name
    log_of(left).unlink()
    with pytest.raises(DataLoss, match=name):
        open_rocks(path=left)


def test_a_list_of_files_that_is_shorter(open_rocks: OpenRocks, left: Path) -> None:
    mark = read_mark(left)
    assert mark is not None
    manifest, last = left / mark.manifest, 0
    raw = manifest.read_bytes()
    while (next_one := last + 7 + int.from_bytes(raw[last + 4 : last + 6], "little")) < len(raw):
        last = next_one
    os.truncate(manifest, last)  # whole records are left: RocksDB would open it, and delete a table
    refused(open_rocks, left, mark.manifest)


@pytest.mark.parametrize("with_mark", [True, False])
def test_a_store_without_current_is_not_a_new_one(open_rocks: OpenRocks, left: Path, with_mark: bool) -> None:
    (left / "CURRENT").unlink()
    if not with_mark:
        mark_path(left).unlink()
    refused(open_rocks, left, "CURRENT")


@pytest.mark.parametrize("damage", ["gone", "empty", "flipped"])
def test_without_a_mark_the_log_is_believed(open_rocks: OpenRocks, left: Path, damage: str) -> None:
    mark = mark_path(left)
    if damage == "gone":
        mark.unlink()
    elif damage == "empty":
        os.truncate(mark, 0)
    else:
        flip(mark, 15)
    os.truncate(log_of(left), log_of(left).stat().st_size // 2)
    kv = open_rocks(path=left)
    assert 50 < len(everything(kv)) < 200
    kv.close()
    assert read_mark(left) is not None


def test_a_mark_tells_of_what_is_closed(open_rocks: OpenRocks) -> None:
    kv = open_rocks()
    put(kv, SYNCED)
    kv.close()
    mark = read_mark(kv.path)
    assert mark is not None
    assert (mark.sequence, mark.logs) == (200, ())
    assert mark.size == (kv.path / mark.manifest).stat().st_size
