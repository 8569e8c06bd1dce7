"""Runs an export: all points of a collection to files or to standard output, in bounded memory."""

from __future__ import annotations

import asyncio
import os
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from vecdb.client.filters import Where
from vecdb.client.load.extras import needs
from vecdb.client.load.opening import format_of
from vecdb.client.load.progress import Progress, reporter
from vecdb.client.load.report import ExportReport
from vecdb.client.load.sink import Sink
from vecdb.client.load.sink_jsonl import JsonLinesSink
from vecdb.client.load.sink_numpy import NpySink
from vecdb.errors import AlreadyExists, InvalidArgument
from vecdb.model.hit import Point
from vecdb.model.info import MAX_SCROLL_POINTS
from vecdb.model.schema import Schema

if TYPE_CHECKING:
    from vecdb.client.async_collection import AsyncCollection
    from vecdb.client.collection import Collection

STANDARD_OUTPUT = "-"
FORMATS = ("parquet", "jsonl", "npy")

# Vectors fetched at once.
_FETCH_BYTES = 8 << 20
_FETCH_POINTS = 2_000


def export(
    collection: Collection,
    path: str | os.PathLike[str],
    *,
    filter: Where | None = None,
    format: str | None = None,
    with_vectors: bool = True,
    with_text: bool = True,
    with_payload: bool = True,
    overwrite: bool = False,
    timeout: float | None = None,
    progress: Progress = False,
) -> ExportReport:
    """What ``Collection.export`` does, where all is told."""
    schema = collection.describe(timeout=timeout).schema
    began = time.monotonic()
    with (
        _open_sink(str(path), format, schema, with_vectors, with_text, with_payload, overwrite) as sink,
        reporter(
            progress, f"export {collection.name}", None if progress is False else collection.count(filter=filter)
        ) as advance,
    ):
        fetch = _fetch(schema, with_vectors)
        points = collection.scroll(
            filter=filter,
            batch=fetch,
            with_payload=with_payload,
            with_text=with_text,
            with_vectors=with_vectors,
            timeout=timeout,
        )
        while some := list(islice(points, fetch)):
            sink.write(some)
            advance(sink.written)
        sink.finish()
    return ExportReport(collection.name, sink.written, sink.paths, sink.nbytes, time.monotonic() - began)


async def export_async(
    collection: AsyncCollection,
    path: str | os.PathLike[str],
    *,
    filter: Where | None = None,
    format: str | None = None,
    with_vectors: bool = True,
    with_text: bool = True,
    with_payload: bool = True,
    overwrite: bool = False,
    timeout: float | None = None,
    progress: Progress = False,
) -> ExportReport:
    """``export`` from a collection of an asynchronous client; files are written in a thread."""
    schema = (await collection.describe(timeout=timeout)).schema
    began = time.monotonic()
    total = None if progress is False else await collection.count(filter=filter)
    with (
        _open_sink(str(path), format, schema, with_vectors, with_text, with_payload, overwrite) as sink,
        reporter(progress, f"export {collection.name}", total) as advance,
    ):
        fetch = _fetch(schema, with_vectors)
        held: list[Point] = []
        async for point in collection.scroll(
            filter=filter,
            batch=fetch,
            with_payload=with_payload,
            with_text=with_text,
            with_vectors=with_vectors,
            timeout=timeout,
        ):
            held.append(point)
            if len(held) == fetch:
                await asyncio.to_thread(sink.write, held)
                advance(sink.written)
                held = []
        await asyncio.to_thread(sink.write, held)
        advance(sink.written)
        await asyncio.to_thread(sink.finish)
    return ExportReport(collection.name, sink.written, sink.paths, sink.nbytes, time.monotonic() - began)


def _open_sink(
    path: str,
    format: str | None,
    schema: Schema,
    with_vectors: bool,
    with_text: bool,
    with_payload: bool,
    overwrite: bool,
) -> Sink:
    shown = Schema(
        schema.vectors if with_vectors else {},
        schema.texts if with_text else {},
        sparse=schema.sparse if with_vectors else {},
    )
    if path == STANDARD_OUTPUT:
        if format not in (None, "jsonl"):
            raise InvalidArgument(
                "standard output takes JSON lines alone", field="format", expected="jsonl", received=repr(format)
            )
        return JsonLinesSink(None, shown, with_payload)
    file = Path(path)
    kind = format_of(file, FORMATS, format)
    if not file.parent.is_dir():
        raise InvalidArgument("no such folder", field="path", expected="a folder", received=str(file.parent))
    made: Sink
    if kind == "jsonl":
        made = JsonLinesSink(file, shown, with_payload)
    elif kind == "npy":
        made = NpySink(file, shown, with_payload)
    else:
        with needs("pyarrow", "parquet"):
            from vecdb.client.load.sink_parquet import ParquetSink

        made = ParquetSink(file, shown, with_payload)
    there = [str(found) for found in made.paths if found.exists()]
    if there and not overwrite:
        raise AlreadyExists(
            "there is a file of that name; overwrite=True replaces it",
            field="path",
            expected="a new name",
            received=", ".join(there),
        )
    return made


def _fetch(schema: Schema, with_vectors: bool) -> int:
    row_bytes = 4 * sum(field.dim for field in schema.vectors.values()) if with_vectors else 0
    return max(1, min(_FETCH_POINTS, MAX_SCROLL_POINTS, _FETCH_BYTES // max(1, row_bytes)))
