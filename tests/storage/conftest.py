"""The stores under test: each by a function that opens it, so that a test may open it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.storage.stores import TINY
from vecdb.storage.kv import KV
from vecdb.storage.memory import MemoryKV
from vecdb.storage.rocksdb import RocksKV, StoreOptions


@pytest.fixture(params=["memory", "rocks", "rocks-tiny"])
def kv(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KV]:
    """An empty store of every kind; ``rocks-tiny`` flushes and changes logs all the time."""
    store: KV
    if request.param == "memory":
        store = MemoryKV()
    else:
        store = RocksKV(tmp_path / "kv", TINY if request.param == "rocks-tiny" else None)
    yield store
    store.close()


@pytest.fixture
def open_rocks(tmp_path: Path) -> Iterator[Callable[..., RocksKV]]:
    """``open_rocks(options=None, path=None)``: open the test's directory; all are closed at the end."""
    opened: list[RocksKV] = []

    def open_(options: StoreOptions | None = None, path: Path | None = None) -> RocksKV:
        opened.append(RocksKV(path or tmp_path / "kv", options))
        return opened[-1]

    yield open_
    for store in opened:
        store.close()
