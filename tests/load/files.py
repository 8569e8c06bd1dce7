"""The same rows in every format: what a person's own script would have written."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas
import pyarrow
import pyarrow.dataset
import pyarrow.parquet

from tests.load.model import Model, point


@dataclass(frozen=True)
class Rows:
    """Rows as columns; a format that has no room for some of them leaves them out."""

    ids: list[str]
    vectors: np.ndarray
    texts: list[str]
    years: list[int]

    def model(self, *, ids: bool = True, texts: bool = True, years: bool = True, year_type: type = int) -> Model:
        """What a collection holds once they are loaded."""
        return {
            (self.ids[i] if ids else str(i)): point(
                {"year": year_type(self.years[i])} if years else None, self.texts[i] if texts else None, self.vectors[i]
            )
            for i in range(len(self.ids))
        }


def rows(n: int, dim: int = 4, seed: int = 5) -> Rows:
    """``n`` rows whose vectors are not alike."""
    vectors = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return Rows(
        [f"id-{i:05}" for i in range(n)], vectors, [f"text {i}, 文本" for i in range(n)], [1900 + i for i in range(n)]
    )


def table(given: Rows, kind: Any = None) -> pyarrow.Table:
    vectors = pyarrow.array([vector.tolist() for vector in given.vectors], kind or pyarrow.list_(pyarrow.float32()))
    return pyarrow.table({"id": given.ids, "embedding": vectors, "text": given.texts, "year": given.years})


def records(given: Rows) -> list[dict[str, Any]]:
    vectors = given.vectors.astype(np.float64).tolist()
    columns = zip(given.ids, vectors, given.texts, given.years, strict=True)
    return [{"id": id, "embedding": vector, "text": text, "year": year} for id, vector, text, year in columns]


def parquet(given: Rows, path: Path) -> Any:
    # Row groups that end where no batch does.
    pyarrow.parquet.write_table(table(given), path, row_group_size=7)
    return path


def parquet_fixed(given: Rows, path: Path) -> Any:
    pyarrow.parquet.write_table(table(given, pyarrow.list_(pyarrow.float64(), given.vectors.shape[1])), path)
    return path


def arrow_table(given: Rows, path: Path) -> Any:
    return table(given)


def arrow_reader(given: Rows, path: Path) -> Any:
    return table(given).to_reader(max_chunksize=3)


def arrow_dataset(given: Rows, path: Path) -> Any:
    return pyarrow.dataset.dataset(table(given))


def arrow_stream(given: Rows, path: Path) -> Any:
    class Foreign:
        """What another library's table looks like."""

        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return table(given).__arrow_c_stream__(requested_schema)

    return Foreign()


def data_frame(given: Rows, path: Path) -> Any:
    return pandas.DataFrame(records(given), index=[f"row {i}" for i in range(len(given.ids))])


def jsonl(given: Rows, path: Path) -> Any:
    lines = [json.dumps(record, ensure_ascii=False) for record in records(given)]
    path.write_text("\n\n".join(lines), encoding="utf-8")
    return str(path)


def jsonl_gz(given: Rows, path: Path) -> Any:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in records(given))
    return path


def csv_file(given: Rows, path: Path, delimiter: str = ",") -> Any:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["id", "embedding", "text", "year"])
        for record in records(given):
            writer.writerow([record["id"], json.dumps(record["embedding"]), record["text"], record["year"]])
    return path


def tsv_file(given: Rows, path: Path) -> Any:
    return csv_file(given, path, "\t")


def npy(given: Rows, path: Path) -> Any:
    np.save(path, given.vectors)
    return path


def npy_fortran_double(given: Rows, path: Path) -> Any:
    np.save(path, np.asfortranarray(given.vectors.astype(np.float64)))
    return path


def npz(given: Rows, path: Path) -> Any:
    np.savez(path, ids=given.ids, embedding=given.vectors, text=np.array(given.texts), year=given.years)
    return path


def npz_compressed(given: Rows, path: Path) -> Any:
    np.savez_compressed(path, vectors=given.vectors)
    return path


def fvecs(given: Rows, path: Path) -> Any:
    dims = np.full((len(given.vectors), 1), given.vectors.shape[1], "<i4")
    np.hstack([dims.view("<f4"), given.vectors]).astype("<f4").tofile(path)
    return path


def hdf5(given: Rows, path: Path) -> Any:
    with h5py.File(path, "w") as file:
        file.attrs["distance"] = "dot"
        file["train"] = given.vectors
        file["test"] = given.vectors[:2]
        file["neighbors"] = np.zeros((2, 3), np.int32)
        file["distances"] = np.zeros((2, 3), np.float32)
    return path


def iterator(given: Rows, path: Path) -> Any:
    return iter(records(given))


@dataclass(frozen=True)
class Format:
    """A way to hand rows over: ``make(rows, path)`` gives what is loaded; ``kept`` says what of them is left."""

    make: Callable[[Rows, Path], Any]
    extension: str
    kept: dict[str, Any]
    options: dict[str, Any]


_VECTORS_ALONE = {"ids": False, "texts": False, "years": False}


def _format(make: Callable[[Rows, Path], Any], extension: str = "", kept: Any = None, **options: Any) -> Format:
    return Format(make, extension, kept or {}, options)


FORMATS = {
    "parquet": _format(parquet, "parquet"),
    "parquet fixed doubles": _format(parquet_fixed, "pq"),
    "arrow table": _format(arrow_table),
    "arrow reader": _format(arrow_reader),
    "arrow dataset": _format(arrow_dataset),
    "arrow stream": _format(arrow_stream),
    "data frame": _format(data_frame),
    "jsonl": _format(jsonl, "jsonl"),
    "jsonl.gz": _format(jsonl_gz, "jsonl.gz"),
    "csv as text": _format(csv_file, "csv", {"year_type": str}),
    "csv": _format(csv_file, "csv", json_columns=["year"]),
    "tsv": _format(tsv_file, "tsv", json_columns=["year"]),
    "npy": _format(npy, "npy", _VECTORS_ALONE),
    "npy fortran double": _format(npy_fortran_double, "npy", _VECTORS_ALONE),
    "npz": _format(npz, "npz", id="ids"),
    "npz compressed": _format(npz_compressed, "npz", _VECTORS_ALONE),
    "fvecs": _format(fvecs, "fvecs", _VECTORS_ALONE),
    "hdf5": _format(hdf5, "hdf5", _VECTORS_ALONE),
    "iterator": _format(iterator),
}
