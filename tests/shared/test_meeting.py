"""Processes that share a data directory find one server, and leave none behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import vecdb
from tests.shared.site import Worker, create, is_free, kill_server, served, server_pid, vector, wait_for
from vecdb.client import shared_start
from vecdb.errors import (
    Closed,
    DataDirInUse,
    DataDirUnusable,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    Unavailable,
)

Begin = Callable[[str], Worker]


def test_eight_that_open_at_once_have_one_server(path: Path, begin: Begin) -> None:
    workers = [begin("ask") for _ in range(8)]
    assert len({worker.line() for worker in workers}) == 1
    for number, worker in enumerate(workers):
        assert worker.ask(f"put {number}") == "put"
    assert {worker.ask("count") for worker in workers} == {"8"}
    assert served(path) == 1


def test_searches_by_words_and_what_goes_with_them(path: Path) -> None:
    with vecdb.open(path, shared=True) as db, vecdb.open(path, shared=True) as other:
        docs = db.create_collection("words", dim=4, texts={"title": vecdb.TextField("english", k1=1.0)})
        docs.upsert(["a", "b"], [vector(1), vector(2)], {"": ["one fox", "two foxes"], "title": ["Foxes", None]})
        seen = other.collection("words")
        assert seen.describe().schema.texts["title"] == vecdb.TextField("english", k1=1.0)
        assert [token.term for token in seen.analyze("Foxes", field="title")] == ["fox"]
        found = seen.search(vector(2), text=vecdb.Query("+fox -two", fields={"title": 2, "": 1}), mmr=1.0)
        assert {hit.id: hit.legs[1].rank for hit in found if hit.legs} == {"a": 1, "b": None}
        (ranked,) = seen.search_batch(texts=["fox"], rerank=lambda query, hits: [hit.id == "b" for hit in hits])
        assert ranked.ids == ["b", "a"]
        seen.set_text_field("title", vecdb.TextField("exact"))
        assert docs.describe().schema.texts["title"] == vecdb.TextField("exact")


def test_the_last_one_to_leave(path: Path) -> None:
    first, second = vecdb.open(path, shared=True), vecdb.open(path, shared=True)
    create(first).insert(ids=["a"], vectors=[vector(1)])
    first.close()
    first.close()
    assert create(second).count() == 1
    assert served(path) == 1
    second.close()
    with vecdb.open(path) as alone:  # free when the last close returns
        assert create(alone).count() == 1
    with pytest.raises(Closed):
        second.list_collections()


def test_the_server_is_nobodys_child(path: Path, begin: Begin) -> None:
    """It outlives who started it, and whoever started it has no zombie when it dies."""
    starter = begin("ask")
    opened = starter.line()
    with vecdb.open(path, shared=True) as db:
        server = psutil.Process(server_pid(path))
        assert opened == f"open {server.pid}"
        assert psutil.Process(starter.popen.pid).children() == []
        assert os.getsid(server.pid) not in (os.getsid(0), os.getsid(starter.popen.pid))
        assert server.open_files() or server.num_fds()
        inherited = [Path(os.readlink(f"/proc/{server.pid}/fd/{fd}")).name for fd in (0, 1, 2)]
        assert inherited == ["null", "server.log", "server.log"]
        starter.popen.send_signal(9)
        starter.popen.wait()
        create(db).insert(ids=["a"], vectors=[vector(1)])
        assert server_pid(path) == server.pid


def test_a_server_started_where_signals_are_blocked(path: Path) -> None:
    """It inherits that, and must end all the same."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        vecdb.open(path, shared=True).close()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    vecdb.open(path).close()


def test_a_killed_client_is_one_that_left(path: Path, begin: Begin) -> None:
    killed, other = begin("ask"), begin("ask")
    assert killed.line() == other.line()
    killed.kill()
    assert other.ask("put a") == "put"
    assert served(path) == 1
    other.kill()
    wait_for(lambda: is_free(path))


def test_a_forked_child_has_a_place_of_its_own(path: Path, begin: Begin) -> None:
    worker = begin("ask")
    worker.line()
    assert worker.ask("put a") == "put"
    assert worker.ask("fork") == "2"
    assert worker.ask("count") == "2"
    assert served(path) == 1


def test_a_child_that_only_inherited_keeps_nothing(path: Path, begin: Begin) -> None:
    worker = begin("ask")
    worker.line()
    child = psutil.Process(int(worker.ask("spare")))
    worker.popen.kill()
    worker.popen.wait()
    wait_for(lambda: is_free(path))
    assert child.is_running()


def test_what_the_dead_left_behind(path: Path) -> None:
    """A socket without a server, and files of any content, are no hindrance."""
    with vecdb.open(path, shared=True) as db:
        create(db).insert(ids=["a"], vectors=[vector(1)])
        kill_server(path)
    meeting = path / "shared"
    (meeting / "socket").unlink()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(meeting / "socket"))
    for name in ("server", "clients", "options.json", "options.json.tmp", "server.log"):
        (meeting / name).write_bytes(b"\xff left behind")
    with vecdb.open(path, shared=True) as db:
        assert create(db).count() == 1


def test_nobody_else_may_enter(path: Path) -> None:
    path.mkdir()
    (path / "shared").mkdir(0o777)
    (path / "shared").chmod(0o777)
    with vecdb.open(path, shared=True):
        assert stat.S_IMODE((path / "shared").stat().st_mode) == 0o700
        assert stat.S_IMODE((path / "shared" / "socket").stat().st_mode) == 0o600


def test_a_file_system_without_modes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path / "shared").mkdir(parents=True)
    (path / "shared").chmod(0o755)
    monkeypatch.setattr(os, "chmod", lambda *arguments, **options: None)
    with pytest.raises(DataDirUnusable) as refused:
        vecdb.open(path, shared=True)
    assert (refused.value.expected, refused.value.received) == ("mode 700", "mode 755")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user(path: Path) -> None:
    (path / "shared").mkdir(parents=True)
    os.chown(path / "shared", 12_345, 12_345)
    with pytest.raises(DataDirUnusable) as refused:
        vecdb.open(path, shared=True)
    assert (refused.value.expected, refused.value.received) == ("user 0", "user 12345")


@pytest.mark.parametrize("name", ["d" * 200, "per%20cent #?x:y", "数据"], ids=["long", "signs", "chinese"])
def test_any_path(tmp_path: Path, name: str) -> None:
    """The address of a socket has room for 107 bytes, and gRPC reads some characters as its own."""
    path = tmp_path / name / "data"
    with vecdb.open(path, shared=True) as db, vecdb.open(path, shared=True) as other:
        create(db).insert(ids=["a"], vectors=[vector(1)])
        assert create(other).count() == 1
        kill_server(path)
        assert create(other).count() == 1


def test_a_relative_path_is_of_the_first_day(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.mkdir()
    monkeypatch.chdir(path.parent)
    with vecdb.open("data", shared=True) as db:
        create(db)
        monkeypatch.chdir("/")
        kill_server(path)
        assert create(db).count() == 0


# -- options


def test_options_are_the_servers_and_stay(path: Path) -> None:
    with vecdb.open(path, shared=True, durability="os", growing_rows=100), vecdb.open(path, shared=True) as plain:
        with vecdb.open(path, shared=True, growing_rows=100):
            pass
        with pytest.raises(FailedPrecondition) as refused:
            vecdb.open(path, shared=True, durability="fsync", growing_rows=100)
        assert (refused.value.expected, refused.value.received) == ("durability='os'", "durability='fsync'")
        kill_server(path)
        assert plain.list_collections() == []  # started by the one that asked for nothing
        running = json.loads((path / "shared" / "options.json").read_text())["effective"]
        assert (running["durability"], running["growing_rows"]) == ("os", 100)


@pytest.mark.parametrize("options", [{"durabilty": "os"}, {"durability": "none"}, {"growing_rows": 0}], ids=str)
def test_bad_options_touch_nothing(path: Path, options: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument):
        vecdb.open(path, shared=True, **options)
    assert not path.exists()


def test_an_option_that_cannot_be_sent(path: Path) -> None:
    with pytest.raises(InvalidArgument, match="cannot be sent"):
        vecdb.open(path, shared=True, max_memory_bytes=object())


# -- refusals


def test_open_elsewhere(path: Path) -> None:
    with vecdb.open(path), pytest.raises(DataDirInUse) as refused:
        vecdb.open(path, shared=True)
    assert f"in use by process {os.getpid()}" in refused.value.message
    assert "shared=True" in str(refused.value)


def test_open_for_itself_while_it_is_shared(path: Path) -> None:
    with vecdb.open(path, shared=True) as db:
        with pytest.raises(DataDirInUse) as refused:
            vecdb.open(path)
        assert refused.value.received == f"held by pid {server_pid(path)}"
        assert "vecdb.open(path, shared=True)" in str(refused.value)
        assert db.list_collections() == []


def test_somebody_elses_directory_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "letters").write_text("")
    with pytest.raises(DataDirUnusable, match="letters"):
        vecdb.open(tmp_path, shared=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["letters"]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc")
def test_where_nothing_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/self/below")):
        with pytest.raises(DataDirUnusable) as refused:
            vecdb.open(place, shared=True)
        assert str(place) in refused.value.message
        assert "\n" not in str(refused.value)


def test_data_that_is_damaged(path: Path) -> None:
    path.mkdir()
    (path / "vecdb.json").write_text("{")
    with pytest.raises(vecdb.DataLoss, match=r"vecdb\.json"):
        vecdb.open(path, shared=True)
    (path / "vecdb.json").unlink()


def test_where_no_process_can_be_started(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/nowhere/python")
        with pytest.raises(Unavailable, match="/nowhere/python"):
            vecdb.open(path, shared=True)
    vecdb.open(path, shared=True).close()


def test_a_server_that_says_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it leaves in its log is told."""
    monkeypatch.setattr(shared_start, "SERVER", "tests.shared.nothing_of_that_name")
    with pytest.raises(Unavailable) as failed:
        vecdb.open(path, shared=True)
    assert "nothing_of_that_name" in str(failed.value.received)
    assert str(path / "shared" / "server.log") in failed.value.message


def test_the_folder_is_removed_meanwhile(path: Path) -> None:
    with vecdb.open(path, shared=True) as db:
        docs = create(db)
        assert docs.count() == 0
        shutil.rmtree(path / "shared")
        assert docs.count() == 0
        kill_server(path)
        with pytest.raises(Unavailable, match="out of reach"):
            docs.count()
    with vecdb.open(path, shared=True) as db:
        assert create(db).count() == 0


def test_a_start_that_takes_too_long(path: Path) -> None:
    """It is given up by who asked for it, and ends by itself."""
    with pytest.raises(DeadlineExceeded, match="still opening"):
        vecdb.open(path, shared=True, timeout=0.001)
    wait_for(lambda: is_free(path))
    with vecdb.open(path, shared=True) as db:
        assert db.list_collections() == []
