"""The one place where a gRPC server is put together."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from vecdb.errors import FailedPrecondition
from vecdb.model.info import MAX_MESSAGE_BYTES, Limits, ServerInfo
from vecdb.v1 import (
    admin_pb2_grpc,
    collections_pb2_grpc,
    points_pb2_grpc,
    search_pb2_grpc,
)
from vecdb.wire.address import is_loopback
from vecdb.wire.admin_service import AdminServicer
from vecdb.wire.calls import Calls, ScopeOf
from vecdb.wire.collections_service import CollectionsServicer
from vecdb.wire.failures import Failures
from vecdb.wire.gates import SERVICES, WRITING, Gates
from vecdb.wire.health import Health
from vecdb.wire.interceptors import AdmitCalls, TranslateErrors
from vecdb.wire.points_service import PointsServicer
from vecdb.wire.search_service import SearchServicer
from vecdb.wire.streams import Streams

if TYPE_CHECKING:
    from vecdb.engine.database import Database

MIB = 1 << 20

# A client counts the bytes of its columns; tags, lengths and names come on top.
MESSAGE_SLACK_BYTES = 1 * MIB

SPARE_THREADS = 16  # for health, reflection and the calls that have no gate


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Options of a server. ``address``: ``host:port`` (port 0: any free one) or ``unix:/path``.

    ``max_calls`` reads, and as many writes, are answered at a time, each kind with ``max_request_bytes`` of
    requests together; more are refused with RESOURCE_EXHAUSTED. ``max_streams`` search streams may be open: an idle
    one holds a thread, but is no read. ``max_followers`` calls may wait for changes, each with a thread, too.
    ``info`` holds the limits of one call. ``insecure``: an address that other
    machines can reach may be listened on, though anybody there may then read and write everything.
    """

    address: str = "127.0.0.1:50051"
    max_calls: int = 64
    max_request_bytes: int = 512 * MIB
    max_streams: int = 256
    max_followers: int = 64
    insecure: bool = False
    info: ServerInfo = ServerInfo()


class Server:
    """A gRPC server of one database: vecdb.v1, health and reflection. It does not own the database.

    ``scope_of`` (for tests, until there are keys) finds the caller's scope in the metadata of a call.
    Raises FailedPrecondition when the address cannot be listened on, or only with ``insecure``.
    """

    def __init__(
        self, database: Database, options: ServerOptions = ServerOptions(), scope_of: ScopeOf | None = None
    ) -> None:
        calls = Calls(scope_of)
        limits = _within(options.info.limits, database.options.limits())
        self.health = Health(database.state, SERVICES, WRITING)
        database.watch(self.health.refresh)
        gates = Gates(options.max_calls, options.max_request_bytes, options.max_streams, options.max_followers)
        failures = Failures(self.health.refresh)
        self._streams = Streams(gates.reads, failures)
        self._stopping = threading.Event()
        self._server = grpc.server(
            ThreadPoolExecutor(gates.calls + SPARE_THREADS, thread_name_prefix="rpc"),
            interceptors=(TranslateErrors(failures), AdmitCalls(gates.by_method)),
            options=_channel_options(options.info.limits.message_bytes),
        )
        add: Any = self._server
        collections_pb2_grpc.add_CollectionsServiceServicer_to_server(CollectionsServicer(database, calls, limits), add)
        points_pb2_grpc.add_PointsServiceServicer_to_server(
            PointsServicer(database, calls, limits, self._stopping), add
        )
        search = SearchServicer(database, calls, limits, self._streams)
        search_pb2_grpc.add_SearchServiceServicer_to_server(search, add)
        admin_pb2_grpc.add_AdminServiceServicer_to_server(
            AdminServicer(database, calls, replace(options.info, limits=limits)), add
        )
        health_pb2_grpc.add_HealthServicer_to_server(self.health, add)
        reflection.enable_server_reflection((*SERVICES, _HEALTH, reflection.SERVICE_NAME), add)
        self.address = self._listen(options)

    def start(self) -> None:
        """Begin to answer."""
        self._server.start()

    def stop(self, grace_s: float) -> None:
        """Say NOT_SERVING, take no new calls, end streams, and wait up to ``grace_s`` seconds for what is under way."""
        self.health.enter_graceful_shutdown()
        self._stopping.set()
        stopped = self._server.stop(grace_s)
        self._streams.end()
        stopped.wait()

    def _listen(self, options: ServerOptions) -> str:
        address, port = options.address, 0
        host, _, asked = address.rpartition(":")
        path = address.startswith("unix:")
        if path or (host and asked.isdecimal() and int(asked) < 65_536):  # gRPC takes a larger one modulo 65,536
            if not options.insecure and not is_loopback(address):
                raise FailedPrecondition(
                    "without keys and TLS whoever reaches this address reads and writes everything; "
                    "serve with --insecure where that is meant",
                    field="address",
                    expected="127.0.0.1:port, localhost:port, [::1]:port or unix:/path",
                    received=address,
                )
            try:
                port = self._server.add_insecure_port(address)
            except RuntimeError:  # what gRPC raises whatever the reason, which it logs
                pass
        if not port:
            raise FailedPrecondition(
                "cannot listen", field="address", expected="host:port or unix:/path that is free", received=address
            )
        return address if path else f"{host}:{port}"


_HEALTH = "grpc.health.v1.Health"


def _within(asked: Limits, engine: Limits) -> Limits:
    """The limits of a server: those of its engine where they are options of it, else as asked and possible."""
    return replace(
        asked,
        search_window=min(asked.search_window, engine.search_window),
        search_legs=min(asked.search_legs, engine.search_legs),
        ef=min(asked.ef, engine.ef),
        dim=min(asked.dim, engine.dim),
        fields=min(asked.fields, engine.fields),
        id_bytes=engine.id_bytes,
        batch_rows=engine.batch_rows,
        payload_bytes=engine.payload_bytes,
        text_bytes=engine.text_bytes,
        collections=engine.collections,
    )


def _channel_options(message_bytes: int = MAX_MESSAGE_BYTES) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", message_bytes + MESSAGE_SLACK_BYTES),
        ("grpc.max_send_message_length", -1),  # answers are cut to fit; one point alone must always pass
        ("grpc.so_reuseport", 0),  # two servers on one port would share its calls
        # Clients of ours ping every 30 s, also when idle; every 10 s is welcome.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 9_000),
        # Find out about clients that are gone.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
    ]
