"""A database in this process to load into; it is checked when the test ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vecdb.client.client import Client
from vecdb.client.collection import Collection
from vecdb.client.connect import open as open_client

DIM = 4


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Client]:
    with open_client(tmp_path / "data", durability="os") as client:
        yield client
        assert client.check() == []


@pytest.fixture
def docs(db: Client) -> Collection:
    """A collection with one vector field of four dimensions, compared by dot product."""
    return db.create_collection("docs", DIM, "dot")
