"""One promise for every format: what is in the source is in the collection, however it is cut into batches."""

from __future__ import annotations

import datetime
import decimal
import io
import json
import sys
import uuid
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas
import pyarrow
import pyarrow.parquet
import pytest

from tests.load.files import FORMATS, Format, rows
from tests.load.model import contents, point
from vecdb import errors
from vecdb.client.client import Client
from vecdb.client.collection import Collection
from vecdb.client.load import export, load, open_source, plan
from vecdb.client.load.source import BatchSize


@pytest.fixture(params=FORMATS, ids=lambda name: name.replace(" ", "-"))
def format(request: pytest.FixtureRequest) -> Format:
    return FORMATS[request.param]


class TestEveryFormat:
    """What holds for all of them."""

    @pytest.mark.parametrize("batch", [1, 5, None])
    def test_the_collection_holds_the_rows(
        self, docs: Collection, format: Format, batch: int | None, tmp_path: Path
    ) -> None:
        given = rows(23)
        source = format.make(given, tmp_path / f"rows.{format.extension}")
        report = load(docs, source, batch=batch, **format.options)
        assert contents(docs) == given.model(**format.kept)
        assert (report.read, report.written, report.skipped, report.resumed_from) == (23, 23, 0, None)
        assert report.warnings == []
        left = [path.name for path in tmp_path.iterdir() if path.name.startswith("rows.") and "load" in path.name]
        assert left == [], "a complete load leaves no checkpoint"

    def test_chunks_from_a_boundary_are_the_same(self, format: Format, tmp_path: Path) -> None:
        """By this a resumed load sends the very batches that the first would have sent."""
        given = rows(23)
        path = tmp_path / f"rows.{format.extension}"
        size = BatchSize(rows=4)

        def bounds(start: int) -> list[tuple[int, int]]:
            with open_source(format.make(given, path)) as source:
                return [(chunk.start, chunk.n) for chunk in source.chunks(start, size)]

        whole = bounds(0)
        assert sum(n for _, n in whole) == 23 and len(whole) == 6
        for i, (start, _) in enumerate(whole):
            assert bounds(start) == whole[i:]
        assert bounds(23) == []

    def test_a_batch_is_bounded_in_bytes(self, format: Format, tmp_path: Path) -> None:
        given = rows(64, dim=100)
        with open_source(format.make(given, tmp_path / f"rows.{format.extension}")) as source:
            chunks = list(source.chunks(0, BatchSize(rows=1000, nbytes=4_000)))
        assert sum(chunk.n for chunk in chunks) == 64
        assert max(chunk.n for chunk in chunks) <= 10

    def test_nothing_is_there(self, docs: Collection, format: Format, tmp_path: Path) -> None:
        if format.extension == "npy" or "arrow" in format.make.__name__ or "parquet" in format.make.__name__:
            source = format.make(rows(0), tmp_path / f"rows.{format.extension}")
            assert load(docs, source, **format.options).read == 0
            assert contents(docs) == {}

    def test_a_plan_knows_the_fields(self, format: Format, tmp_path: Path) -> None:
        with open_source(format.make(rows(9), tmp_path / f"rows.{format.extension}")) as source:
            made = plan(source, metric="dot", **{k: v for k, v in format.options.items() if k == "id"})
            assert {name: (field.dim, field.metric) for name, field in made.vectors.items()} == {"": (4, "dot")}


def test_bytes_and_whole_numbers_as_vectors(docs: Collection, tmp_path: Path) -> None:
    for extension, number in (("bvecs", "u1"), ("ivecs", "<i4")):
        vectors = np.arange(12, dtype=number).reshape(3, 4)
        rows = [np.array([4], "<i4").tobytes() + vector.tobytes() for vector in vectors]
        (tmp_path / f"x.{extension}").write_bytes(b"".join(rows))
        load(docs, tmp_path / f"x.{extension}")
        assert contents(docs) == {str(i): point(None, None, vectors[i]) for i in range(3)}


@pytest.mark.parametrize(("format", "name"), [(None, "jsonl"), ("csv", "csv"), ("tsv", "tsv")])
def test_standard_input(
    docs: Collection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, format: str | None, name: str
) -> None:
    class Stdin:
        buffer = io.BytesIO(Path(FORMATS[name].make(rows(9), tmp_path / "x")).read_bytes())

    monkeypatch.setattr("sys.stdin", Stdin)
    with open_source("-", format) as source:
        assert plan(source).vectors[""].dim == 4
        load(docs, source, batch=2, **FORMATS[name].options)
    assert contents(docs) == rows(9).model()
    assert not Stdin.buffer.closed


def test_points_of_another_collection(db: Client, docs: Collection) -> None:
    load(docs, iter([{"id": 1, "vector": [1, 2, 3, 4], "text": "a", "x": 1}, {"id": 2, "vector": None}]))
    copy = db.create_collection("copy", 4, "dot")
    load(copy, docs.scroll(with_vectors=True), batch=1)
    assert contents(copy) == contents(docs) == {"1": point({"x": 1}, "a", [1, 2, 3, 4]), "2": point()}


def test_ids_of_every_kind(docs: Collection) -> None:
    ids: list[Any] = [1, "a", uuid.UUID(int=5), np.int64(7), 2**70]
    load(docs, [{"id": id, "vector": [1, 2, 3, 4]} for id in ids])
    assert set(contents(docs)) == {"1", "a", str(uuid.UUID(int=5)), "7", str(2**70)}


def test_columns_of_arrows_extension_types(docs: Collection) -> None:
    kind = pyarrow.fixed_shape_tensor(pyarrow.float32(), [4])
    vectors = pyarrow.ExtensionArray.from_storage(
        kind, pyarrow.array([[1, 2, 3, 4]], pyarrow.list_(pyarrow.float32(), 4))
    )
    load(docs, pyarrow.table({"id": ["a"], "vector": vectors}))
    assert contents(docs) == {"a": point(None, None, [1, 2, 3, 4])}
    if hasattr(pyarrow, "uuid"):
        ids = pyarrow.array([uuid.UUID(int=5).bytes], pyarrow.uuid())
        load(docs, pyarrow.table({"id": ids, "vector": [[1.0, 2.0, 3.0, 4.0]], "other": ids}))
        same = str(uuid.UUID(int=5))
        assert contents(docs)[same] == point({"other": same}, None, [1, 2, 3, 4])


def test_whole_numbers_beyond_float(docs: Collection, tmp_path: Path) -> None:
    """A JSON number of more digits than a float has keeps them, as an id, or is refused as payload."""
    path = tmp_path / "x.jsonl"
    lines = [{"id": 2**80 + 1, "vector": [1, 2, 3, 4], "n": 2**64 - 1}, {"id": 2, "vector": [0, 0, 0, 1], "n": 2**64}]
    path.write_text("\n".join(map(json.dumps, lines)))
    report = load(docs, path, on_error="skip")
    assert contents(docs) == {str(2**80 + 1): point({"n": 2**64 - 1}, None, [1, 2, 3, 4])}
    assert [(bad.row, bad.column) for bad in report.bad] == [(1, "n")]


NESTED = {
    "year": ([2020, None], [2020, None]),
    "ratio": ([0.5, 1.0], [0.5, 1.0]),
    "flag": ([True, False], [True, False]),
    "day": ([datetime.date(2020, 2, 29)] * 2, ["2020-02-29"] * 2),
    "when": ([datetime.datetime(2020, 1, 1, 12, 0, 0, 5, datetime.UTC)] * 2, ["2020-01-01T12:00:00.000005+00:00"] * 2),
    "tags": ([["a", None], []], [["a", None], []]),
    "who": (
        [{"name": "x", "age": None}, {"name": "y", "age": 3}],
        [{"name": "x", "age": None}, {"name": "y", "age": 3}],
    ),
}


@pytest.mark.parametrize("kind", ["table", "frame", "records"])
def test_nested_columns_keep_their_types(docs: Collection, kind: str) -> None:
    columns = {name: given for name, (given, _) in NESTED.items()}
    columns |= {"id": ["a", "b"], "vector": [[1.0, 2.0, 3.0, 4.0]] * 2}
    records = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    made = {
        "table": lambda: pyarrow.table(columns),
        "frame": lambda: pandas.DataFrame(records),
        "records": lambda: records,
    }
    load(docs, made[kind]())
    found = {hit.id: hit.payload for hit in docs.scroll()}
    expected = [{name: want[i] for name, (_, want) in NESTED.items()} for i in range(2)]
    assert found == {"a": expected[0], "b": expected[1]}


def test_a_frame_that_was_read_from_parquet(docs: Collection, tmp_path: Path) -> None:
    """Its lists are arrays, of objects where they hold text."""
    columns = {
        "id": ["a", "b"],
        "vector": [[1.0, 2.0, 3.0, 4.0]] * 2,
        "tags": [["x", "y"], None],
        "deep": [[["z"]], []],
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "x.parquet")
    load(docs, pandas.read_parquet(tmp_path / "x.parquet"))
    assert contents(docs) == {
        "a": point({"tags": ["x", "y"], "deep": [["z"]]}, None, [1, 2, 3, 4]),
        "b": point({"tags": None, "deep": []}, None, [1, 2, 3, 4]),
    }


def test_arrow_types_of_other_widths(docs: Collection) -> None:
    table = pyarrow.table(
        {
            "id": pyarrow.array([1, 2], pyarrow.uint32()),
            "vector": pyarrow.array([np.array([1, 2, 3, 4], np.float16), None], pyarrow.large_list(pyarrow.float16())),
            "text": pyarrow.array(["a", None], pyarrow.large_string()),
            "kind": pyarrow.array(["x", "y"]).dictionary_encode(),
            "when": pyarrow.array([1_000, None], pyarrow.timestamp("ns", "UTC")),
            "clock": pyarrow.array([1_000, None], pyarrow.time64("ns")),
        }
    )
    load(docs, table)
    first = {"kind": "x", "when": "1970-01-01T00:00:00.000001+00:00", "clock": "00:00:00.000001"}
    assert contents(docs) == {
        "1": point(first, "a", [1, 2, 3, 4]),
        "2": point({"kind": "y", "when": None, "clock": None}),
    }


@pytest.mark.parametrize(
    "column",
    [
        pyarrow.array([decimal.Decimal("1.10")]),
        pyarrow.array([b"bytes"]),
        pyarrow.array([1], pyarrow.timestamp("ns")),
        pyarrow.array([5], pyarrow.duration("s")),
        pyarrow.array([[("a", 1)]], pyarrow.map_(pyarrow.string(), pyarrow.int64())),
        pyarrow.array([{"deep": [decimal.Decimal("1.10")]}]),
    ],
    ids=lambda column: str(column.type).replace(" ", ""),
)
def test_what_json_cannot_hold_is_refused_by_name(docs: Collection, column: pyarrow.Array) -> None:
    table = pyarrow.table({"id": ["a"], "vector": [[1.0, 2.0, 3.0, 4.0]], "price": column})
    with pytest.raises(errors.InvalidArgument, match=r"price"):
        load(docs, table)
    assert contents(docs) == {}
    load(docs, table, payload=None)
    assert contents(docs) == {"a": point(None, None, [1, 2, 3, 4])}


def test_vectors_in_arrow_with_gaps_and_other_lengths(docs: Collection) -> None:
    """Lists that are no matrix: the odd ones are refused, the others loaded."""
    vectors = [[1.0, 2.0, 3.0, 4.0], None, [1.0], [1.0, None, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]
    table = pyarrow.table({"id": list("abcde"), "vector": vectors})
    report = load(docs, table, on_error="skip", rejects="/dev/null")
    assert contents(docs) == {
        "a": point(None, None, [1, 2, 3, 4]),
        "b": point(),
        "e": point(None, None, [5, 6, 7, 8]),
    }
    assert [bad.row for bad in report.bad] == [2, 3]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("x.fvecs", b"\4\0\0\0" + b"\0" * 15, "whole rows"),
        ("x.npy", b"nothing", "no array"),
        ("x.npz", b"nothing", "no array"),
        ("x.parquet", b"nothing", "not a parquet file"),
        ("x.hdf5", b"nothing", "not an HDF5 file"),
        ("x.csv", b"id,id\n1,2\n", "two columns"),
        ("x.csv", b'id,vector\n"a,2\n', "cannot be read on"),
        ("x.csv", b"id,vector\n\xff,2\n", "cannot be read on"),
        ("x.txt", b"", "names no format"),
        ("x.parquet.gz", b"", "names no format"),
    ],
)
def test_a_damaged_file_is_refused_by_name(
    docs: Collection, tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(errors.InvalidArgument, match=reason):
        load(docs, tmp_path / name)


@pytest.mark.parametrize("name", ["parquet", "jsonl.gz", "csv"])
def test_a_file_that_is_damaged_behind_its_first_batch(docs: Collection, tmp_path: Path, name: str) -> None:
    """What was written before is told; the error is one of ours and names the file."""
    format = FORMATS[name]
    path = Path(format.make(rows(6_000), tmp_path / f"x.{format.extension}"))
    content = path.read_bytes()
    if name == "csv":
        damaged = content[:-20] + b'"' + content[-20:]
    elif name == "jsonl.gz":
        damaged = content[:-20]
    else:
        middle = len(content) // 2
        damaged = content[:middle] + b"\xff" * 500 + content[middle + 500 :]
    path.write_bytes(damaged)
    with pytest.raises(errors.PartialWrite, match=f"(?s)cannot be read on.*{path.name}") as caught:
        load(docs, path, batch=500, durability="os", **format.options)
    assert caught.value.written == caught.value.next_index == docs.count() > 0


def test_what_an_iterator_raises_is_its_own(docs: Collection) -> None:
    def source() -> Any:
        yield {"id": 1, "vector": [1, 2, 3, 4]}
        raise OSError("the network is gone")

    with pytest.raises(OSError, match="the network is gone"):
        load(docs, source(), batch=1)
    assert set(contents(docs)) == {"1"}


def test_objects_are_not_unpickled(docs: Collection, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}]), allow_pickle=True)
    np.savez(tmp_path / "x.npz", vector=np.array([{"a": 1}]))
    for name in ("x.npy", "x.npz"):
        with pytest.raises(errors.InvalidArgument):
            load(docs, tmp_path / name)


def test_a_missing_library_names_the_command(docs: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.parquet").touch()
    (tmp_path / "x.hdf5").touch()
    for library in ("pyarrow", "h5py"):
        monkeypatch.setitem(sys.modules, library, None)
    for adapter in ("source_arrow", "sink_parquet", "source_hdf5"):
        monkeypatch.delitem(sys.modules, f"vecdb.client.load.{adapter}", raising=False)
    for name in ("x.parquet", "x.hdf5"):
        with pytest.raises(errors.FailedPrecondition, match=r"pip install 'vecdb-py\[import\]'"):
            load(docs, tmp_path / name)
    with pytest.raises(errors.FailedPrecondition, match=r"pip install 'vecdb-py\[import\]'"):
        export(docs, tmp_path / "y.parquet")


def test_a_file_of_another_metric_is_told(db: Client, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file.attrs["distance"] = "angular"
        file["train"] = np.ones((3, 4), np.float32)
    with open_source(tmp_path / "x.hdf5") as source:
        assert plan(source).vectors[""].metric == "cosine"
    report = load(db.create_collection("other", 4, "euclidean"), tmp_path / "x.hdf5")
    assert report.warnings == ["the file says cosine, the collection compares by euclidean"]


def test_not_a_source(docs: Collection, tmp_path: Path) -> None:
    for source in (5, b"x", {"id": 1}):
        with pytest.raises(errors.InvalidArgument, match="nothing to load from"):
            load(docs, source)
    with pytest.raises(errors.NotFound):
        load(docs, tmp_path / "nowhere.jsonl")
