"""After a fork: a client over gRPC goes on in the child, an engine is refused there and stays the parent's.

Each in a process of its own, for threads of gRPC and RocksDB that are here do not mix with a fork.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from tests.project.repository import ROOT
from vecdb import connect
from vecdb.client.transport_embedded import open_database
from vecdb.wire.server import Server, ServerOptions

# Before this release gRPC lives through a fork only when it is told to, and never one beside an event loop.
FORKS = tuple(map(int, grpc.__version__.split(".")[:2])) >= (1, 80)


def run(program: str, *arguments: str) -> None:
    """Run it to its end; nothing is left of it, nor of its children, if that does not come."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **({} if FORKS else {"GRPC_ENABLE_FORK_SUPPORT": "1"})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            _, errors = process.communicate(timeout=30)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, errors


WAITED = """
def ended_well(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""

EMBEDDED = (
    WAITED
    + """
import asyncio, os, sys, vecdb
path, how = sys.argv[1:]
db = vecdb.open(path)
docs = db.create_collection("docs", dim=2)
docs.upsert(range(100), [[1, 2]] * 100)
other = vecdb.open_async(path + "-async")
asyncio.run(other.create_collection("docs", dim=2))
if how == "closed":
    db.close()
    asyncio.run(other.close())

def refused(call):
    try:
        call()
    except vecdb.DataDirInUse as error:
        return str(os.getppid()) in str(error)

child = os.fork()
if child == 0:
    if how == "open":
        assert refused(docs.count)
        assert refused(lambda: docs.upsert([1]))
        assert refused(lambda: asyncio.run(other.collection("docs").count()))
        assert refused(lambda: vecdb.open(path))
    db.close()
    sys.exit(0)  # as processes usually end: Python takes down what it knows, then the libraries themselves
assert ended_well(child)
if how == "open":
    assert docs.upsert(range(100, 200), [[1, 2]] * 100).count == 100
    assert (docs.count(), db.check()) == (200, [])
    db.close()
    asyncio.run(other.close())
with vecdb.open(path) as db:
    assert (db.collection("docs").count(), db.check()) == (200 if how == "open" else 100, [])
"""
)


@pytest.mark.parametrize("how", ["open", "closed"])
def test_an_engine_is_refused_in_a_child_and_stays_the_parents(tmp_path: Path, how: str) -> None:
    run(EMBEDDED, str(tmp_path / "data"), how)


REMOTE = (
    WAITED
    + """
import asyncio, os, sys, vecdb
db = vecdb.connect(sys.argv[1], timeout=20)
other = vecdb.connect_async(sys.argv[1], timeout=20)
docs = db.collection("docs")
later = other.collection("docs")
assert docs.search([1, 2]).ids == ["1"]
child = os.fork()
if child == 0:
    child = os.fork()  # and a child of the child
    assert docs.search([1, 2]).ids == ["1"]
    assert docs.count() == 1
    assert child == 0 or ended_well(child)
    assert asyncio.run(later.count()) == 1
    sys.exit(0)
assert ended_well(child)
assert docs.search([1, 2]).ids == ["1"]
assert asyncio.run(later.count()) == 1
if not int(sys.argv[2]):
    os._exit(0)
child = os.fork()
if child == 0:
    for call in (docs.count, lambda: asyncio.run(later.count())):
        try:
            call()
        except vecdb.FailedPrecondition as error:
            assert "forked" in str(error)
        else:
            os._exit(1)
    os._exit(0)
assert ended_well(child)
assert asyncio.run(later.count()) == docs.count() == 1
asyncio.run(other.close())
db.close()
"""
)


def test_a_client_over_grpc_goes_on_in_a_child(tmp_path: Path) -> None:
    database = open_database(tmp_path / "data", {})
    server = Server(database, ServerOptions(address="127.0.0.1:0"))
    server.start()
    with connect(server.address) as client:
        client.create_collection("docs", dim=2).upsert([1], [[1, 2]])
    run(REMOTE, server.address, str(int(FORKS)))
    server.stop(grace_s=0)
    database.close()
