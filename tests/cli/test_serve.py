"""``vecdb serve`` and ``vecdb healthcheck``, as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import vecdb
from tests.project.repository import ROOT


def command(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vecdb", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server process on a free port, and its address."""
    arguments = ["serve", "--data", str(tmp_path / "data"), "--address", "127.0.0.1:0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "vecdb", *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    ready = process.stdout.readline()
    assert ready.startswith(f"vecdb {vecdb.__version__} ready on 127.0.0.1:"), ready
    yield process, ready.split(" on ")[1].split(",")[0]
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_stop(
    serving: tuple[subprocess.Popen[str], str], tmp_path: Path, number: signal.Signals
) -> None:
    process, address = serving
    with vecdb.connect(address) as db:
        assert db.create_collection("docs", dim=2).upsert([1], [[1, 2]]).count == 1
    healthy = command("healthcheck", "--address", address)
    assert (healthy.returncode, healthy.stdout) == (0, "SERVING\n")
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert out == ""
    assert "Traceback" not in err
    down = command("healthcheck", "--address", address, "--timeout", 1)
    assert down.returncode == 3
    with vecdb.open(tmp_path / "data") as db:
        assert db.collection("docs").count() == 1
        assert db.check() == []


def test_what_is_set_is_what_the_server_does(tmp_path: Path) -> None:
    file = tmp_path / "vecdb.toml"
    file.write_text(f'data = "{tmp_path / "data"}"\naddress = "127.0.0.1:0"\nmax_message = "1MiB"\nmax_calls = 5\n')
    words = [sys.executable, "-m", "vecdb", "serve", "--config", str(file), "--max-collections", "1"]
    environment = {**os.environ, "VECDB_MAX_TEXT": "10"}
    with subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            address = process.stdout.readline().split(" on ")[1].split(",")[0]
            with vecdb.connect(address) as db:
                assert db.info().limits.message_bytes == 1 << 20  # of the server, from the file
                docs = db.create_collection("docs", dim=2)
                with pytest.raises(vecdb.ResourceExhausted, match="too many collections"):  # of the engine, by a flag
                    db.create_collection("more", dim=2)
                with pytest.raises(vecdb.VecdbError, match=r"expected .*10"):  # by a variable
                    docs.upsert(["a"], [[1, 2]], texts=["more than ten bytes"])
        finally:
            process.terminate()


def test_an_address_of_other_machines_is_meant_or_refused(tmp_path: Path) -> None:
    words = ["serve", "--data", str(tmp_path / "data"), "--address", "0.0.0.0:0"]
    refused = command(*words)
    assert refused.returncode == 1
    assert refused.stderr.startswith("Error: FAILED_PRECONDITION: ")
    assert "--insecure" in refused.stderr
    words = [sys.executable, "-m", "vecdb", *words, "--insecure"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert " ready on 0.0.0.0:" in process.stdout.readline()
        finally:
            process.terminate()


def test_its_threads_hand_over_ten_times_as_often_as_pythons_do(tmp_path: Path) -> None:
    program = """
import sys
sys.setswitchinterval = lambda seconds: print("handing over every", seconds, flush=True)
from vecdb.cli.main import main
main()
"""
    words = [sys.executable, "-c", program, "serve", "--data", str(tmp_path / "data"), "--address", "127.0.0.1:0"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "handing over every 0.0005\n"
            assert " ready on " in process.stdout.readline()
        finally:
            process.terminate()


def test_a_second_server_on_the_same_data_says_who_has_it(
    serving: tuple[subprocess.Popen[str], str], tmp_path: Path
) -> None:
    refused = command("serve", "--data", tmp_path / "data", "--address", "127.0.0.1:0")
    assert refused.returncode == 1
    assert "DATA_DIR_IN_USE" in refused.stderr
    assert str(serving[0].pid) in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_address_that_is_taken_is_told(serving: tuple[subprocess.Popen[str], str], tmp_path: Path) -> None:
    refused = command("serve", "--data", tmp_path / "other", "--address", serving[1])
    assert refused.returncode == 1
    assert "cannot listen" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_what_is_missing_or_wrong_is_told() -> None:
    missing = command("serve", VECDB_DATA="")
    assert "VECDB_DATA" in missing.stderr
    wrong = command("serve", "--data", "x", VECDB_MAX_MEMORY="much")
    assert "VECDB_MAX_MEMORY" in wrong.stderr
    unknown = command("serve", "--data", "x", VECDB_MAX_MEMROY="4GiB")
    assert "expected VECDB_MAX_MEMORY, received VECDB_MAX_MEMROY" in unknown.stderr
    for result in (missing, wrong, unknown):
        assert result.returncode == 2
        assert "Traceback" not in result.stderr
        assert result.stdout == ""


def test_its_version() -> None:
    assert command("--version").stdout == f"vecdb, version {vecdb.__version__}\n"
