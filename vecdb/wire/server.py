"""The one place where a gRPC server is put together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from vecdb.errors import FailedPrecondition
from vecdb.model.info import MAX_MESSAGE_BYTES, ServerInfo
from vecdb.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    collections_pb2,
    collections_pb2_grpc,
    points_pb2,
    points_pb2_grpc,
    search_pb2,
    search_pb2_grpc,
)
from vecdb.wire.admin_service import AdminServicer
from vecdb.wire.admission import Gate
from vecdb.wire.calls import Calls, ScopeOf
from vecdb.wire.collections_service import CollectionsServicer
from vecdb.wire.failures import Failures
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

SLOW_CALLS = 8  # compacting, waiting, checking: few at a time
SPARE_THREADS = 16  # for health, reflection and the calls that have no gate

_COLLECTIONS = collections_pb2.DESCRIPTOR.services_by_name["CollectionsService"]
_POINTS = points_pb2.DESCRIPTOR.services_by_name["PointsService"]
_SEARCH = search_pb2.DESCRIPTOR.services_by_name["SearchService"]
_ADMIN = admin_pb2.DESCRIPTOR.services_by_name["AdminService"]
SERVICES: tuple[str, ...] = tuple(service.full_name for service in (_COLLECTIONS, _POINTS, _SEARCH, _ADMIN))
WRITING: tuple[str, ...] = (_COLLECTIONS.full_name, _POINTS.full_name)
_SLOW = ("Compact", "WaitIndexed", "Check")


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Options of a server. ``address``: ``host:port`` (port 0: any free one) or ``unix:/path``.

    ``max_calls`` reads, and as many writes, are answered at a time, each kind with ``max_request_bytes`` of
    requests together; more are refused with RESOURCE_EXHAUSTED. ``max_streams`` search streams may be open: an idle
    one holds a thread, but is no read. ``info`` holds the limits of one call.
    """

    address: str = "127.0.0.1:50051"
    max_calls: int = 64
    max_request_bytes: int = 512 * MIB
    max_streams: int = 256
    info: ServerInfo = ServerInfo()


class Server:
    """A gRPC server of one database: vecdb.v1, health and reflection. It does not own the database.

    ``scope_of`` (for tests, until there are keys) finds the caller's scope in the metadata of a call.
    Raises FailedPrecondition when the address cannot be listened on.
    """

    def __init__(
        self, database: Database, options: ServerOptions = ServerOptions(), scope_of: ScopeOf | None = None
    ) -> None:
        calls = Calls(scope_of)
        self.health = Health(database.failure, SERVICES, WRITING)
        reads = Gate("reads", options.max_calls, options.max_request_bytes)
        writes = Gate("writes", options.max_calls, options.max_request_bytes)
        slow = Gate("slow admin calls", SLOW_CALLS, options.max_request_bytes)
        gates = {f"/{_ADMIN.full_name}/{name}": slow for name in _SLOW}
        for service in (_POINTS, _SEARCH):
            gates |= {f"/{service.full_name}/{name}": reads for name in service.methods_by_name}
        gates[f"/{_POINTS.full_name}/Write"] = writes
        gates[f"/{_SEARCH.full_name}/SearchStream"] = Gate("search streams", options.max_streams, 0)
        failures = Failures(self.health.refresh)
        self._streams = Streams(reads, failures)
        threads = 2 * options.max_calls + options.max_streams + SLOW_CALLS + SPARE_THREADS
        self._server = grpc.server(
            ThreadPoolExecutor(threads, thread_name_prefix="rpc"),
            interceptors=(TranslateErrors(failures), AdmitCalls(gates)),
            options=_channel_options(options.info.limits.message_bytes),
        )
        add: Any = self._server
        collections_pb2_grpc.add_CollectionsServiceServicer_to_server(CollectionsServicer(database, calls), add)
        points_pb2_grpc.add_PointsServiceServicer_to_server(PointsServicer(database, calls, options.info.limits), add)
        search = SearchServicer(database, calls, options.info.limits, self._streams)
        search_pb2_grpc.add_SearchServiceServicer_to_server(search, add)
        admin_pb2_grpc.add_AdminServiceServicer_to_server(AdminServicer(database, calls, options.info), add)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, add)
        reflection.enable_server_reflection((*SERVICES, _HEALTH, reflection.SERVICE_NAME), add)
        self.address = self._listen(options.address)

    def start(self) -> None:
        """Begin to answer."""
        self._server.start()

    def stop(self, grace_s: float) -> None:
        """Say NOT_SERVING, take no new calls, end streams, and wait up to ``grace_s`` seconds for what is under way."""
        self.health.enter_graceful_shutdown()
        stopped = self._server.stop(grace_s)
        self._streams.end()
        stopped.wait()

    def _listen(self, address: str) -> str:
        host, _, asked = address.rpartition(":")
        path = address.startswith("unix:")
        port = 0
        if path or (host and asked.isdecimal() and int(asked) < 65_536):  # gRPC takes a larger one modulo 65,536
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
