"""The faults that the store in memory can have at will."""

from __future__ import annotations

import pytest

from tests.storage.stores import everything, put
from vecdb.errors import Internal, ReadOnly
from vecdb.storage.kv import WriteStall
from vecdb.storage.memory import MemoryKV


def test_a_power_cut_takes_what_was_not_synced() -> None:
    kv = MemoryKV()
    put(kv, {b"a": b"1", b"b": b"1"})
    kv.sync()
    put(kv, {b"a": b"2", b"c": b"2"})
    batch = kv.batch()
    batch.delete_range(b"b", b"c")
    kv.write(batch)
    assert everything(kv) == {b"a": b"2", b"c": b"2"}
    assert everything(kv.durable_copy()) == {b"a": b"1", b"b": b"1"}
    assert everything(kv.durable_copy(keep=1)) == {b"a": b"2", b"b": b"1", b"c": b"2"}
    assert everything(kv.durable_copy(keep=2)) == everything(kv)
    kv.forget_unsynced()
    assert everything(kv) == {b"a": b"1", b"b": b"1"}
    put(kv, {b"d": b"3"})
    kv.sync()
    assert everything(kv.durable_copy()) == {b"a": b"1", b"b": b"1", b"d": b"3"}


def test_a_copy_is_apart() -> None:
    kv = MemoryKV()
    put(kv, {b"a": b"1"})
    kv.sync()
    copy = kv.durable_copy()
    put(copy, {b"b": b"2"})
    assert everything(kv) == {b"a": b"1"}


def test_closing_syncs() -> None:
    kv = MemoryKV()
    put(kv, {b"a": b"1"})
    kv.close()
    assert everything(kv.durable_copy()) == {b"a": b"1"}


def test_a_failed_sync_makes_it_read_only() -> None:
    kv = MemoryKV()
    put(kv, {b"a": b"1"})
    kv.fail_next_sync(2)
    kv.sync()
    put(kv, {b"b": b"1"})
    with pytest.raises(ReadOnly):
        kv.sync()
    assert kv.failure() is not None
    for call in (lambda: put(kv, {b"c": b"1"}), kv.sync, kv.flush, kv.compact):
        with pytest.raises(ReadOnly, match="asked for by a test"):
            call()
    assert everything(kv) == {b"a": b"1", b"b": b"1"}
    kv.close()
    assert everything(kv.durable_copy()) == {b"a": b"1"}


def test_a_failed_write_applies_nothing() -> None:
    kv = MemoryKV()
    kv.fail_next_write()
    with pytest.raises(ReadOnly):
        put(kv, {b"a": b"1"})
    assert everything(kv) == {}
    with pytest.raises(ReadOnly):
        kv.sync()


def test_a_stall_applies_nothing_and_consumes_the_batch() -> None:
    kv = MemoryKV()
    kv.stall_next_write(2)
    for _ in range(2):
        batch = kv.batch()
        batch.put(b"a", b"1")
        with pytest.raises(WriteStall):
            kv.write(batch)
        with pytest.raises(Internal):
            kv.write(batch)
    assert everything(kv) == {}
    assert kv.failure() is None
    put(kv, {b"a": b"1"})
    assert everything(kv) == {b"a": b"1"}
