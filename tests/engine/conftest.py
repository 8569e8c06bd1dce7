"""Databases for the tests of the engine: small, on any store, and checked when the test ends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.engine.handle import PLAIN, SMALL, Handle
from vecdb import failpoint
from vecdb.engine.database import Database
from vecdb.model.context import CallContext
from vecdb.storage.kv import KV
from vecdb.storage.memory import MemoryKV

Opener = Callable[..., Database]


@pytest.fixture(autouse=True)
def _failpoints_off() -> Iterator[None]:
    yield
    failpoint.disarm()


@pytest.fixture(autouse=True)
def _files_are_not_synced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here cuts the power under a file (tests/crash does), and syncs are most of the time."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


@pytest.fixture
def open_db(tmp_path: Path) -> Iterator[Opener]:
    """``open_db(path=None, kv=None, clock=time.time, **options)``: on RocksDB in the test's folder, or on a store.

    Each is checked and closed when the test ends, unless the test has closed it.
    """
    opened: list[Database] = []

    def open_(
        path: Path | None = None, kv: KV | None = None, clock: Callable[[], float] = time.time, **options: Any
    ) -> Database:
        chosen = replace(SMALL, **options)
        if kv is None:
            db = Database.open(path or tmp_path / "data", chosen, clock)
        else:
            db = Database(kv, (path or tmp_path / "data") / "segments", chosen, clock=clock)
        opened.append(db)
        return db

    yield open_
    problems = []
    failpoint.disarm()
    for db in opened:
        if not db._closed:
            problems += db.check(CallContext())
            db.close()
    assert problems == []


@pytest.fixture
def db(open_db: Opener) -> Database:
    """A database in memory."""
    return open_db(kv=MemoryKV())


@pytest.fixture
def c(db: Database) -> Handle:
    """An empty collection ``c`` of one cosine field of four dimensions."""
    return make(db)


def make(db: Database, schema: Any = PLAIN, name: str = "c", **more: Any) -> Handle:
    db.create_collection(CallContext(), name, schema)
    return Handle(db, name, **more)
