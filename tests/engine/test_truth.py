"""Damaged truth is a clear error or is told by check(); it is never a crash."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.engine.conftest import make
from tests.engine.handle import TWO, Handle, names
from tests.engine.test_recovery import everything, fill
from vecdb.engine.database import Database
from vecdb.errors import DataLoss, VecdbError
from vecdb.model.context import CallContext
from vecdb.storage.memory import MemoryKV

Opener = Callable[..., Database]
KINDS = {
    b"c": "catalog",
    b"h": "head",
    b"g": "manifest",
    b"t": "tombstones",
    b"p": "pointer",
    b"l": "log",
    b"v": "vector",
}


@pytest.fixture
def stored(open_db: Opener) -> tuple[dict[bytes, bytes], Any]:
    """Everything in the store of a collection with a bit of all, and what it reads as."""
    kv = MemoryKV()
    c = make(open_db(kv=kv), TWO)
    fill(c)
    c.seal()
    c.update(names(5), payloads=[{"n": 5}] * 5)
    c.delete("00020")
    wanted = everything(c)
    c.db.close()
    return dict(kv.durable_copy().scan(b"", b"\xff" * 20)), wanted


def some(data: dict[bytes, bytes], kind: bytes) -> list[bytes]:
    """The first, the last and one in between of the keys of a kind."""
    found = sorted(key for key in data if key[:1] == kind)
    return sorted({found[0], found[len(found) // 2], found[-1]})


@pytest.mark.parametrize("kind", KINDS, ids=KINDS.values())
def test_a_value_cut_short_is_an_error(open_db: Opener, stored: tuple[dict[bytes, bytes], Any], kind: bytes) -> None:
    data, wanted = stored
    for key in some(data, kind):
        for size in {0, 1, len(data[key]) // 2, len(data[key]) - 1}:
            with pytest.raises(DataLoss):
                outcome(open_db, {**data, key: data[key][:size]}, wanted)
                pytest.fail(f"{key!r} of {size} bytes went unnoticed")


@pytest.mark.parametrize("kind", [*KINDS, b"b"], ids=[*KINDS.values(), "body"])
def test_a_missing_value_is_an_error_or_told(
    open_db: Opener, stored: tuple[dict[bytes, bytes], Any], kind: bytes
) -> None:
    data, wanted = stored
    for key in some(data, kind):
        left = {k: value for k, value in data.items() if k != key}
        with contextlib.suppress(VecdbError):
            assert outcome(open_db, left, wanted) in ("as before", "told")


@pytest.mark.parametrize("kind", [*KINDS, b"b"], ids=[*KINDS.values(), "body"])
def test_a_flipped_bit_is_no_crash(open_db: Opener, stored: tuple[dict[bytes, bytes], Any], kind: bytes) -> None:
    """The store's own checksums find these; here they are past."""
    data, wanted = stored
    key = some(data, kind)[0]
    for at in range(0, len(data[key]), max(1, len(data[key]) // 20)):
        raw = bytearray(data[key])
        raw[at] ^= 1 << at % 8
        with contextlib.suppress(VecdbError, ValueError):  # a payload that is JSON no more is the reader's
            outcome(open_db, {**data, key: bytes(raw)}, wanted)


def outcome(open_db: Opener, data: dict[bytes, bytes], wanted: Any) -> str:
    """What becomes of a database with this in its store: ``as before``, ``told`` by check(), or ``silent``."""
    db = open_db(kv=MemoryKV(data))
    try:
        found = everything(Handle(db))
        told = db.check(CallContext())
        return "as before" if found == wanted else "told" if told else "silent"
    finally:
        db.close()
