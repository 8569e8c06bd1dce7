"""The same load and export, awaited: files are read and written in a thread, and cancelling leaves nothing open."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.load.files import FORMATS, rows
from tests.load.model import contents
from vecdb import errors
from vecdb.client.async_collection import AsyncCollection
from vecdb.client.connect import open as open_client
from vecdb.client.connect import open_async
from vecdb.client.load import load_async


def with_docs(folder: Path, use: Callable[[AsyncCollection], Awaitable[None]]) -> Any:
    """Run ``use`` on an empty collection; afterwards what it holds."""

    async def run() -> None:
        async with await open_async(folder / "data", durability="os") as db:
            await use(await db.create_collection("docs", 4, "dot"))

    asyncio.run(run())
    with open_client(folder / "data") as db:
        assert db.check() == []
        return contents(db.collection("docs"))


@pytest.mark.parametrize("name", ["parquet", "jsonl", "hdf5", "iterator", "arrow reader"])
def test_every_row_arrives(tmp_path: Path, name: str) -> None:
    given, format = rows(11), FORMATS[name]
    heard: list[int] = []

    async def use(docs: AsyncCollection) -> None:
        source = format.make(given, tmp_path / f"x.{format.extension}")
        report = await load_async(docs, source, batch=3, progress=lambda done, total: heard.append(done))
        assert (report.read, report.written) == (11, 11)

    assert with_docs(tmp_path, use) == given.model(**format.kept)
    assert heard == [3, 6, 9, 11]


@pytest.mark.parametrize("format", ["parquet", "jsonl", "npy"])
def test_what_was_exported_is_loaded_again(tmp_path: Path, format: str) -> None:
    async def use(docs: AsyncCollection) -> None:
        await docs.upsert([1, 2, 3], [[1, 2, 3, 4]] * 2 + [None], ["a", None, "c"], [{"x": 1.0}, None, {}])
        report = await docs.export(tmp_path / f"x.{format}", progress=lambda done, total: None)
        assert report.written == 3
        await docs.clear()
        await docs.load(tmp_path / f"x.{format}")

    found = with_docs(tmp_path, use)
    assert {id: payload for id, (payload, _, _) in found.items()} == {"1": b'{"x":1.0}', "2": None, "3": b"{}"}
    assert found["3"][2] == {} and found["1"][1] == {"": "a"}


def test_cancelled_it_goes_on_where_it_was(tmp_path: Path) -> None:
    path = FORMATS["jsonl"].make(rows(11), tmp_path / "x.jsonl")

    async def use(docs: AsyncCollection) -> None:
        two_batches = asyncio.Event()

        def progress(done: int, total: int | None) -> None:
            if done == 6:
                two_batches.set()
                task.cancel()

        task = asyncio.create_task(load_async(docs, path, batch=3, progress=progress))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert two_batches.is_set()
        report = await load_async(docs, path, batch=3)
        assert report.resumed_from == 6

    assert with_docs(tmp_path, use) == rows(11).model()


def test_bad_rows_and_dry_runs(tmp_path: Path) -> None:
    async def use(docs: AsyncCollection) -> None:
        records = [{"id": i, "vector": [1, 2, 3, 4 if i != 3 else None]} for i in range(4)]
        assert (await load_async(docs, records, dry_run=True)).skipped == 1
        with pytest.raises(errors.PartialWrite, match="row 3"):
            await load_async(docs, records, batch=2)
        report = await load_async(docs, records, on_error="skip", rejects=tmp_path / "r", batch=3)
        assert (report.written, report.skipped) == (3, 1)

    assert set(with_docs(tmp_path, use)) == {"0", "1", "2"}
