"""From what a person names to a source: which format it is, and who reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vecdb.client.load.extras import needs
from vecdb.client.load.source import Source
from vecdb.client.load.source_csv import CsvSource
from vecdb.client.load.source_exported import ExportedSource, rows_path
from vecdb.client.load.source_jsonl import JsonLinesSource
from vecdb.client.load.source_numpy import NpySource, NpzSource
from vecdb.client.load.source_pandas import PandasSource
from vecdb.client.load.source_records import RecordSource
from vecdb.client.load.source_texmex import TexmexSource
from vecdb.errors import InvalidArgument, NotFound

STANDARD_INPUT = "-"
FORMATS = ("parquet", "jsonl", "csv", "tsv", "npy", "npz", "fvecs", "bvecs", "ivecs", "hdf5")
_OTHER_NAMES = {"pq": "parquet", "ndjson": "jsonl", "h5": "hdf5", "hdf": "hdf5"}
_COMPRESSIBLE = ("jsonl", "csv", "tsv")


def open_source(source: Any, format: str | None = None) -> Source:
    """What ``source`` gives rows from: a path, "-" for standard input, an Arrow table, reader or data set, a
    DataFrame, an iterable of dicts or of points; a Source as it is.

    ``format`` is one of parquet, jsonl, csv, tsv, npy, npz, fvecs, bvecs, ivecs, hdf5; None: by the name's
    extension, jsonl for standard input. Raises InvalidArgument, NotFound for a file that is not there, and
    FailedPrecondition naming what to install for a format that needs it.
    """
    if isinstance(source, str | Path):
        return _open_path(str(source), format)
    if format is not None:
        raise InvalidArgument("only files have a format", field="format", expected="None", received=repr(format)[:40])
    if isinstance(source, Source):
        return source
    library = type(source).__module__.partition(".")[0]
    if library == "pandas" and hasattr(source, "iloc") and hasattr(source, "columns"):
        return PandasSource(source)
    if library == "pyarrow" or hasattr(source, "__arrow_c_stream__"):
        with needs("pyarrow", "Arrow"):
            from vecdb.client.load.source_arrow import ArrowSource

        return ArrowSource(source)
    if isinstance(source, Iterable) and not isinstance(source, bytes | Mapping):
        return RecordSource(source)
    raise InvalidArgument(
        "nothing to load from",
        field="source",
        expected="a path, an Arrow table or reader, a DataFrame, or an iterable of dicts or points",
        received=type(source).__name__,
    )


def format_of(path: Path, allowed: tuple[str, ...], format: str | None) -> str:
    """The format asked for, or that of the extension. Raises InvalidArgument."""
    found = format
    if found is None:
        name = path.name.lower()
        found = name.removesuffix(".gz").rpartition(".")[2]
        if name.endswith(".gz") and _OTHER_NAMES.get(found, found) not in _COMPRESSIBLE:
            found = "gz"
    found = _OTHER_NAMES.get(found, found)
    if found not in allowed:
        raise InvalidArgument(
            "unknown format" if format else f"the extension of {path.name} names no format; say format=...",
            field="format",
            expected=" | ".join(allowed),
            received=repr(found),
        )
    return found


def _open_path(source: str, format: str | None) -> Source:
    if source == STANDARD_INPUT:
        kind = format_of(Path("-.jsonl"), ("jsonl", "csv", "tsv"), format)
        return JsonLinesSource(None) if kind == "jsonl" else CsvSource(None, _DELIMITERS[kind])
    path = Path(source)
    kind = format_of(path, FORMATS, format)
    if not path.is_file():
        raise NotFound("no such file", field="source", expected="a file", received=source)
    match kind:
        case "parquet":
            with needs("pyarrow", "parquet"):
                from vecdb.client.load.source_arrow import ParquetSource

            return ParquetSource(path)
        case "hdf5":
            with needs("h5py", "HDF5"):
                from vecdb.client.load.source_hdf5 import Hdf5Source

            return Hdf5Source(path)
        case "jsonl":
            return JsonLinesSource(path)
        case "csv" | "tsv":
            return CsvSource(path, _DELIMITERS[kind])
        case "npy":
            return ExportedSource(path) if rows_path(path).is_file() else NpySource(path)
        case "npz":
            return NpzSource(path)
        case _:
            return TexmexSource(path, kind)


_DELIMITERS = {"csv": ",", "tsv": "\t"}
