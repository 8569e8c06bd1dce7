"""How commands end: one line on standard error and the status that docs/cli.md tells, never a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import vecdb
from tests.cli.conftest import CommandLine, run
from tests.project.repository import ROOT
from tests.project.test_errors import kinds
from vecdb.cli import exits
from vecdb.client.client import Client

NOBODY = ("--address", "127.0.0.1:1", "--timeout", "2")
TOLD = [f"| {status} | {meaning} |" for status, meaning in exits.MEANINGS.items()]


def process(*words: object, stdin: object = subprocess.DEVNULL) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "vecdb", *map(str, words)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,  # type: ignore[call-overload]
    )


def test_every_status_is_told() -> None:
    page = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    assert [line for line in TOLD if line not in page] == []


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (exits.OK, ("collections", "list")),
        (exits.REFUSED, ("count", "nothing")),
        (exits.REFUSED, ("search", "docs", "--vector", "[1, 2, 3]")),
        (exits.USAGE, ("count",)),
        (exits.USAGE, ("count", "docs", "--unknown")),
        (exits.USAGE, ("count", "docs", "--timeout", "soon")),
    ],
)
def test_a_status_is_the_same_both_ways(vec: CommandLine, status: int, words: tuple[str, ...]) -> None:
    done = vec(*words, status=status)
    if status == exits.REFUSED:
        assert done.err.startswith("Error: ")
        assert done.err.count("\n") == 1


def test_a_refusal_names_field_expected_received_and_reason(vec: CommandLine) -> None:
    error = vec("search", "docs", "--vector", "[1, 2, 3]", status=1).err
    assert error.startswith("Error: DIMENSION_MISMATCH: ")
    assert "expected 2, received 3" in error
    assert "[at " in error


@pytest.mark.parametrize("words", [("count", "docs"), ("check",), ("info",), ("collections", "list"), ("healthcheck",)])
def test_a_server_that_is_not_there_is_told_from_a_refusal(words: tuple[str, ...]) -> None:
    assert run(*words, *NOBODY).status == exits.NO_ANSWER


def test_every_error_has_a_status() -> None:
    statuses = {kind.reason: exits.status_of(kind("what")) for kind in kinds() if kind is not vecdb.PartialWrite}
    special = {reason: status for reason, status in statuses.items() if status != exits.REFUSED}
    assert special == {
        "UNAVAILABLE": exits.NO_ANSWER,
        "COLLECTION_LOADING": exits.NO_ANSWER,
        "DEADLINE_EXCEEDED": exits.NO_ANSWER,
        "DATA_LOSS": exits.DAMAGE,
        "INTERNAL": exits.DEFECT,
    }
    assert exits.status_of(vecdb.PartialWrite(1, 1, vecdb.Unavailable("gone"))) == exits.NO_ANSWER


def test_damage_that_check_finds_has_its_own_status(vec: CommandLine) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Client, "check", lambda self, timeout=None: ["row 7 is dead, and nothing will delete it"])
        done = vec("check", status=exits.DAMAGE)
        assert len(vec("check", "--json", status=exits.DAMAGE).documents()[0]["problems"]) == 1
    assert done.out.splitlines() == [
        "row 7 is dead, and nothing will delete it",
        "1 thing is wrong: 2 collections, 3 points",
    ]


def test_damage_that_keeps_a_directory_closed_has_the_same(path: Path) -> None:
    (path / "vecdb.json").write_text("{}")
    done = run("count", "docs", "--data", path)
    assert (done.status, done.err.split(":")[1].strip()) == (exits.DAMAGE, "DATA_LOSS")


def test_a_defect_is_one_line_that_says_where_to_look(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def defective(self: Client, name: str) -> None:
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr(Client, "collection", defective)
    done = run("count", "docs", "--data", path)
    assert done.status == exits.DEFECT
    assert done.err.startswith("Error: INTERNAL: ZeroDivisionError: division by zero [at ")
    assert "vecdb/cli/get.py:" in done.err
    assert done.err.count("\n") == 1
    assert "Traceback" in run("--traceback", "count", "docs", "--data", path).err


def test_two_places_at_once_are_refused(path: Path) -> None:
    done = run("count", "docs", "--data", path, "--address", "127.0.0.1:1")
    assert done.status == exits.USAGE


def test_a_directory_that_is_open_is_refused_unless_it_is_shared(path: Path) -> None:
    with vecdb.open(path):
        done = run("count", "docs", "--data", path)
        assert (done.status, done.err.split(":")[1].strip()) == (exits.REFUSED, "DATA_DIR_IN_USE")
        assert str(os.getpid()) in done.err
    with vecdb.open(path, shared=True, durability="os") as db:
        assert run("count", "docs", "--data", path).status == exits.REFUSED
        db.collection("docs").upsert(["d"], [[1, 1]])
        assert run("count", "docs", "--data", path, "--shared").out == "4\n"
    assert run("count", "docs", "--shared").status == exits.USAGE


def test_a_variable_names_the_server_and_a_directory_comes_before_it(
    vec: CommandLine, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, value = vec.where
    if kind == "--address":
        monkeypatch.setenv("VECDB_ADDRESS", value)
        assert run("count", "docs").out == "3\n"
    else:
        monkeypatch.setenv("VECDB_ADDRESS", "127.0.0.1:1")
        assert run("count", "docs", "--data", path).out == "3\n"


def test_the_settings_of_the_engine_hold_for_a_directory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VECDB_MAX_COLLECTIONS", "2")
    done = run("collections", "create", "third", "--dim", 2, "--data", path)
    assert done.err.startswith("Error: RESOURCE_EXHAUSTED: too many collections")
    assert done.status == exits.REFUSED


def test_who_reads_only_the_beginning_is_no_error(path: Path) -> None:
    command = process("get", "docs", *["a", "b"] * 20_000, "--json", "--data", path)
    assert command.stdout is not None
    command.stdout.readline()
    command.stdout.close()
    assert command.stderr is not None
    assert command.stderr.read() == ""
    command.stderr.close()
    assert command.wait(30) == 1  # as click ends on a closed pipe


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_with_its_status(path: Path, number: signal.Signals) -> None:
    command = process("search", "docs", "--vector", "-", "--data", path, stdin=subprocess.PIPE)
    while not _waits_for_input(command.pid):
        assert command.poll() is None
        os.sched_yield()
    command.send_signal(number)
    out, err = command.communicate(timeout=30)
    assert (command.returncode, out, err) == (128 + number, "", "")


def _waits_for_input(pid: int) -> bool:
    """Whether the process reads its standard input, by what the kernel says of it."""
    try:
        return Path(f"/proc/{pid}/syscall").read_text().split()[:2] == ["0", "0x0"]
    except OSError:
        return False


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str) -> None:
    done = run("completion", shell)
    assert done.status == 0
    assert "_VECDB_COMPLETE" in done.out
    assert run("completion", "tcsh").status == exits.USAGE


def test_a_shell_that_asks_is_told_the_commands() -> None:
    environment = {**os.environ, "_VECDB_COMPLETE": "bash_complete", "COMP_WORDS": "vecdb coll", "COMP_CWORD": "1"}
    program = "import sys; sys.argv[0] = 'vecdb'; from vecdb.cli.main import main; main(prog_name='vecdb')"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["plain,collections"]
