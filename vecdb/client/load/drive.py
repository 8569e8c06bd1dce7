"""Runs a load: blocking, or awaited with the reading in a thread of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from vecdb.client.guess import GUESS, ByField, Column, PayloadColumns
from vecdb.client.load.loading import Loading
from vecdb.client.load.mapping import Choice, length_of, resolve
from vecdb.client.load.opening import open_source
from vecdb.client.load.options import LoadMore, LoadOptions
from vecdb.client.load.progress import reporter
from vecdb.client.load.report import LoadPlan, LoadReport
from vecdb.client.load.source import BatchSize, Source
from vecdb.errors import InvalidArgument, VecdbError
from vecdb.model.point import VectorColumn
from vecdb.model.schema import Metric, SparseField, TextField, VectorField

if TYPE_CHECKING:
    from vecdb.client.async_collection import AsyncCollection
    from vecdb.client.collection import Collection


def load(
    collection: Collection,
    source: Any,
    *,
    id: Column = GUESS,
    vector: ByField = GUESS,
    text: ByField = GUESS,
    payload: PayloadColumns = GUESS,
    **more: Unpack[LoadMore],
) -> LoadReport:
    """What ``Collection.load`` does, where all is told. ``source`` may be one of ``open_source``, which is closed."""
    options = LoadOptions(id, vector, text, payload, **more)
    with Loading(open_source(source, options.format), options) as loading:
        loading.begin(collection.describe(timeout=options.timeout))
        if options.dry_run:
            return loading.first()
        with reporter(options.progress, f"load {collection.name}", loading.total) as advance:
            while (batch := loading.next()) is not None:
                while not batch.stored:
                    try:
                        collection.upsert(**batch.arguments(options))
                        batch.stored = True
                    except VecdbError as error:
                        time.sleep(loading.failed(batch, error))
                loading.acknowledged(batch)
                advance(loading.rows)
        return loading.report()


async def load_async(
    collection: AsyncCollection,
    source: Any,
    *,
    id: Column = GUESS,
    vector: ByField = GUESS,
    text: ByField = GUESS,
    payload: PayloadColumns = GUESS,
    **more: Unpack[LoadMore],
) -> LoadReport:
    """``load`` into a collection of an asynchronous client.

    The source is read, and an iterator called, in a thread. When cancelled it stops after the batch in flight, and
    a load of a file can go on from there.
    """
    options = LoadOptions(id, vector, text, payload, **more)
    # One thread: whatever was begun there ends before the files are closed, also when this is cancelled.
    thread = ThreadPoolExecutor(1, "vecdb-load")
    run = partial(asyncio.get_running_loop().run_in_executor, thread)
    loading: Loading | None = None
    try:
        loading = Loading(await run(open_source, source, options.format), options)
        await run(loading.begin, await collection.describe(timeout=options.timeout))
        if options.dry_run:
            return await run(loading.first)
        with reporter(options.progress, f"load {collection.name}", loading.total) as advance:
            while (batch := await run(loading.next)) is not None:
                while not batch.stored:
                    try:
                        await collection.upsert(**batch.arguments(options))
                        batch.stored = True
                    except VecdbError as error:
                        await asyncio.sleep(await run(loading.failed, batch, error))
                await run(loading.acknowledged, batch)
                advance(loading.rows)
        return await run(loading.report)
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
    payload: PayloadColumns = GUESS,
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
    sparse = {name: SparseField() for name in mapping.sparse}
    return LoadPlan(source.name, source.rows, mapping, fields, texts, sparse)
