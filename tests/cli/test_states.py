"""What the commands say of a database whose disk failed, and how it takes writes again: one server, from outside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import vecdb
from tests.cli.conftest import run
from tests.engine.faulty import Disk, faulty
from tests.engine.handle import SMALL
from vecdb.wire.server import Server, ServerOptions


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def address(tmp_path: Path, disk: Disk) -> Iterator[str]:
    """Of a server that does not recover by itself."""
    database = faulty(tmp_path / "data", disk, replace(SMALL, reopen_pause_s=0))
    server = Server(database, ServerOptions(address="127.0.0.1:0"))
    server.start()
    yield server.address
    server.stop(0)
    disk.syncs = False
    database.close()


def test_a_server_whose_disk_failed_is_opened_again_by_a_command(address: str, disk: Disk) -> None:
    at = ("--address", address)
    with vecdb.connect(address) as db:
        docs = db.create_collection("docs", dim=2)
        docs.upsert(["kept"], [[1, 2]])
        assert run("healthcheck", *at).out == "SERVING\n"
        disk.syncs = disk.probes = True
        with pytest.raises(vecdb.ReadOnly):
            docs.upsert(["refused"], [[1, 2]])
        unhealthy = run("healthcheck", *at)
        assert unhealthy.status == 3
        assert unhealthy.out.startswith("NOT_SERVING: read_only, sync failed: IO error")
        assert run("healthcheck", *at, "--service", "vecdb.v1.SearchService").out == "SERVING\n"
        refused = run("reopen", *at)
        assert refused.status == 1 and "READ_ONLY" in refused.err
        (told,) = run("stats", *at, "--json").documents()
        assert (told["state"], told["reopen_attempts"]) == ("read_only", 1)
        assert docs.search([1, 2], limit=1).ids == ["kept"]
        disk.syncs = disk.probes = False
        assert run("reopen", *at).out == "serving\n"
        assert run("healthcheck", *at).out == "SERVING\n"
        assert run("reopen", *at, "--json").documents() == [{"state": "serving"}]
        docs.upsert(["after"], [[1, 2]])
        assert docs.exists(["kept", "after"]).all()
