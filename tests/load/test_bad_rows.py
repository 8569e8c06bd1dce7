"""Rows that cannot be points: each is found before anything is sent, and told by number, column and reason."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow
import pytest

from tests.load.model import contents, point
from tests.load.test_resume import Dying, Killed
from vecdb import errors
from vecdb.client.client import Client
from vecdb.client.collection import Collection
from vecdb.client.load import LoadReport, export, load
from vecdb.client.load import loading as loading_module

GOOD: dict[str, Any] = {"id": "good", "vector": [1.0, 2.0, 3.0, 4.0], "text": "t", "x": 1}
NAN, INF = float("nan"), float("inf")

# What is wrong with a record, the column that is at fault, and the reason told.
BAD = [
    ({"id": ""}, "id", "bad length"),
    ({"id": "x" * 513}, "id", "513 bytes"),
    ({"id": "汉" * 171}, "id", "513 bytes"),
    ({"id": None}, "id", "not an id"),
    ({"id": 1.5}, "id", "float 1.5"),
    ({"id": True}, "id", "not an id"),
    ({"id": ["a"]}, "id", "not an id"),
    ({"id": "\ud800"}, "id", "not valid Unicode"),
    ({"vector": [1.0, 2.0, 3.0]}, "vector", "expected 4, received 3"),
    ({"vector": []}, "vector", "expected 4, received 0"),
    ({"vector": [1.0, NAN, 3.0, 4.0]}, "vector", "nan at position 1"),
    ({"vector": [1.0, 2.0, 3.0, -INF]}, "vector", "-inf at position 3"),
    ({"vector": [1.0, 1e39, 3.0, 4.0]}, "vector", "does not fit float32"),
    ({"vector": [0.0, 0, 0, 0]}, "vector", "zero vector"),
    ({"vector": [1e-60, 0, 0, 0]}, "vector", "zero vector"),
    ({"vector": [1.0, None, 3.0, 4.0]}, "vector", "not a vector"),
    ({"vector": ["1", "2", "3", "4"]}, "vector", "not a vector"),
    ({"vector": [[1.0, 2.0], [3.0, 4.0]]}, "vector", "not a vector"),
    ({"vector": "[1, 2"}, "vector", "not a vector"),
    ({"vector": {"a": 1}}, "vector", "not a vector"),
    ({"vector": 7}, "vector", "not a vector"),
    ({"text": 5}, "text", "not a text"),
    ({"text": "\ud800"}, "text", "not valid Unicode"),
    ({"x": NAN}, "x", "finite numbers"),
    ({"x": {"deep": [INF]}}, "x", "finite numbers"),
    ({"x": 2**64}, "x", "not JSON"),
    ({"x": {1: 2}}, "x", "not JSON"),
    ({"x": ...}, "x", "not JSON"),
    ({"x": b"bytes"}, "x", "not JSON"),
    ({"x": "\ud800"}, "x", "not JSON"),
]


@pytest.fixture
def docs(db: Client) -> Collection:
    return db.create_collection("docs", 4, "cosine")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rejects.jsonl"


@pytest.mark.parametrize(("wrong", "column", "reason"), BAD, ids=lambda value: ascii(value)[:40])
def test_one_bad_row_stops_the_load(docs: Collection, wrong: dict[str, Any], column: str, reason: str) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        load(docs, [GOOD, {**GOOD, **wrong}, GOOD])
    assert caught.value.field == f'row 1, column "{column}"'
    assert reason in str(caught.value)
    assert contents(docs) == {}


def test_all_bad_rows_of_a_batch_are_found_with_one_write(docs: Collection, path: Path) -> None:
    """None is looked for by sending."""
    records: list[Any] = []
    for i, (wrong, _, _) in enumerate(BAD):
        records += [{**GOOD, "id": f"good {i}"}, {**GOOD, "id": f"bad {i}", **wrong}]
    records += ["no row at all", 5]
    writes = []

    class Counting(Dying):
        def upsert(self, *args: Any, **options: Any) -> Any:
            writes.append(len(options["ids"]))
            return super().upsert(*args, **options)

    report = load(Counting(docs, -1, False), iter(records), on_error="skip", rejects=path)  # type: ignore[arg-type]
    assert writes == [len(BAD)]
    assert set(contents(docs)) == {f"good {i}" for i in range(len(BAD))}
    assert (report.read, report.written, report.skipped) == (2 * len(BAD) + 2, len(BAD), len(BAD) + 2)
    assert len(report.bad) == 10 and str(report.bad[0]) in str(report)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["row"] for line in lines] == [*range(1, 2 * len(BAD), 2), 2 * len(BAD), 2 * len(BAD) + 1]
    assert [line["column"] for line in lines] == [column for _, column, _ in BAD] + ["", ""]
    assert all(reason in line["reason"] for line, (_, _, reason) in zip(lines, BAD, strict=False))
    assert lines[8]["content"]["vector"] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("kind", ["array", "arrow", "frame"])
def test_bad_vectors_in_columns(docs: Collection, path: Path, kind: str, tmp_path: Path) -> None:
    vectors = np.ones((8, 4), np.float32)
    vectors[1, 2], vectors[3, 0], vectors[5] = NAN, INF, 0
    np.save(tmp_path / "x.npy", vectors)
    made = {
        "array": lambda: tmp_path / "x.npy",
        "arrow": lambda: pyarrow.table({"vector": list(vectors)}),
        "frame": lambda: pandas.DataFrame({"vector": list(vectors)}),
    }
    report = load(docs, made[kind](), on_error="skip", rejects=path)
    assert [bad.row for bad in report.bad] == [1, 3, 5]
    assert set(contents(docs)) == {"0", "2", "4", "6", "7"}
    assert report.rejects == path


def test_a_file_of_another_dimension(docs: Collection, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((20, 5), np.float32))
    with pytest.raises(errors.DimensionMismatch) as caught:
        load(docs, tmp_path / "x.npy", batch=6)
    assert "5 more bad rows among the 6 of this batch" in str(caught.value)
    assert not (tmp_path / "x.npy.docs.load.json").exists(), "nothing was written, so nothing is resumed"
    report = load(docs, tmp_path / "x.npy", batch=6, on_error="skip")
    assert (report.skipped, report.written, len(report.bad)) == (20, 0, 10)


def test_what_was_written_before_is_told(docs: Collection) -> None:
    records = [{**GOOD, "id": i} for i in range(7)]
    records[5]["vector"] = None
    records[5]["text"] = 5
    with pytest.raises(errors.PartialWrite) as caught:
        load(docs, records, batch=2)
    assert (caught.value.written, caught.value.next_index) == (4, 4)
    assert isinstance(caught.value.cause, errors.InvalidArgument)
    assert caught.value.cause.field == 'row 5, column "text"'
    assert set(contents(docs)) == {"0", "1", "2", "3"}


def test_lines_that_are_no_rows(docs: Collection, tmp_path: Path) -> None:
    lines = ['{"id": 1, "vector": [1, 2, 3, 4]}', "{broken", "[1]", '{"id": NaN}', '{"id": 2, "vector": [1, 2, 3, 4]}']
    (tmp_path / "x.jsonl").write_text("\n\n".join(lines))
    report = load(docs, tmp_path / "x.jsonl", on_error="skip")
    assert set(contents(docs)) == {"1", "2"}
    assert [bad.row for bad in report.bad] == [1, 2, 3]
    assert "line 3 is not JSON" in str(report.bad[0]) and "line 5 is not a JSON object" in str(report.bad[1])
    assert report.rejects == tmp_path / "x.jsonl.rejects.jsonl"
    assert [json.loads(line)["content"] for line in report.rejects.read_text().splitlines()] == lines[1:4]


def test_rows_of_csv_with_other_cells(docs: Collection, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('id,vector,n\n1,"[1,2,3,4]",5\n2,"[1,2,3,4]"\n3,,x\n')
    report = load(docs, tmp_path / "x.csv", on_error="skip", json_columns=["n"])
    assert contents(docs) == {"1": point({"n": 5}, None, [1, 2, 3, 4])}
    assert [(bad.row, bad.column) for bad in report.bad] == [(1, ""), (2, "n")]


def test_a_whole_payload_that_is_none(docs: Collection, tmp_path: Path) -> None:
    payloads = ['{"a": 1}', "[1]", "{broken", None, '{"a": 18446744073709551616}']
    table = pyarrow.table({"id": list("abcde"), "vector": [[1.0, 2.0, 3.0, 4.0]] * 5, "payload": payloads})
    report = load(docs, table, on_error="skip", rejects=tmp_path / "r")
    assert {id: held[0] for id, held in contents(docs).items()} == {"a": b'{"a":1}', "d": None}
    assert [(bad.row, bad.column) for bad in report.bad] == [(1, "payload"), (2, "payload"), (4, "payload")]


def test_what_only_the_server_knows_is_bad(docs: Collection, path: Path) -> None:
    """Limits of the server: the row it names is left out and the rest of the batch sent again."""
    large = "x" * (1 << 20)
    records = [{**GOOD, "id": i, "x": large if i in (1, 4) else i} for i in range(6)]
    records[3]["vector"] = [1e20, 0.0, 0.0, 0.0]  # longer than can be scored
    with pytest.raises(errors.InvalidArgument, match=r"row 3, column \"vector\"|row 1"):
        load(docs, records)
    report = load(docs, records, on_error="skip", rejects=path)
    assert set(contents(docs)) == {"0", "2", "5"}
    assert sorted(bad.row for bad in report.bad) == [1, 3, 4]
    assert (report.read, report.written, report.skipped) == (6, 3, 3)
    assert sorted(json.loads(line)["row"] for line in path.read_text().splitlines()) == [1, 3, 4]


def test_rejects_without_a_file_of_ones_own_need_a_name(docs: Collection) -> None:
    with pytest.raises(errors.InvalidArgument, match="say where bad rows go"):
        load(docs, [GOOD], on_error="skip")


def test_the_report_crosses_processes(docs: Collection, path: Path) -> None:
    report = load(docs, [GOOD, {**GOOD, "id": ""}], on_error="skip", rejects=path)
    again = pickle.loads(pickle.dumps(report))
    assert isinstance(again, LoadReport)
    assert str(again) == str(report)
    assert again.mapping == report.mapping
    exported = export(docs, path.with_name("out.jsonl"))
    assert pickle.loads(pickle.dumps(exported)) == exported and "1 points" in str(exported)


@pytest.mark.parametrize("option", [{"on_error": "ignore"}, {"batch": 0}, {"batch": True}, {"progress": "bar"}])
def test_options_that_cannot_be(docs: Collection, option: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidArgument):
        load(docs, [GOOD], **option)


def test_a_collection_that_is_not_there(db: Client) -> None:
    with pytest.raises(errors.CollectionNotFound):
        load(db.collection("nowhere"), [GOOD])


class Busy(Dying):
    """A server that says "not now" so many times to each write."""

    def __init__(self, collection: Collection, error: errors.VecdbError, times: int) -> None:
        super().__init__(collection, -1, False)
        self._error = error
        self._times = times
        self._refused = 0
        self.request_ids: list[bytes] = []

    def upsert(self, *args: Any, **options: Any) -> Any:
        self.request_ids.append(options["request_id"])
        self._refused += 1
        if self._refused <= self._times:
            raise self._error
        self._refused = 0
        return super().upsert(*args, **options)


@pytest.mark.parametrize(
    "kind", [errors.IndexingBehind, errors.ResourceExhausted, errors.Unavailable, errors.DeadlineExceeded]
)
def test_a_busy_server_is_asked_again(docs: Collection, kind: type[errors.VecdbError]) -> None:
    busy = Busy(docs, kind("not now", retry_after_s=0), 2)
    load(busy, [{**GOOD, "id": i} for i in range(4)], batch=2)  # type: ignore[arg-type]
    assert set(contents(docs)) == {"0", "1", "2", "3"}
    first, second = set(busy.request_ids[:3]), set(busy.request_ids[3:])
    assert len(first) == len(second) == 1 and first != second, "a batch keeps its request id"


def test_patience_ends(docs: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading_module, "PATIENCE_S", 0)
    busy = Busy(docs, errors.IndexingBehind("not now", retry_after_s=0), 10)
    with pytest.raises(errors.IndexingBehind):
        load(busy, [GOOD])  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [errors.MemoryLimit, errors.ReadOnly, errors.Closed])
def test_what_does_not_pass_ends_the_load(docs: Collection, kind: type[errors.VecdbError]) -> None:
    busy = Busy(docs, kind("no", retry_after_s=0), 1)
    with pytest.raises(kind):
        load(busy, [GOOD])  # type: ignore[arg-type]
    assert len(busy.request_ids) == 1


def test_killed_is_not_an_error_of_ours(docs: Collection) -> None:
    with pytest.raises(Killed):
        load(Dying(docs, 0, False), [GOOD])  # type: ignore[arg-type]
