"""A directory that several clients share, as a site of the state machine: the engine is in a process of its own.

What is known of it is what its clients say. Its server may be killed at any time: nobody notices.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import psutil

from tests.client.from_loop import LoopThread, from_loop
from tests.machine.model import SCHEMA
from tests.machine.sites import TIMEOUT_S, Site
from tests.shared.site import is_free, kill_server, server_pid, wait_for
from vecdb.client.async_client import AsyncClient
from vecdb.client.client import Client
from vecdb.client.shared_transport import SharedTransport
from vecdb.client.transport_grpc import GrpcTransport
from vecdb.client.transport_pooled import PooledTransport
from vecdb.errors import CollectionExists

SERVER = "tests.machine.shared_server"
OPTIONS = {"growing_rows": 20, "graph_rows": 12, "idle_seal_s": 0.05, "write_buffer_bytes": 1 << 20}


class _OfTenant(SharedTransport):
    """Shows the key of tenant a."""

    def _new_link(self) -> GrpcTransport:
        return GrpcTransport(self._address, "a", retries=False)


class SharedSite(Site):
    """Each of its four clients is one of its own, as if in a process of its own."""

    name = "shared"

    def __init__(self, folder: Path, loop: LoopThread) -> None:
        super().__init__()
        self._folder = folder
        self._loop = loop
        self._awaited = False
        self.open()

    def open(self) -> None:
        self.connect(self._awaited)
        with contextlib.suppress(CollectionExists):  # its fields may be others by now
            self._clients[False, False].create_collection(
                self.called, vectors=SCHEMA.vectors, texts=SCHEMA.texts, sparse=SCHEMA.sparse
            )

    def connect(self, awaited: bool) -> None:
        before, self._awaited = self._clients, awaited
        self._clients = {}
        for limited in (False, True):
            self._clients[limited, False] = Client(self._transport(limited), TIMEOUT_S)
            self._clients[limited, True] = self._elsewhere(limited)
        for client in before.values():  # now, so that the server goes on
            client.close()

    def _elsewhere(self, limited: bool) -> Client:
        if not self._awaited:
            return Client(self._transport(limited), TIMEOUT_S)
        return from_loop(AsyncClient(PooledTransport(lambda: self._transport(limited)), TIMEOUT_S), self._loop)

    def _transport(self, limited: bool) -> SharedTransport:
        return (_OfTenant if limited else SharedTransport)(self._folder, OPTIONS, TIMEOUT_S)

    def reopen(self, options: str) -> None:
        self.close()
        self.open()

    def close(self) -> None:
        self._disconnect()
        try:
            wait_for(lambda: is_free(self._folder))
        except AssertionError:
            kill_server(self._folder)  # no process outlives its test
            raise

    def derived_files(self) -> list[Path]:
        return sorted(path for path in self._folder.glob("segments/*/*/*") if path.is_file())

    def kill(self) -> None:
        """Its server; the next call starts another."""
        kill_server(self._folder)

    @contextmanager
    def killed_meanwhile(self) -> Iterator[None]:
        """Its server is killed while the block runs, or is about to."""

        def kill() -> None:
            with contextlib.suppress(psutil.NoSuchProcess):
                server.kill()

        server = psutil.Process(server_pid(self._folder))
        killer = Thread(target=kill)
        killer.start()
        try:
            yield
        finally:
            killer.join()
