"""AsyncClient: a database for event loops, wherever its engine runs."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from vecdb.client import build, calls
from vecdb.client.archives.files import Place
from vecdb.client.archives.transfers import Base, giving, taking
from vecdb.client.async_collection import AsyncCollection
from vecdb.client.calls import Call
from vecdb.client.lanes import READ, SLOW, WRITE, Lane
from vecdb.client.load.progress import Progress
from vecdb.client.progress import in_loop
from vecdb.client.run import Budget
from vecdb.client.transport import AsyncTransport
from vecdb.model.collection import CollectionInfo, DatabaseStats
from vecdb.model.info import ServerInfo
from vecdb.model.schema import Metric, SparseField, TextField, VectorField
from vecdb.model.snapshot import RestoreReport, SnapshotSummary

T = TypeVar("T")


class AsyncClient:
    """A database; made by ``vecdb.connect_async`` or ``vecdb.open_async``. An async context manager that closes it.

    Its methods are those of Client, with the same parameters, awaited; they are told in full there. Awaiting it
    opens what is to be opened, else the first use does. It may be made where no event loop runs, and used from
    several. Thread rule: may be used from any number of loops and threads.
    """

    def __init__(self, transport: AsyncTransport, timeout: float | None) -> None:
        self._transport = transport
        self._timeout = timeout

    async def create_collection(
        self,
        name: str,
        dim: int | None = None,
        metric: Metric = "cosine",
        analyzer: str = "multilingual",
        model: str | None = None,
        *,
        vectors: Mapping[str, VectorField] | None = None,
        texts: Mapping[str, TextField] | None = None,
        sparse: Mapping[str, SparseField] | None = None,
        m: int = 16,
        ef_construction: int = 200,
        default_vector: str | None = None,
        ttl: float | timedelta | None = None,
        payload_columns: bool = True,
        exist_ok: bool = False,
    ) -> AsyncCollection:
        """Create a collection and return it."""
        made = build.schema(
            dim=dim,
            metric=metric,
            analyzer=analyzer,
            model=model,
            vectors=vectors,
            texts=texts,
            sparse=sparse,
            m=m,
            ef_construction=ef_construction,
            default_vector=default_vector,
            ttl=ttl,
            payload_columns=payload_columns,
        )
        collection = self.collection(name)
        await self._run(calls.CreateCollection(name, made, exist_ok), WRITE)
        return collection

    def collection(self, name: str) -> AsyncCollection:
        """The collection of that name. Makes no call: whether it exists shows when it is used."""
        return AsyncCollection(self._transport, build.name(name, "name"), self._timeout)

    async def rename_collection(self, name: str, new_name: str) -> None:
        """Give a collection another name; its points and aliases stay."""
        await self._run(calls.RenameCollection(build.name(name, "name"), build.name(new_name, "new_name")), WRITE)

    async def alias(self, name: str, collection: str) -> None:
        """Let ``name`` stand for a collection wherever points are written and read, at once and for everybody."""
        await self._run(calls.SetAlias(build.name(name, "name"), build.name(collection, "collection")), WRITE)

    async def drop_alias(self, name: str) -> None:
        """Forget an alias; the collection stays. Raises NotFound."""
        await self._run(calls.DropAlias(build.name(name, "name")), WRITE)

    async def list_collections(self) -> list[CollectionInfo]:
        """All collections, by name."""
        return await self._run(calls.ListCollections())

    async def drop_collection(self, name: str) -> None:
        """Remove a collection and everything in it, for good. Raises CollectionNotFound."""
        await self._run(calls.DropCollection(build.name(name, "name")), WRITE)

    async def info(self) -> ServerInfo:
        """Release, features and limits of the engine behind this client."""
        return await self._run(calls.Info())

    async def stats(self) -> DatabaseStats:
        """Numbers of the whole database."""
        return await self._run(calls.DatabaseStats())

    async def check(self, timeout: float | None = None) -> list[str]:
        """Verify everything the engine holds; what is wrong, a sentence each. ``timeout`` None: no limit."""
        return await self._transport.run(iter(calls.Check()), Budget(timeout, None), SLOW)

    async def reopen(self, timeout: float | None = None) -> None:
        """Open the store again after a failed write or sync, without a restart; the engine tries it by itself too.

        Every acknowledged write is there afterwards, each other one entirely or not at all. Where nothing failed it
        does nothing. Raises ReadOnly while the disk still refuses; reads go on.
        """
        await self._transport.run(iter(calls.Reopen()), Budget(timeout, None), SLOW)

    async def snapshot(
        self,
        target: Place,
        collections: Sequence[str] | None = None,
        base: Base | None = None,
        *,
        timeout: float | None = None,
        progress: Progress = False,
    ) -> SnapshotSummary:
        """Write an archive of ``collections`` (None: all) as they are at one commit; a thread writes the file."""
        with taking(target, collections, base, in_loop(progress) if callable(progress) else progress) as (call, finish):
            await self._transport.run(iter(call), Budget(timeout, None), SLOW)
            return await asyncio.to_thread(finish)

    async def restore(
        self,
        source: Place | Sequence[Place],
        collections: Sequence[str] | None = None,
        rename: Mapping[str, str] | None = None,
        dry_run: bool = False,
        *,
        timeout: float | None = None,
        progress: Progress = False,
    ) -> RestoreReport:
        """Make collections from an archive, or from a whole one and those that go on from it; a thread reads them."""
        with giving(
            source, collections, rename, dry_run, in_loop(progress) if callable(progress) else progress
        ) as call:
            return await self._transport.run(iter(call), Budget(timeout, None), SLOW)

    async def close(self) -> None:
        """Release everything. Later calls raise Closed; closing again does nothing."""
        await self._transport.close()

    async def _run(self, call: Call[T], lane: Lane = READ) -> T:
        return await self._transport.run(iter(call), Budget(self._timeout, None), lane)

    def __await__(self) -> Generator[Any, None, Self]:
        yield from self._transport.open().__await__()
        return self

    async def __aenter__(self) -> Self:
        return await self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
