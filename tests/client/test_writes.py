"""How writes are put together: one batch where it fits, several in order where it does not."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from tests.client.recorder import Recorder
from vecdb import errors
from vecdb.client.operations import Clear, Delete, Insert, Update, Upsert
from vecdb.client.split import MESSAGE_OVERHEAD, pieces
from vecdb.model import point
from vecdb.model.filter.expression import F
from vecdb.model.info import Limits
from vecdb.model.point import (
    FOR_EVER,
    Condition,
    DeleteIds,
    DeleteWhere,
    PayloadMode,
    Put,
    PutMode,
    Rows,
    UpdateWhere,
    VectorColumn,
)
from vecdb.model.size import row_sizes
from vecdb.wire.convert import write_to_proto


@pytest.fixture
def sent() -> Recorder:
    return Recorder()


@pytest.fixture
def small() -> Recorder:
    """A transport whose messages hold 1,000 bytes of rows."""
    return Recorder(MESSAGE_OVERHEAD + 1000)


@pytest.mark.parametrize(
    ("name", "mode"), [("upsert", PutMode.UPSERT), ("insert", PutMode.INSERT), ("update", PutMode.UPDATE)]
)
def test_a_put_is_one_operation_of_its_kind(sent: Recorder, name: str, mode: PutMode) -> None:
    write = getattr(sent.docs(), name)
    result = write([1, 2], [[1, 2], [3, 4]], ["a", None], [{"x": 1}, None], model="e5", durability="os")
    assert result.count == 2
    (batch,) = sent.batches
    (put,) = batch.operations
    assert isinstance(put, Put)
    assert (put.mode, batch.durability) == (mode, "os")
    rows = put.rows
    assert (list(rows.ids), rows.texts, rows.payloads) == (["1", "2"], {"": ["a", None]}, [b'{"x":1}', None])
    assert rows.models == {None: "e5"}
    assert rows.vectors[None].data.tolist() == [[1, 2], [3, 4]]


def test_delete_and_clear(sent: Recorder) -> None:
    docs = sent.docs()
    assert docs.delete([1, "a"]).count == 2
    docs.clear()
    assert [list(batch.operations) for batch in sent.batches] == [[DeleteIds(["1", "a"])], [Clear()]]


def test_a_batch_keeps_the_order_of_its_operations(sent: Recorder) -> None:
    sent.docs().write([Delete(ids=[1]), Upsert([2]), Insert([3]), Update([4]), Clear(), Delete([5])])
    (batch,) = sent.batches
    kinds = [(type(op), getattr(op, "mode", None)) for op in batch.operations]
    assert kinds == [
        (DeleteIds, None),
        (Put, PutMode.UPSERT),
        (Put, PutMode.INSERT),
        (Put, PutMode.UPDATE),
        (point.Clear, None),
        (DeleteIds, None),
    ]


def test_an_empty_list_writes_nothing(sent: Recorder) -> None:
    docs = sent.docs()
    nothing = [
        docs.upsert([]),
        docs.upsert([], [], [], []),
        docs.insert([], np.zeros((0, 4))),
        docs.update([]),
        docs.delete([]),
        docs.write([]),
        docs.write([Upsert([]), Delete(ids=[])]),
    ]
    assert {result.count for result in nothing} == {0}
    assert sent.batches == []


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda docs: docs.delete(), "ids"),
        (lambda docs: docs.delete("abc"), "ids"),
        (lambda docs: docs.write([Delete()]), "operations[0].ids"),
        (lambda docs: docs.write([Clear(), Upsert(["a"], [[1], [2]])]), 'operations[1].vectors[""]'),
        (lambda docs: docs.write(["upsert"]), "operations[0]"),
        (lambda docs: docs.upsert(["a"], payloads=[{"x": float("nan")}]), "payloads[0]"),
        (lambda docs: docs.upsert(["a"], durability="maybe"), "durability"),
        (lambda docs: docs.upsert(["a"], request_id=b""), "request_id"),
        (lambda docs: docs.upsert(["a"], request_id=b"x" * 65), "request_id"),
        (lambda docs: docs.upsert(["a"], request_id="text"), "request_id"),
        (lambda docs: docs.upsert([], [[1]]), 'vectors[""]'),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_sent(sent: Recorder, call: object, field: str) -> None:
    with pytest.raises(errors.InvalidArgument) as refused:
        call(sent.docs())  # type: ignore[operator]
    assert refused.value.field == field
    assert sent.batches == []


def test_every_write_has_a_request_id_of_its_own(sent: Recorder) -> None:
    docs = sent.docs()
    for _ in range(3):
        docs.upsert(["a"])
    docs.clear(request_id=b"mine")
    assert len(set(sent.request_ids)) == 4
    assert all(1 <= len(id) <= 64 for id in sent.request_ids)
    assert sent.request_ids[-1] == b"mine"


def test_a_call_takes_its_own_timeout_or_the_clients(sent: Recorder) -> None:
    sent.docs(7).upsert(["a"])
    sent.docs(7).upsert(["a"], timeout=300)
    sent.docs(None).upsert(["a"])
    first, second, third = sent.timeouts
    assert (first, third) == (7, None)
    assert second is not None
    assert 7 < second <= 300


def test_a_timeout_is_for_all_batches_and_the_clients_for_each(small: Recorder) -> None:
    small.docs(7).upsert(range(100))
    assert set(small.timeouts) == {7}
    count = len(small.timeouts)
    small.docs(7).upsert(range(100), timeout=300)
    left = [timeout for timeout in small.timeouts[count:] if timeout is not None]
    assert len(left) == count > 1
    assert left == sorted(left, reverse=True)
    assert left[0] > left[-1]


# -- what does not fit one message --


def ids_sent(sent: Recorder) -> list[str]:
    return [id for batch in sent.batches for op in batch.operations for id in op.rows.ids]  # type: ignore[union-attr]


def test_a_large_upload_goes_as_several_batches_in_order(small: Recorder) -> None:
    vectors = [None if i % 3 == 0 else [i, i] for i in range(100)]
    texts = {"title": [f"t{i}" for i in range(100)]}
    result = small.docs().upsert(range(100), vectors, texts, [{"i": i} for i in range(100)], model="m")
    assert result.count == 100
    assert result.seq == len(small.batches) > 1
    assert ids_sent(small) == [str(i) for i in range(100)]
    at = 0
    for batch in small.batches:
        (put,) = batch.operations
        rows = put.rows  # type: ignore[union-attr]
        n = len(rows.ids)
        assert rows.texts["title"] == texts["title"][at : at + n]
        assert rows.payloads == [b'{"i":%d}' % i for i in range(at, at + n)]
        assert rows.models == {None: "m"}
        column = rows.vectors[None]
        assert (column.rows + at).tolist() == [i for i in range(at, at + n) if i % 3]
        assert column.data[:, 0].tolist() == [i for i in range(at, at + n) if i % 3]
        at += n


def test_no_message_is_larger_than_it_may_be() -> None:
    rng = np.random.default_rng(1)
    n = 400
    rows = Rows(
        ids=["文" * int(k) + str(i) for i, k in enumerate(rng.integers(0, 20, n))],
        vectors={
            "": VectorColumn(np.zeros((n, 3), np.float32)),
            "image": VectorColumn(np.zeros((n // 2, 8), np.float32), np.arange(0, n, 2)),
        },
        texts={"title": [None if k == 0 else "语x" * int(k) for k in rng.integers(0, 9, n)]},
        payloads=[b"x" * int(k) for k in rng.integers(0, 99, n)],
    )
    limit = 4000
    bounds = pieces(Put(PutMode.UPSERT, rows), Limits(message_bytes=limit + MESSAGE_OVERHEAD))
    assert [start for start, _ in bounds] == [0, *(stop for _, stop in bounds[:-1])]
    assert bounds[-1][1] == n
    sizes = row_sizes(rows)
    for start, stop in bounds:
        part = Put(PutMode.UPSERT, rows.cut(start, stop))
        message = write_to_proto("docs", point.WriteBatch([part]), b"")
        assert message.ByteSize() <= limit
        assert sizes[start:stop].sum() <= limit
        if stop < n:  # and none is smaller than it has to be
            assert sizes[start : stop + 1].sum() > limit


def test_a_failure_tells_where_to_go_on(small: Recorder) -> None:
    small.fail_at, small.failure = 2, errors.Unavailable("gone")
    with pytest.raises(errors.PartialWrite) as failed:
        small.docs().upsert(range(100))
    error = failed.value
    written = len(ids_sent(small))
    assert 0 < written < 100
    assert (error.written, error.next_index) == (written, written)
    assert error.cause is small.failure
    small.failure = None
    small.docs().upsert(range(error.next_index, 100))
    assert ids_sent(small) == [str(i) for i in range(100)]


def test_a_small_upload_fails_with_the_error_itself(small: Recorder) -> None:
    small.fail_at, small.failure = 0, errors.ReadOnly("disk")
    with pytest.raises(errors.ReadOnly):
        small.docs().upsert([1])


def test_sending_a_large_upload_again_sends_the_same_request_ids(small: Recorder) -> None:
    for _ in range(2):
        small.docs().upsert(range(100), request_id=b"again")
    half = len(small.request_ids) // 2
    assert small.request_ids[:half] == small.request_ids[half:]
    assert len(set(small.request_ids)) == half > 1


def test_a_large_delete_is_split_too(small: Recorder) -> None:
    assert small.docs().delete(range(100)).count == 100
    assert len(small.batches) > 1
    assert [id for batch in small.batches for id in batch.operations[0].ids] == [str(i) for i in range(100)]  # type: ignore[union-attr]


def test_equal_ids_in_a_large_insert_are_refused_before_anything_is_sent(small: Recorder) -> None:
    with pytest.raises(errors.InvalidArgument) as refused:
        small.docs().insert([*range(100), 0])
    assert refused.value.field == "ids[100]"
    assert small.batches == []


def test_one_point_that_never_fits_is_refused_before_anything_is_sent(small: Recorder) -> None:
    with pytest.raises(errors.TooLarge) as refused:
        small.docs().upsert(range(100), texts=["x" * (2000 if i == 70 else 1) for i in range(100)])
    assert refused.value.field == "ids[70]"
    assert small.batches == []


def test_an_atomic_batch_is_never_split(small: Recorder) -> None:
    with pytest.raises(errors.TooLarge):
        small.docs().write([Clear(), Upsert(range(50)), Upsert(range(50, 100))])
    assert small.batches == []
    small.docs().write([Clear(), Upsert(range(5)), Delete([1])])
    assert len(small.batches) == 1


# -- how far it is --


def test_progress_is_told_after_each_batch(small: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    told: list[tuple[int, int]] = []
    small.docs().insert(range(100), progress=lambda done, total: told.append((done, total)))
    assert len(told) == len(small.batches) > 1
    assert told == sorted(told)
    assert told[-1] == (100, 100)
    told.clear()
    small.docs().upsert([1], progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 1)]
    assert capsys.readouterr().err == ""
    small.docs().update(range(100), progress=True)
    assert "100" in capsys.readouterr().err


def test_what_is_no_progress_is_refused_before_anything_is_sent(small: Recorder) -> None:
    with pytest.raises(errors.InvalidArgument) as refused:
        small.docs().upsert([1], progress="yes")  # type: ignore[arg-type]
    assert refused.value.field == "progress"
    assert small.batches == []


def test_a_bad_option_is_no_partial_write(small: Recorder) -> None:
    with pytest.raises(errors.InvalidArgument) as refused:
        small.docs().upsert(range(100), durability="much")
    assert refused.value.field == "durability"


def test_an_update_merges_unless_told_otherwise(sent: Recorder) -> None:
    docs = sent.docs()
    docs.update([1], payloads=[{"a": 1}], unset=["b.c", "d\\.e"])
    docs.update([1], payloads=[{"a": 1}], payload_mode="replace")
    docs.upsert([1], payloads=[{"a": 1}])
    puts = [batch.operations[0] for batch in sent.batches]
    assert [put.payload_mode.name for put in puts] == ["MERGE", "REPLACE", "REPLACE"]
    assert [list(put.unset) for put in puts] == [[("b", "c"), ("d.e",)], [], []]


@pytest.mark.parametrize(
    ("ttl", "expected"),
    [
        (None, []),
        (1.5, [1_500]),
        (1e-9, [1]),
        (timedelta(days=2), [172_800_000]),
        (math.inf, [FOR_EVER]),
        ([1, None, math.inf], [1_000, 0, FOR_EVER]),
        ([None, None, None], []),
        (np.array([1.0, 2.0, 3.0]), [1_000, 2_000, 3_000]),
    ],
)
def test_times_to_live(sent: Recorder, ttl: Any, expected: list[int]) -> None:
    for write in (sent.docs().upsert, sent.docs().insert, sent.docs().update):
        write(["a", "b", "c"], ttl=ttl)
    assert [list(batch.operations[0].ttl_ms) for batch in sent.batches] == [expected] * 3


def test_conditions(sent: Recorder) -> None:
    docs = sent.docs()
    filter = F("n") == 1
    docs.upsert([1, 2], if_absent=True)
    docs.update([1, 2], if_exists=True, if_version=[7, np.uint64(8)], if_filter=filter)
    docs.delete([1, 2], if_version=3)
    docs.write([Upsert([1], if_version=0), Delete([2], if_exists=True), Update([3], if_filter=filter)])
    docs.upsert([1, 2])
    found = [operation.condition for batch in sent.batches for operation in batch.operations]
    assert found == [
        Condition(absent=True, versions=[]),
        Condition(exists=True, versions=[7, 8], filter=filter),
        Condition(versions=[3]),
        Condition(versions=[0]),
        Condition(exists=True, versions=[]),
        Condition(versions=[], filter=filter),
        None,
    ]


def test_a_filter_in_place_of_ids(sent: Recorder) -> None:
    docs = sent.docs()
    filter = F("n") == 1
    docs.delete(filter=filter)
    docs.update(filter=filter, payloads={"a": 1}, ttl=2)
    docs.write([Delete(filter=filter), Update(filter=filter, unset=["a"], payload_mode="replace")])
    assert [operation for batch in sent.batches for operation in batch.operations] == [
        DeleteWhere(filter),
        UpdateWhere(filter, b'{"a":1}', PayloadMode.MERGE, [], 2_000),
        DeleteWhere(filter),
        UpdateWhere(filter, None, PayloadMode.REPLACE, [("a",)], 0),
    ]


def test_columns_of_conditions_and_times_are_cut_with_the_rows(small: Recorder) -> None:
    """A large conditional write goes in several batches; what is one for all stays so."""
    n = 100
    small.docs().upsert(range(n), if_version=range(n), ttl=[float(i + 1) for i in range(n)])
    small.docs().delete(range(n), if_version=7)
    puts = [b.operations[0] for b in small.batches if isinstance(b.operations[0], Put)]
    deletes = [b.operations[0] for b in small.batches if isinstance(b.operations[0], DeleteIds)]
    assert len(puts) > 1 < len(deletes)
    assert [v for put in puts for v in put.condition.versions] == list(range(n))
    assert [t for put in puts for t in put.ttl_ms] == [1_000 * (i + 1) for i in range(n)]
    assert [list(d.condition.versions) for d in deletes] == [[7]] * len(deletes)
    with pytest.raises(errors.InvalidArgument) as refused:
        small.docs().upsert([*range(n), 5], if_absent=True)
    assert refused.value.field == f"ids[{n}]"
