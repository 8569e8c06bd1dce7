"""What was deleted gives its disk back by itself, once nobody writes: the pieces of which a good part is gone."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.conftest import make
from tests.engine.handle import Handle, gaussian, names
from vecdb import failpoint
from vecdb.engine import reaping
from vecdb.engine.database import Database
from vecdb.model.context import CallContext
from vecdb.storage import keys
from vecdb.storage.memory import MemoryKV

Opener = Callable[..., Database]


class Noted(MemoryKV):
    """Notes what is compacted."""

    def __init__(self) -> None:
        super().__init__()
        self.ranges: list[tuple[bytes | None, bytes | None]] = []

    def compact(self, start: bytes | None = None, end: bytes | None = None) -> None:
        super().compact(start, end)
        self.ranges.append((start, end))


@pytest.fixture
def kv(monkeypatch: pytest.MonkeyPatch) -> Noted:
    """Pieces of 64 rows, of which it is worth to give back 10."""
    monkeypatch.setattr(reaping, "PIECE_ROWS", 64)
    monkeypatch.setattr(reaping, "LEAST_DEAD", 10)
    return Noted()


def piece(c: Handle, first: int, end: int) -> list[tuple[bytes, bytes]]:
    number = c.inner.number
    return [
        (keys.body(number, first), keys.body(number, end)),
        (keys.vector_from(number, first), keys.vector_from(number, end)),
        (keys.log(number, 0), keys.log(number, keys.LAST_ROW)),
    ]


def pointers(c: Handle) -> list[tuple[bytes, bytes]]:
    return [(keys.pointer_prefix(c.inner.number), keys.pointer_prefix(c.inner.number + 1))]


def filled(open_db: Opener, kv: Noted, **options: float) -> Handle:
    """Rows 0 to 149, in three pieces."""
    c = make(open_db(kv=kv, **options))
    c.upsert(names(150), gaussian(150))
    c.settle()
    assert (c.inner.committed.next_row, kv.ranges) == (150, [])
    return c


def test_a_piece_of_which_a_third_is_gone_is_rewritten_once(open_db: Opener, kv: Noted) -> None:
    c = filled(open_db, kv)
    c.delete(*names(21, start=64))
    c.settle()
    assert kv.ranges == []
    c.delete("00100")
    c.settle()
    assert kv.ranges == piece(c, 64, 128)
    c.delete(*names(15, start=130))  # more than a third of the 22 rows that the last piece has
    c.settle()
    assert kv.ranges[3:] == piece(c, 128, 150)
    c.delete(*names(9))
    c.settle()
    assert len(kv.ranges) == 6


def test_pointers_are_rewritten_where_a_third_of_them_is_gone(open_db: Opener, kv: Noted) -> None:
    c = filled(open_db, kv)
    for first in (0, 64):
        c.delete(*names(21, start=first))
        c.settle()
    assert kv.ranges == []
    c.delete(*names(7, start=140))
    c.settle()
    assert kv.ranges == []
    c.upsert(names(2, start=148), gaussian(2))  # what is replaced has pointers, too
    c.settle()
    assert kv.ranges == pointers(c)


def test_the_piece_of_which_most_is_gone_comes_first(open_db: Opener, kv: Noted) -> None:
    c = filled(open_db, kv)
    c.delete(*names(30), *names(40, start=64))
    c.settle()
    assert kv.ranges == piece(c, 64, 128) + piece(c, 0, 64) + pointers(c)


def test_a_smaller_piece_does_not_wait_for_one_that_has_more_dead(open_db: Opener, kv: Noted) -> None:
    c = filled(open_db, kv)
    c.delete(*names(15), *names(10, start=130))  # of 64 and of 22
    c.settle()
    assert kv.ranges == piece(c, 128, 150)


def test_nothing_is_rewritten_while_somebody_writes(open_db: Opener, kv: Noted) -> None:
    c = filled(open_db, kv, idle_seal_s=60.0)
    c.delete(*names(60))
    c.cover()
    assert c.inner.dead_in_pieces == {0: 60}
    c.settle()
    assert kv.ranges == []
    c.inner.last_write = time.monotonic() - 61.0
    c.settle()
    assert kv.ranges == piece(c, 0, 64) + pointers(c)


def test_nothing_is_rewritten_where_the_disk_has_no_room(
    open_db: Opener, kv: Noted, monkeypatch: pytest.MonkeyPatch
) -> None:
    c = filled(open_db, kv)
    needed, room = int(64 * c.inner.row_bytes), 0
    monkeypatch.setattr(c.db._maintenance._space, "room", lambda: room)
    c.delete(*names(60))
    for room, expected in (
        (needed - 1, []),
        (needed + 1, piece(c, 0, 64)),
        (150 * reaping.POINTER_BYTES - 1, piece(c, 0, 64)),
        (150 * reaping.POINTER_BYTES, piece(c, 0, 64) + pointers(c)),
    ):
        c.settle()
        assert kv.ranges == expected, room


def test_what_was_compacted_by_hand_is_not_rewritten_again(open_db: Opener, kv: Noted) -> None:
    c = filled(open_db, kv)
    c.delete(*names(60))
    c.db.compact(CallContext(), c.name)
    before = len(kv.ranges)
    c.settle()
    assert len(kv.ranges) == before > 0


def test_memory_goes_back_after_it(open_db: Opener, kv: Noted, monkeypatch: pytest.MonkeyPatch) -> None:
    c = filled(open_db, kv)
    freed: list[int] = []
    monkeypatch.setattr(c.db._memory, "freed", lambda: freed.append(len(kv.ranges)))
    c.delete(*names(60))
    c.settle()
    assert freed[-1] == len(kv.ranges) > 0
    c.db.compact(CallContext(), c.name)
    assert freed[-1] == len(kv.ranges)


@pytest.mark.parametrize("place", ["rewrite.before_vectors", "rewrite.before_pointers"])
def test_what_is_stopped_is_done_again(open_db: Opener, kv: Noted, place: str) -> None:
    c = filled(open_db, kv)
    c.delete(*names(60))
    failpoint.arm_from_text(f"{place}=raise")
    with pytest.raises(OSError, match=place):
        c.settle()
    failpoint.disarm()
    kv.ranges.clear()
    c.settle()
    assert kv.ranges == (piece(c, 0, 64) if place == "rewrite.before_vectors" else []) + pointers(c)


def test_the_disk_is_that_of_what_lives(open_db: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaping, "PIECE_ROWS", 512)
    monkeypatch.setattr(reaping, "LEAST_DEAD", 100)

    def load(path: Path, n: int) -> Handle:
        c = make(open_db(path))
        payloads = [{"text": f"{i:05} " * 100} for i in range(n)]
        c.upsert(names(n), gaussian(n), payloads=payloads)
        c.settle()
        return c

    def disk(c: Handle) -> int:
        return int(c.db._kv.stats()["sst_bytes"]) + int(c.db._kv.stats()["blob_bytes"])

    few, many = load(tmp_path / "few", 300), load(tmp_path / "many", 3_000)
    few.db._kv.compact()
    for start in range(0, 2_700, 100):
        many.delete(*names(100, start=start))
    many.settle()
    assert 0 < disk(many) < 1.5 * disk(few)
