"""Client: a database, wherever its engine runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Self, TypeVar

from vecdb.client import build, calls
from vecdb.client.archives.files import Place
from vecdb.client.archives.transfers import Base, giving, taking
from vecdb.client.calls import Call
from vecdb.client.collection import Collection
from vecdb.client.load.progress import Progress
from vecdb.client.transport import Transport
from vecdb.model.collection import CollectionInfo, DatabaseStats
from vecdb.model.info import ServerInfo
from vecdb.model.schema import Metric, SparseField, TextField, VectorField
from vecdb.model.snapshot import RestoreReport, SnapshotSummary

T = TypeVar("T")


class Client:
    """A database; made by ``vecdb.connect`` or ``vecdb.open``. A context manager that closes it.

    Thread rule: one client may be used from any number of threads.
    """

    def __init__(self, transport: Transport, timeout: float | None) -> None:
        self._transport = transport
        self._timeout = timeout

    def create_collection(
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
    ) -> Collection:
        """Create a collection and return it.

        ``dim`` (1..65,536), ``metric`` (cosine, euclidean, dot), ``model``, ``m`` and ``ef_construction``
        describe the unnamed vector field, ``analyzer`` the unnamed text field; ``vectors`` and ``texts`` add
        fields by name, ``sparse`` fields of sparse vectors. ``default_vector``: the field meant where none is named
        (None: the unnamed, or the only one). ``ttl``: seconds, or a timedelta, after which points are gone that are
        written without a time of their own. ``payload_columns``: whether values of payloads are kept in columns, which
        filters are answered from.

        Raises CollectionExists if the name is taken or, with ``exist_ok``, if the schema differs, naming what does;
        FieldNotFound if ``default_vector`` is no field.
        """
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
        self._run(calls.CreateCollection(name, made, exist_ok))
        return collection

    def collection(self, name: str) -> Collection:
        """The collection of that name. Makes no call: whether it exists shows when it is used."""
        return Collection(self._transport, build.name(name, "name"), self._timeout)

    def rename_collection(self, name: str, new_name: str) -> None:
        """Give a collection another name; its points and aliases stay.

        Raises CollectionNotFound, CollectionExists if ``new_name`` is taken, FailedPrecondition for an alias.
        """
        self._run(calls.RenameCollection(build.name(name, "name"), build.name(new_name, "new_name")))

    def alias(self, name: str, collection: str) -> None:
        """Let ``name`` stand for a collection wherever points are written and read, at once and for everybody.

        An alias that stood for another collection is moved in one step. Raises CollectionNotFound,
        CollectionExists if a collection has that name, and FailedPrecondition if ``collection`` is an alias.
        """
        self._run(calls.SetAlias(build.name(name, "name"), build.name(collection, "collection")))

    def drop_alias(self, name: str) -> None:
        """Forget an alias; the collection stays. Raises NotFound."""
        self._run(calls.DropAlias(build.name(name, "name")))

    def list_collections(self) -> list[CollectionInfo]:
        """All collections, by name."""
        return self._run(calls.ListCollections())

    def drop_collection(self, name: str) -> None:
        """Remove a collection and everything in it, for good. Raises CollectionNotFound."""
        self._run(calls.DropCollection(build.name(name, "name")))

    def info(self) -> ServerInfo:
        """Release, features and limits of the engine behind this client."""
        return self._run(calls.Info())

    def stats(self) -> DatabaseStats:
        """Numbers of the whole database."""
        return self._run(calls.DatabaseStats())

    def check(self, timeout: float | None = None) -> list[str]:
        """Verify everything the engine holds; what is wrong, a sentence each. ``timeout`` None: no limit."""
        return self._transport.send(calls.Check(), timeout)

    def reopen(self, timeout: float | None = None) -> None:
        """Open the store again after a failed write or sync, without a restart; the engine tries it by itself too.

        Every acknowledged write is there afterwards, each other one entirely or not at all. Where nothing failed it
        does nothing. Raises ReadOnly while the disk still refuses; reads go on.
        """
        self._transport.send(calls.Reopen(), timeout)

    def snapshot(
        self,
        target: Place,
        collections: Sequence[str] | None = None,
        base: Base | None = None,
        *,
        timeout: float | None = None,
        progress: Progress = False,
    ) -> SnapshotSummary:
        """Write an archive of ``collections`` (None: all) as they are at one commit, while reads and writes go on.

        ``target``: a path, whose file is replaced when the new one is complete and durable, or an open binary file.
        ``base``: an earlier archive, its path or summary; the new one holds what came since, and is restored after it.
        ``progress``: True for a bar, or a function of the bytes so far and None. Ends when it is done, cancelled, or
        ``timeout`` seconds (None: no limit) or the engine's ``max_snapshot_s`` have passed; then nothing stays.

        Raises CollectionNotFound, and FailedPrecondition for a base of another database.
        """
        with taking(target, collections, base, progress) as (call, finish):
            self._transport.send(call, timeout)
            return finish()

    def restore(
        self,
        source: Place | Sequence[Place],
        collections: Sequence[str] | None = None,
        rename: Mapping[str, str] | None = None,
        dry_run: bool = False,
        *,
        timeout: float | None = None,
        progress: Progress = False,
    ) -> RestoreReport:
        """Make collections from an archive, or from a whole one and those that go on from it, in their order.

        Every byte is verified first; then all collections appear at once, or none. ``collections``: only these (None:
        all), by the names in the archive; ``rename``: other names for some. ``dry_run``: verify everything, make
        nothing, tell what would be made. ``progress``: True for a bar, or a function of the bytes so far and in all.

        Raises CollectionExists, CollectionNotFound, FormatTooNew, DataLoss naming what is damaged, FailedPrecondition
        for archives that do not go on from each other, and NotFound for a file that is not there.
        """
        with giving(source, collections, rename, dry_run, progress) as call:
            return self._transport.send(call, timeout)

    def close(self) -> None:
        """Release everything. Later calls raise Closed; closing again does nothing."""
        self._transport.close()

    def _run(self, call: Call[T]) -> T:
        return self._transport.send(call, self._timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
