"""Runs a load: blocking, or awaited with the reading in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from vecdb.client.load.loading import Loading, LoadOptions
from vecdb.client.load.mapping import GUESS, ByField, Choice, Column, Payload, length_of, resolve
from vecdb.client.load.opening import open_source
from vecdb.client.load.progress import Progress, reporter
from vecdb.client.load.report import LoadPlan, LoadReport
from vecdb.client.load.source import BatchSize, Source
from vecdb.client.operations import Model
from vecdb.errors import InvalidArgument, VecdbError
from vecdb.model.point import VectorColumn
from vecdb.model.schema import Metric, TextField, VectorField

if TYPE_CHECKING:
    from vecdb.client.collection import Collection


def load(
    collection: Collection,
    source: Any,
    *,
    id: Column = GUESS,
    vector: ByField = GUESS,
    text: ByField = GUESS,
    payload: Payload = GUESS,
    format: str | None = None,
    json_columns: Sequence[str] = (),
    on_error: str = "raise",
    rejects: str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | bool | None = None,
    restart: bool = False,
    model: Model | None = None,
    durability: str | None = None,
    timeout: float | None = None,
    batch: int | None = None,
    progress: Progress = False,
    dry_run: bool = False,
) -> LoadReport:
    """Load points from a file, a table, a DataFrame or any iterable, in bounded memory; see ``open_source``.

    ``id``, ``vector``, ``text``: names of columns; those not given are guessed, None is for none (ids are then row
    numbers, from "0"). ``vector`` and ``text`` may be dicts of column by field. ``payload``: a list of columns, a
    dict of column by key, or the name of one column that holds the whole object; not given: every other column.
    ``json_columns``: payload columns whose text is parsed as JSON. ``batch``: the most rows of a write; a batch also
    ends at about 8 MiB.

    Points are upserted, batch by batch. A killed load of a file, started again, goes on where it was: ``checkpoint``
    names the file by which it does (None: beside the source, False: none), ``restart`` ignores what is there.
    ``on_error``: "raise" stops at the first batch with a row that cannot be a point, "skip" writes such rows to the
    file ``rejects`` (None: beside the source). ``progress``: True for a bar, or what is called with the numbers of
    rows done and of all. ``timeout``: seconds for each batch. ``dry_run``: read and check the first batch, write
    nothing.

    Raises what ``upsert`` raises while nothing is written, PartialWrite afterwards, FailedPrecondition when a
    checkpoint is of another source, collection or mapping, or when a library is missing.
    """
    options = LoadOptions(
        id=id,
        vector=vector,
        text=text,
        payload=payload,
        json_columns=tuple(json_columns),
        on_error=on_error,
        rejects=rejects,
        checkpoint=checkpoint,
        restart=restart,
        model=model,
        batch=batch,
        dry_run=dry_run,
    )
    options.validate()
    with Loading(open_source(source, format), options) as loading:
        loading.begin(collection.describe(timeout=timeout))
        if dry_run:
            return loading.first()
        with reporter(progress, f"load {collection.name}", loading.total) as advance:
            while (made := loading.next()) is not None:
                while True:
                    try:
                        points = made.points
                        collection.upsert(
                            points.ids,
                            points.vectors,
                            points.texts,
                            points.payloads,
                            model=points.model,
                            durability=durability,
                            request_id=made.request_id,
                            timeout=timeout,
                        )
                        break
                    except VecdbError as error:
                        time.sleep(loading.failed(made, error))
                loading.acknowledged(made)
                advance(loading.rows)
        return loading.report()


async def load_async(
    collection: Any,
    source: Any,
    *,
    id: Column = GUESS,
    vector: ByField = GUESS,
    text: ByField = GUESS,
    payload: Payload = GUESS,
    format: str | None = None,
    json_columns: Sequence[str] = (),
    on_error: str = "raise",
    rejects: str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | bool | None = None,
    restart: bool = False,
    model: Model | None = None,
    durability: str | None = None,
    timeout: float | None = None,
    batch: int | None = None,
    progress: Progress = False,
    dry_run: bool = False,
) -> LoadReport:
    """``load`` into a collection of an asynchronous client; files are read in a thread, ``source`` too if it is an
    iterator. When cancelled it stops after the batch in flight, and a load of a file can go on from there."""
    options = LoadOptions(
        id=id,
        vector=vector,
        text=text,
        payload=payload,
        json_columns=tuple(json_columns),
        on_error=on_error,
        rejects=rejects,
        checkpoint=checkpoint,
        restart=restart,
        model=model,
        batch=batch,
        dry_run=dry_run,
    )
    options.validate()
    loop = asyncio.get_running_loop()
    # One thread: whatever was begun there ends before the files are closed, also when this is cancelled.
    thread = ThreadPoolExecutor(1, "vecdb-load")
    loading: Loading | None = None
    try:
        opened = await loop.run_in_executor(thread, open_source, source, format)
        loading = Loading(opened, options)
        await loop.run_in_executor(thread, loading.begin, await collection.describe(timeout=timeout))
        if dry_run:
            return await loop.run_in_executor(thread, loading.first)
        with reporter(progress, f"load {collection.name}", loading.total) as advance:
            while (made := await loop.run_in_executor(thread, loading.next)) is not None:
                while True:
                    try:
                        points = made.points
                        await collection.upsert(
                            points.ids,
                            points.vectors,
                            points.texts,
                            points.payloads,
                            model=points.model,
                            durability=durability,
                            request_id=made.request_id,
                            timeout=timeout,
                        )
                        break
                    except VecdbError as error:
                        await asyncio.sleep(await loop.run_in_executor(thread, loading.failed, made, error))
                await loop.run_in_executor(thread, loading.acknowledged, made)
                advance(loading.rows)
        return await loop.run_in_executor(thread, loading.report)
    finally:
        if loading is not None:
            thread.submit(loading.close)
        thread.shutdown(wait=False)


def plan(
    source: Source,
    *,
    id: Column = GUESS,
    vector: ByField = GUESS,
    text: ByField = GUESS,
    payload: Payload = GUESS,
    metric: Metric | None = None,
    json_columns: Sequence[str] = (),
) -> LoadPlan:
    """What a load of ``source`` would do, and the fields of a collection for it: dimensions are those of the first
    vectors, the metric is ``metric``, or what the file says, or cosine. The rows seen are not lost to a later load.

    Raises InvalidArgument where there are no rows, or no vector to know the dimension by.
    """
    head = source.head(BatchSize())
    if head is None:
        raise InvalidArgument(
            "there are no rows to know the fields by", field=source.name, expected="rows", received="0"
        )
    mapping = resolve(head, Choice(id, vector, text, payload, tuple(json_columns)), None)
    used: Metric = metric or source.metric or "cosine"
    fields = {}
    for name, column in mapping.vectors.items():
        found = head.vectors(column)
        dim = (
            found.data.shape[1]
            if isinstance(found, VectorColumn) and len(found.data)
            else length_of(head.sample(column))
        )
        if not dim:
            raise InvalidArgument(
                "the first rows have no vector to know the dimension by",
                field=column,
                expected="a list of numbers",
                received="none",
            )
        fields[name] = VectorField(dim, used)
    texts = {name: TextField() for name in mapping.texts}
    return LoadPlan(source.name, source.rows, mapping, fields, texts)
