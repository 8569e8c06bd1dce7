"""A small database that commands work on: behind a server, and as a data directory."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import vecdb
from vecdb.cli.main import main
from vecdb.client.transport_embedded import open_database
from vecdb.wire.server import Server, ServerOptions

# Before click 8.2 standard error went into standard output unless told otherwise.
MIXED = "mix_stderr" in inspect.signature(CliRunner).parameters
RUNNER = CliRunner(mix_stderr=False) if MIXED else CliRunner()  # type: ignore[call-arg, unused-ignore]


@dataclass(frozen=True)
class Done:
    """How a command ended and what it printed."""

    status: int
    out: str
    err: str

    def documents(self) -> list[Any]:
        """Its lines of JSON."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True)
class CommandLine:
    """Runs commands in this process, on one database."""

    where: tuple[str, ...]

    def __call__(self, *words: object, given: str | None = None, status: int = 0) -> Done:
        """Run one that must end with ``status``; ``given`` is its standard input."""
        done = run(*words, *self.where, given=given)
        assert done.status == status, done
        return done


def run(*words: object, given: str | None = None) -> Done:
    """Run any command in this process."""
    result = RUNNER.invoke(main, [str(word) for word in words], input=given, catch_exceptions=False)
    return Done(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the caller of the tests has set is not what they test."""
    for name in os.environ:
        if name.startswith("VECDB_"):
            monkeypatch.delenv(name)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A data directory with the collection "docs" of three points and the empty "more"."""
    with vecdb.open(tmp_path / "data") as db:
        docs = db.create_collection("docs", dim=2, metric="euclidean")
        docs.upsert(
            ["a", "b", "c"], [[0, 0], [3, 4], [6, 8]], texts=["one", "二", None], payloads=[{"n": 1}, {"n": 2}, None]
        )
        db.create_collection("more", vectors={"image": vecdb.VectorField(3, "dot", model="m-1")})
    return tmp_path / "data"


@pytest.fixture(params=["address", "data"])
def vec(request: pytest.FixtureRequest, path: Path) -> Iterator[CommandLine]:
    """Commands on that database, reached in one of the two ways; it is checked when the test ends."""
    if request.param == "data":
        yield CommandLine(("--data", str(path)))
        with vecdb.open(path) as db:
            assert db.check() == []
        return
    database = open_database(path, {})
    server = Server(database, ServerOptions(address="127.0.0.1:0"))
    server.start()
    try:
        yield CommandLine(("--address", server.address))
        with vecdb.connect(server.address) as db:
            assert db.check() == []
    finally:
        server.stop(grace_s=0)
        database.close()
