"""What every store promises: one class of tests, every store."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.storage.stores import LAST, everything, put
from vecdb.errors import Closed, Internal
from vecdb.storage.kv import KV
from vecdb.storage.memory import MemoryKV
from vecdb.storage.rocksdb import SCAN_ROWS, RocksKV

BIG = bytes(range(256)) * (4 << 12)


class TestKV:
    def test_an_empty_store(self, kv: KV) -> None:
        assert kv.get(b"a") is None
        assert kv.get_many([b"a", b"b"]) == [None, None]
        assert kv.get_many([]) == []
        assert everything(kv) == {}
        assert kv.failure() is None

    def test_a_batch_is_seen_at_once_and_whole(self, kv: KV) -> None:
        put(kv, {b"old": b"1"})
        batch = kv.batch()
        batch.put(b"a", b"1")
        batch.put(b"b", b"2")
        batch.delete(b"old")
        batch.delete(b"never was")
        assert everything(kv) == {b"old": b"1"}
        kv.write(batch)
        assert everything(kv) == {b"a": b"1", b"b": b"2"}

    def test_changes_of_a_batch_apply_in_order(self, kv: KV) -> None:
        batch = kv.batch()
        batch.put(b"a", b"1")
        batch.put(b"a", b"2")
        batch.put(b"b", b"1")
        batch.delete(b"b")
        batch.put(b"c1", b"1")
        batch.put(b"c2", b"1")
        batch.delete_range(b"c1", b"c2")
        batch.put(b"c0", b"1")
        assert len(batch) == 8
        kv.write(batch)
        assert everything(kv) == {b"a": b"2", b"c0": b"1", b"c2": b"1"}

    def test_an_empty_batch(self, kv: KV) -> None:
        batch = kv.batch()
        assert len(batch) == 0
        kv.write(batch)

    def test_a_batch_is_consumed_by_its_write(self, kv: KV) -> None:
        batch = kv.batch()
        batch.put(b"a", b"1")
        kv.write(batch)
        assert len(batch) == 1
        with pytest.raises(Internal):
            kv.write(batch)
        with pytest.raises(Internal):
            batch.put(b"b", b"1")
        assert kv.failure() is None
        put(kv, {b"c": b"1"})
        assert everything(kv) == {b"a": b"1", b"c": b"1"}

    def test_a_batch_of_another_store_is_refused(self, kv: KV, tmp_path_factory: pytest.TempPathFactory) -> None:
        other: KV = RocksKV(tmp_path_factory.mktemp("other")) if isinstance(kv, MemoryKV) else MemoryKV()
        with pytest.raises(TypeError):
            kv.write(other.batch())
        other.close()

    def test_only_bytes(self, kv: KV) -> None:
        for bad in ("text", bytearray(b"a"), memoryview(b"a"), 1, None):
            with pytest.raises((TypeError, KeyError, ValueError)):
                kv.batch().put(b"a", bad)  # type: ignore[arg-type]
            with pytest.raises((TypeError, KeyError, ValueError)):
                kv.batch().put(bad, b"a")  # type: ignore[arg-type]

    def test_order_is_that_of_the_bytes(self, kv: KV) -> None:
        keys = [b"", b"\0", b"\0\0", b"\0\xff", b"a", b"a\0", b"aa", b"b", b"\x7f", b"\x80", b"\xff", b"\xff\xff"]
        put(kv, {key: key for key in reversed(keys)})
        assert list(everything(kv)) == sorted(keys)

    @pytest.mark.parametrize("value", [b"", b"\0", b"x" * 511, b"x" * 512, b"\xff" * 513, BIG], ids=len)
    def test_values_come_back(self, kv: KV, value: bytes) -> None:
        put(kv, {b"k": value, b"l": b""})
        assert kv.get(b"k") == value
        kv.flush()
        assert kv.get(b"k") == value
        assert kv.get_many([b"l", b"k"]) == [b"", value]
        assert everything(kv) == {b"k": value, b"l": b""}

    def test_get_many_keeps_the_order_asked(self, kv: KV) -> None:
        put(kv, {b"%d" % i: b"v%d" % i for i in range(100)})
        kv.flush()
        asked = [b"7", b"none", b"3", b"7", b"", b"99"]
        assert kv.get_many(asked) == [b"v7", None, b"v3", b"v7", None, b"v99"]
        assert kv.get_many(tuple(asked)) == kv.get_many(asked)

    def test_delete_range(self, kv: KV) -> None:
        put(kv, {bytes([byte]): b"1" for byte in range(10)})
        for start, end in [(b"\x02", b"\x05"), (b"\x08", b"\x08"), (b"\x09", b"\x01"), (b"", b"\x01")]:
            batch = kv.batch()
            batch.delete_range(start, end)
            kv.write(batch)
        assert [key[0] for key in everything(kv)] == [1, 5, 6, 7, 8, 9]
        put(kv, {b"\x03": b"again"})
        kv.flush()
        assert kv.get(b"\x03") == b"again"
        assert kv.get(b"\x04") is None

    def test_scan_bounds(self, kv: KV) -> None:
        put(kv, {b"a": b"", b"b": b"", b"b\0": b"", b"c": b""})
        assert [key for key, _ in kv.scan(b"b", b"c")] == [b"b", b"b\0"]
        assert [key for key, _ in kv.scan(b"b\0", LAST)] == [b"b\0", b"c"]
        assert list(kv.scan(b"b", b"b")) == []
        assert list(kv.scan(b"c", b"a")) == []
        assert list(kv.scan(b"x", b"z")) == []

    def test_a_scan_sees_the_state_when_it_began(self, kv: KV) -> None:
        before = {b"%05d" % i: b"1" * 600 for i in range(3 * SCAN_ROWS)}
        put(kv, before)
        scan = kv.scan(b"", LAST)
        batch = kv.batch()
        batch.delete_range(b"", LAST)
        batch.put(b"00001", b"2")
        kv.write(batch)
        kv.flush()
        assert next(scan) == (b"00000", b"1" * 600)
        put(kv, {b"00002": b"3"})
        kv.compact()
        assert dict(scan) == {key: value for key, value in before.items() if key != b"00000"}
        assert everything(kv) == {b"00001": b"2", b"00002": b"3"}
        with pytest.raises(StopIteration):
            next(scan)

    def test_scans_keep_their_own_bounds(self, kv: KV) -> None:
        put(kv, {b"%04d" % i: b"" for i in range(200)})
        scans = [(end, kv.scan(b"0000", b"%04d" % end)) for end in [10, 199, 3, 150] * 20]
        for end, scan in scans:
            assert len(list(scan)) == end

    def test_a_scan_of_big_values(self, kv: KV) -> None:
        put(kv, {b"%d" % i: bytes([i]) * (1 << 20) for i in range(5)})
        assert [value[0] for _, value in kv.scan(b"", LAST)] == [0, 1, 2, 3, 4]

    def test_a_snapshot_is_the_store_as_it_was(self, kv: KV) -> None:
        before = {b"%05d" % i: b"1" * 600 for i in range(3 * SCAN_ROWS)}
        put(kv, before)
        snapshot = kv.snapshot()
        batch = kv.batch()
        batch.delete_range(b"", b"00500")
        batch.put(b"00600", b"2")
        batch.put(b"new", b"2")
        kv.write(batch)
        kv.flush()
        kv.compact()
        assert dict(snapshot.scan(b"", LAST)) == before
        assert list(snapshot.scan(b"00600", b"00601")) == [(b"00600", b"1" * 600)]
        assert snapshot.get(b"00003") == b"1" * 600
        assert snapshot.get(b"new") is None
        assert snapshot.get_many([b"00600", b"new", b"00000"]) == [b"1" * 600, None, b"1" * 600]
        assert kv.get(b"00600") == b"2"
        assert kv.snapshot().get(b"new") == b"2"
        one, other = snapshot.scan(b"00100", b"00700"), snapshot.scan(b"", LAST)  # neither disturbs the other
        assert [a[0] for a, _ in zip(one, other, strict=False)] == [b"%05d" % i for i in range(100, 700)]
        snapshot.close()

    def test_a_closed_snapshot_never_looks_like_a_small_one(self, kv: KV) -> None:
        put(kv, {b"%05d" % i: b"1" for i in range(SCAN_ROWS + 10)})
        snapshot = kv.snapshot()
        begun = snapshot.scan(b"", LAST)
        next(begun)
        snapshot.close()
        snapshot.close()
        for call in (
            lambda: list(begun),
            lambda: snapshot.get(b"00000"),
            lambda: snapshot.get_many([b"00000"]),
            lambda: snapshot.scan(b"", LAST),
        ):
            with pytest.raises(Closed):
                call()
        assert len(everything(kv)) == SCAN_ROWS + 10

    def test_overwriting_and_compacting(self, kv: KV) -> None:
        for round_ in range(5):
            put(kv, {b"%d" % i: bytes([round_]) * 700 for i in range(50)})
            kv.flush()
        kv.compact()
        kv.compact(b"1", b"3")
        assert set(everything(kv).values()) == {b"\4" * 700}

    def test_stats(self, kv: KV) -> None:
        put(kv, {b"a": b"x" * 1000})
        stats = kv.stats()
        assert stats["memory_bytes"] > 0
        assert stats["disk_bytes"] >= 0
        assert all(type(number) is int for number in stats.values())

    def test_sync_is_allowed_with_nothing_to_do(self, kv: KV) -> None:
        kv.sync()
        put(kv, {b"a": b"1"})
        kv.sync()
        kv.sync()

    def test_closed(self, kv: KV) -> None:
        put(kv, {b"%d" % i: b"1" for i in range(10)})
        scan, fresh = kv.scan(b"", LAST), kv.scan(b"", LAST)
        next(scan)
        snapshot = kv.snapshot()
        batch = kv.batch()
        kv.close()
        kv.close()
        calls = [
            lambda: kv.get(b"0"),
            lambda: kv.get_many([b"0"]),
            lambda: kv.write(batch),
            lambda: kv.scan(b"", LAST),
            lambda: next(scan),
            lambda: next(fresh),
            lambda: snapshot.get(b"0"),
            lambda: snapshot.scan(b"", LAST),
            kv.snapshot,
            kv.sync,
            kv.flush,
            kv.compact,
            kv.stats,
        ]
        for call in calls:
            with pytest.raises(Closed):
                call()
        assert kv.failure() is None

    def test_closing_under_readers_and_writers(self, kv: KV) -> None:
        """Every thread ends in Closed; none crashes, hangs or meets another error."""
        put(kv, {b"%04d" % i: b"x" * 600 for i in range(1000)})
        busy = threading.Barrier(5)
        ends: list[BaseException] = []

        def loop(step: object) -> None:
            assert callable(step)
            try:
                step()
                busy.wait()
                while True:
                    step()
            except BaseException as error:
                ends.append(error)

        steps = [
            lambda: everything(kv),
            lambda: kv.get_many([b"%04d" % i for i in range(0, 1000, 3)]),
            lambda: put(kv, {b"new": b"y" * 600}),
            kv.sync,
        ]
        threads = [threading.Thread(target=loop, args=[step]) for step in steps]
        for thread in threads:
            thread.start()
        busy.wait()
        kv.close()
        for thread in threads:
            thread.join()
        assert [type(end) for end in ends] == [Closed] * 4


_keys = st.binary(max_size=2)
_step = st.one_of(
    st.tuples(st.just("put"), _keys, st.binary(max_size=3) | st.just(b"z" * 600)),
    st.tuples(st.just("delete"), _keys, st.none()),
    st.tuples(st.just("range"), _keys, _keys),
)
_history = st.lists(
    st.one_of(st.lists(_step, max_size=5), st.sampled_from(["sync", "flush", "compact", "reopen"])), max_size=12
)


@settings(max_examples=40)
@given(history=_history, start=_keys, end=_keys)
def test_every_store_agrees_with_a_dict(
    tmp_path_factory: pytest.TempPathFactory, history: list[object], start: bytes, end: bytes
) -> None:
    folder = tmp_path_factory.mktemp("agree")
    model: dict[bytes, bytes] = {}
    stores: list[KV] = [MemoryKV(), RocksKV(folder)]
    for event in history:
        if isinstance(event, list):
            _apply(event, model, stores)
        elif event == "reopen":
            for store in stores:
                store.close()
            assert isinstance(stores[0], MemoryKV)
            stores = [stores[0].durable_copy(), RocksKV(folder)]
        else:
            for store in stores:
                getattr(store, str(event))()
        for store in stores:
            assert list(everything(store).items()) == sorted(model.items())
            assert list(store.scan(start, end)) == [pair for pair in sorted(model.items()) if start <= pair[0] < end]
            assert store.get(start) == model.get(start)
    for store in stores:
        store.close()


def _apply(steps: list[tuple[str, bytes, bytes]], model: dict[bytes, bytes], stores: list[KV]) -> None:
    batches = [store.batch() for store in stores]
    for verb, key, value in steps:
        for batch in batches:
            match verb:
                case "put":
                    batch.put(key, value)
                case "delete":
                    batch.delete(key)
                case _:
                    batch.delete_range(key, value)
        if verb == "put":
            model[key] = value
        else:
            for dead in [k for k in model if (k == key if verb == "delete" else key <= k < value)]:
                del model[dead]
    for store, batch in zip(stores, batches, strict=True):
        store.write(batch)
