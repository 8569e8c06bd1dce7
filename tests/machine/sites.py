"""The databases that one history runs on at once: other stores, other sizes, other ways to reach them."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tests.client.from_loop import LoopThread, from_loop
from tests.engine.handle import SMALL
from tests.machine.model import SCHEMA, Clock
from vecdb.client.async_client import AsyncClient
from vecdb.client.client import Client
from vecdb.client.collection import Collection
from vecdb.client.transport_embedded import EmbeddedTransport
from vecdb.client.transport_grpc import GrpcTransport
from vecdb.client.transport_grpc_async import AsyncGrpcTransport
from vecdb.client.transport_pooled import PooledTransport
from vecdb.engine.database import Database
from vecdb.engine.options import EngineOptions
from vecdb.errors import CollectionExists
from vecdb.model.context import CallContext
from vecdb.model.filter import Filter
from vecdb.model.filter.expression import F
from vecdb.storage.memory import MemoryKV
from vecdb.wire.server import Server, ServerOptions

NAME = "c"
TENANT = F("tenant") == "a"
TIMEOUT_S = 30.0


def scope_of(metadata: Mapping[str, str | bytes]) -> Filter | None:
    """The server's rule for callers: who shows the key of tenant a is held to its points."""
    return TENANT if metadata.get("authorization") == "Bearer a" else None


class _Borrowed(EmbeddedTransport):
    """Leaves the database open."""

    def close(self) -> None:
        pass


class Site:
    """An open database with one collection, reached as an unlimited caller and as one of a tenant.

    ``called`` is the collection's name, ``alias`` what else it answers to. Those who come from elsewhere (over
    gRPC, or else from an event loop) find it by that. ``apart``: from elsewhere is another way in.
    """

    name: str
    apart = True

    def __init__(self) -> None:
        self.called = NAME
        self.alias: str | None = None
        self._clients: dict[tuple[bool, bool], Client] = {}

    def connect(self, awaited: bool) -> None:
        """Reach it by clients of its own; ``awaited``: those from elsewhere are of an event loop."""
        raise NotImplementedError

    def reopen(self, options: str) -> None:
        """Close and open, with options of that name where it takes any."""
        raise NotImplementedError

    def open(self) -> None:
        """Open what is there."""
        raise NotImplementedError

    def close(self) -> None:
        """Close it; all is released."""
        raise NotImplementedError

    def derived_files(self) -> list[Path]:
        """Every file of a sealed segment."""
        raise NotImplementedError

    def collection(self, limited: bool = False, remote: bool = False) -> Collection:
        """The collection as a caller finds it, here or from elsewhere (``remote``)."""
        return self._clients[limited, remote].collection(self.alias or self.called if remote else self.called)

    def surfaces(self, limited: bool) -> list[Collection]:
        """Every way to the collection, where there are different ones."""
        return [self.collection(limited, remote) for remote in ((False, True) if self.apart else (False,))]

    def call(self, what: str, remote: bool) -> None:
        """Rename it, give it an alias, or take that away again; it then says so itself."""
        client = self._clients[False, remote]
        if what == "rename":
            old, self.called = self.called, "d" if self.called == NAME else NAME
            client.rename_collection(old, self.called)
        elif what == "alias":
            self.alias = "also"
            client.alias(self.alias, self.called)
        elif self.alias is not None:
            client.drop_alias(self.alias)
            self.alias = None
        for info in (*client.list_collections(), self.collection(remote=remote).describe()):
            assert (info.name, info.aliases) == (self.called, () if self.alias is None else (self.alias,))

    def archive(self, file: Path, remote: bool, base: Path | None = None) -> None:
        """Write a snapshot of the collection."""
        self._clients[False, remote].snapshot(file, [self.called], base=base)

    def restore(self, archives: list[Path], remote: bool) -> None:
        """Drop the collection, and make it again of its archives."""
        client = self._clients[False, remote]
        client.drop_collection(self.called)
        (made,) = client.restore(archives).collections
        assert (made.name, made.points) == (self.called, self.collection().count())

    def check(self) -> list[str]:
        """What is wrong with it."""
        return self._clients[False, False].check()

    def seq(self) -> int:
        """The number of its last write."""
        return self.collection().stats().seq

    def _disconnect(self) -> None:
        for client in self._clients.values():
            client.close()
        self._clients = {}


class EngineSite(Site):
    """An engine in this process, of which tests may look at the inside; one of them is served too."""

    def __init__(
        self, name: str, folder: Path, options: EngineOptions, loop: LoopThread, clock: Clock, served: bool = False
    ) -> None:
        super().__init__()
        self.name = name
        self._clock = clock
        self.apart = served
        self._folder = folder
        self._options = options
        self._loop = loop
        self._awaited = False
        self._kv = MemoryKV()
        self._server: Server | None = None
        self.open()
        self.collection().describe()

    @property
    def in_memory(self) -> bool:
        return not self.apart

    def open(self) -> None:
        if self.apart:
            self.db = Database.open(self._folder, self._options, self._clock)
            self._server = Server(self.db, ServerOptions("127.0.0.1:0"), scope_of)
            self._server.start()
        else:
            self.db = Database(
                self._kv, self._folder / "segments", self._options, clock=self._clock, identity=self.name
            )
        self.connect(self._awaited)
        with contextlib.suppress(CollectionExists):  # its fields may be others by now
            self.db.create_collection(CallContext(), self.called, SCHEMA)

    def connect(self, awaited: bool) -> None:
        self._disconnect()
        self._awaited = awaited
        for limited in (False, True):
            self._clients[limited, False] = Client(_Borrowed(self.db, TENANT if limited else None), TIMEOUT_S)
            self._clients[limited, True] = self._elsewhere(limited)

    def _elsewhere(self, limited: bool) -> Client:
        scope, key = (TENANT, "a") if limited else (None, None)
        if self._server is None:
            near = _Borrowed(self.db, scope)
            if not self._awaited:
                return Client(near, TIMEOUT_S)
            return from_loop(AsyncClient(PooledTransport(lambda: near), TIMEOUT_S), self._loop)
        if not self._awaited:
            return Client(GrpcTransport(self._server.address, key), TIMEOUT_S)
        return from_loop(AsyncClient(AsyncGrpcTransport(self._server.address, key), TIMEOUT_S), self._loop)

    def close(self) -> None:
        self._disconnect()
        if self._server is not None:
            self._server.stop(grace_s=5)
        self.db.close()

        self._kv = self._kv.durable_copy()

    def reopen(self, options: str | None = None) -> None:
        """Close and open, with other options from now on. In memory: find what the last sync left."""
        self.close()
        self._options = OPTIONS[options] if options else self._options
        self.open()

    def power_cut(self, keep: int) -> None:
        """Go on with what was synced and ``keep`` of the batches that were not (in memory only)."""
        left = self._kv.durable_copy(keep)
        self.close()
        self._kv = left
        self.open()

    def copy(self, folder: Path) -> None:
        """Copy its files, as they are while it is closed."""
        self.close()
        shutil.copytree(self._folder, folder)
        self.open()

    def derived_files(self) -> list[Path]:
        return sorted(path for path in self._folder.glob("**/segments/*/*/*") if path.is_file())

    def rest(self) -> None:
        """Nobody writes until maintenance has nothing left to do."""
        while self.db.maintain():
            pass

    def check(self) -> list[str]:
        return self.db.check(CallContext())

    def seq(self) -> int:
        return self.db.stats(CallContext(), self.called).seq


KEPT = replace(SMALL, keep_changes_s=1e9)
OPTIONS = {
    "small": KEPT,
    "exact": replace(SMALL, use_graphs=False, growing_rows=100_000, idle_seal_s=1e9),
    "crumbs": replace(
        KEPT, growing_rows=5, growing_vector_bytes=150, graph_rows=6, seal_bytes=400, max_segment_bytes=6_000
    ),
    "big": replace(
        KEPT, keep_changes_bytes=20_000, growing_rows=60, growing_body_bytes=2_000, graph_rows=30, seal_bytes=1 << 20
    ),
    "busy": replace(SMALL, graph_rows=1, idle_seal_s=1e9),
}


def engines(folder: Path, loop: LoopThread, clock: Clock) -> list[EngineSite]:
    """The same history must give the same answers on all of these, by the same clock."""
    return [
        EngineSite("served", folder / "served", OPTIONS["small"], loop, clock, served=True),
        *(EngineSite(name, folder / name, OPTIONS[name], loop, clock) for name in ("exact", "crumbs", "big")),
    ]
