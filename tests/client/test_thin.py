"""The client alone: it imports neither engine nor its libraries, and says what is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import vecdb
from tests.project.repository import ROOT
from vecdb.client import installed


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


HEAVY = "{'hnswlib', 'rocksdict', 'xxhash'}"


def test_importing_vecdb_imports_next_to_nothing() -> None:
    loaded = run("import sys, vecdb; print(vecdb.__version__, *sys.modules)").split()
    assert loaded[0] == "0.1.0"
    assert not {"numpy", "grpc", "google.protobuf", "vecdb.client.client"} & set(loaded)


def test_connecting_imports_no_engine() -> None:
    program = f"""
import sys, vecdb
db = vecdb.connect("127.0.0.1:1", timeout=0.2)
docs = db.collection("docs")
try:
    docs.search([1, 2])
except (vecdb.Unavailable, vecdb.DeadlineExceeded):
    pass
heavy = {HEAVY} & set(sys.modules)
ours = [name for name in sys.modules if name.startswith(("vecdb.engine", "vecdb.index", "vecdb.storage"))]
assert not heavy and not ours, (heavy, ours)
"""
    run(program)


def test_the_command_line_imports_no_engine_to_show_its_help() -> None:
    run(f"""
import sys
from vecdb.cli.main import main
main(["serve", "--help"], standalone_mode=False)
assert not ({HEAVY} | {{"numpy", "grpc", "vecdb.engine"}}) & set(sys.modules)
""")


def test_without_the_engine_open_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(installed, "find_spec", lambda name: None)
    with pytest.raises(vecdb.EngineNotInstalled) as refused:
        vecdb.open(str(tmp_path))
    assert "pip install 'vecdb-py[server]'" in str(refused.value)


def test_open_refuses_options_that_do_not_exist(tmp_path: object) -> None:
    with pytest.raises(vecdb.InvalidArgument) as refused:
        vecdb.open(str(tmp_path), durabilty="os", durability="os")
    assert refused.value.received == "durabilty"
    assert "durability" in str(refused.value.expected)


def test_open_is_a_context_manager(tmp_path: object) -> None:
    with vecdb.open(f"{tmp_path}/data", durability="os") as db:
        db.create_collection("docs", dim=2).upsert([1], [[1, 2]])
        assert db.check() == []
    with pytest.raises(vecdb.Closed):
        db.list_collections()
    with vecdb.open(f"{tmp_path}/data") as db:
        assert db.collection("docs").count() == 1
