"""A follower whose feed lets go of what it was about to read starts over, until it has caught up or it is no use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash.following import STARTS, Follower
from tests.crash.report import CONTEXT
from tests.engine.handle import PLAIN, SMALL, Handle
from vecdb.engine.database import Database
from vecdb.errors import ChangesGone
from vecdb.model.context import CallContext
from vecdb.model.feed import NOW, FeedPage, FeedRequest
from vecdb.storage.memory import MemoryKV


class Forgetful:
    """A database where a point is written, and the changes before it are gone, at each of so many readings."""

    def __init__(self, c: Handle, gone: int) -> None:
        self._c = c
        self.gone = gone
        self.scroll = c.db.scroll

    def changes(self, context: CallContext, name: str, asked: FeedRequest) -> FeedPage:
        if asked.after != NOW and self.gone:
            self.gone -= 1
            self._c.upsert([f"late {self.gone}"])
            raise ChangesGone("no longer kept")
        return self._c.db.changes(context, name, asked)


@pytest.fixture
def c(tmp_path: Path) -> Iterator[Handle]:
    database = Database(MemoryKV(), tmp_path / "segments", SMALL)
    database.create_collection(CONTEXT, "c", PLAIN)
    c = Handle(database)
    c.upsert(["a", "b"])
    yield c
    database.close()


def follow(c: Handle, tmp_path: Path, gone: int) -> tuple[dict[str, int], dict[str, Any]]:
    """What a follower of what is gone so often has, and what is there."""
    got = Follower(str(tmp_path / "db")).caught_up(Forgetful(c, gone), "c", "c")  # type: ignore[arg-type]
    return got, {point.id: point.version for point in c.scroll()}


@pytest.mark.parametrize("gone", [0, 1, STARTS - 1])
def test_a_follower_starts_over_until_it_has_caught_up(c: Handle, tmp_path: Path, gone: int) -> None:
    got, there = follow(c, tmp_path, gone)
    assert got == there and len(got) == 2 + gone


def test_a_follower_gives_up_where_nothing_is_ever_kept(c: Handle, tmp_path: Path) -> None:
    with pytest.raises(ChangesGone):
        follow(c, tmp_path, STARTS)
