"""One process owns a data directory, and the others are told which."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vecdb.errors import DataDirInUse, DataDirUnusable
from vecdb.storage.files import LOCK_NAME, DataDirLock

_HOLD = """
import sys
from vecdb.storage.files import DataDirLock
lock = DataDirLock(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""

_FORK = """
import os, sys
from vecdb.storage.files import DataDirLock
lock = DataDirLock(sys.argv[1])
child = os.fork()
if child == 0:
    lock.release()
    print("released" if not lock.held else "held", flush=True)
    sys.stdin.read()
    os._exit(0)
if sys.argv[2] == "stay":
    os.waitpid(child, 0)
os._exit(0)
"""


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_hold_and_release(tmp_path: Path) -> None:
    path = tmp_path / "a" / "data"
    lock = DataDirLock(path)
    assert lock.held
    assert (path / LOCK_NAME).read_text() == f"{os.getpid()}\n"
    lock.release()
    lock.release()
    assert not lock.held
    with DataDirLock(path) as again:
        assert again.held
    assert not again.held
    DataDirLock(path).release()


def test_twice_in_one_process(tmp_path: Path) -> None:
    with DataDirLock(tmp_path), pytest.raises(DataDirInUse, match=str(os.getpid())):
        DataDirLock(tmp_path)
    DataDirLock(tmp_path).release()


def test_another_process_is_named(tmp_path: Path) -> None:
    with start(_HOLD, str(tmp_path)) as holder:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        with pytest.raises(DataDirInUse) as caught:
            DataDirLock(tmp_path)
        assert str(tmp_path) in caught.value.message
        assert caught.value.received == f"held by pid {holder.pid}"
        assert caught.value.expected is not None
        holder.kill()
        holder.communicate()
    DataDirLock(tmp_path).release()


def test_a_stale_file_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).write_text("999999999\nand more\n")
    with DataDirLock(tmp_path):
        assert (tmp_path / LOCK_NAME).read_text() == f"{os.getpid()}\n"


def test_a_forked_child_cannot_let_it_go(tmp_path: Path) -> None:
    with start(_FORK, str(tmp_path), "stay") as parent:
        assert parent.stdout and parent.stdout.readline() == "released\n"
        with pytest.raises(DataDirInUse, match=str(parent.pid)):
            DataDirLock(tmp_path)
        parent.kill()
        parent.communicate()


def test_a_forked_child_does_not_keep_it(tmp_path: Path) -> None:
    with start(_FORK, str(tmp_path), "die") as parent:
        assert parent.stdout and parent.stdout.readline() == "released\n"
        parent.wait()
        DataDirLock(tmp_path).release()
        parent.communicate()


def test_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(DataDirUnusable) as caught:
            DataDirLock(path)
        assert str(path) in caught.value.message
        assert "Not a directory" in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unwritable for root")
def test_an_unwritable_directory(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DataDirUnusable, match="Permission denied"):
        DataDirLock(tmp_path)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc")
def test_where_no_file_can_be_made() -> None:
    with pytest.raises(DataDirUnusable, match="/proc/self"):
        DataDirLock("/proc/self")
