"""A gRPC channel as this client wants it: sizes, keepalive, and retries of what is safe to send again."""

from __future__ import annotations

import json
import os
import threading
import weakref
from pathlib import Path

import grpc

from vecdb.errors import FailedPrecondition, InvalidArgument
from vecdb.model.info import MAX_MESSAGE_BYTES

DEFAULT_PORT = 50051

# Creating, dropping and naming are not repeated: the second attempt would meet the first one's effect.
# A write is: its request id makes the second attempt return the first one's result. An archive is not either: what
# was sent of it is gone, and gRPC would keep 128 MiB of it to send again.
_REPEATABLE = (
    {"service": "vecdb.v1.PointsService"},
    {"service": "vecdb.v1.SearchService", "method": "Search"},
    {"service": "vecdb.v1.SearchService", "method": "Analyze"},
    *(
        {"service": "vecdb.v1.AdminService", "method": method}
        for method in ("Info", "Stats", "DatabaseStats", "Compact", "WaitIndexed", "SetIndexing", "Check", "Reopen")
    ),
    {"service": "vecdb.v1.CollectionsService", "method": "ListCollections"},
    {"service": "vecdb.v1.CollectionsService", "method": "DescribeCollection"},
)

# Five attempts over about three seconds: a restart of a small server.
_SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": _REPEATABLE,
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.2s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                # What a server that stops says to the calls it can no longer answer. Our own are cancelled for good.
                "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
            },
        }
    ]
}

_OPTIONS = (
    ("grpc.max_send_message_length", -1),  # the client splits, the server refuses
    ("grpc.max_receive_message_length", -1),  # the server cuts its answers to fit; one point alone always passes
    ("grpc.per_rpc_retry_buffer_size", 2 * MAX_MESSAGE_BYTES),  # a message larger than this is not sent again
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),  # idle connections are kept too
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.use_local_subchannel_pool", 1),  # a connection for each client, not one for the process
    ("grpc.enable_http_proxy", 0),
)


def open_channel(address: str, tls: bool | str | os.PathLike[str] | None, retries: bool = True) -> grpc.Channel:
    """A channel to ``address``; ``tls`` True trusts the system's roots, a path those in that PEM file.

    Without ``retries`` a call that finds no server fails at once.
    """
    _refuse_torn()
    if not tls:
        return grpc.insecure_channel(address, options=(*_OPTIONS, ("grpc.enable_retries", int(retries))))
    return grpc.secure_channel(address, _credentials(tls), options=_OPTIONS)


def open_async_channel(address: str, tls: bool | str | os.PathLike[str] | None) -> grpc.aio.Channel:
    """As ``open_channel``, for the running event loop."""
    _refuse_torn()
    if tls:
        channel = grpc.aio.secure_channel(address, _credentials(tls), options=_OPTIONS)
    else:
        channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
    _async_channels.add(channel)
    return channel


# gRPC prepares for a fork, but not while an event loop's channel has a thread inside it: the child's first call
# would then end the process.
_async_channels: weakref.WeakSet[grpc.aio.Channel] = weakref.WeakSet()
_torn = threading.Event()


def _in_child() -> None:
    if len(_async_channels):
        _torn.set()


os.register_at_fork(after_in_child=_in_child)


def _refuse_torn() -> None:
    if _torn.is_set():
        raise FailedPrecondition(
            "gRPC cannot be used here: this process was forked from one in which an async client was in use",
            expected="an async client that is first used after the fork, or closed before it, or a spawned process",
            received="a forked process",
        )


def _credentials(tls: bool | str | os.PathLike[str]) -> grpc.ChannelCredentials:
    try:
        roots = None if isinstance(tls, bool) else Path(tls).read_bytes()
    except OSError as error:
        raise InvalidArgument(
            "cannot read the certificates", field="tls", expected="a PEM file", received=str(error)
        ) from None
    return grpc.ssl_channel_credentials(roots)


def is_repeatable(path: str) -> bool:
    """Whether a call of the method ``/service/method`` may be sent a second time."""
    _, service, method = path.split("/")
    return {"service": service} in _REPEATABLE or {"service": service, "method": method} in _REPEATABLE


def with_port(address: str) -> str:
    """``address``, with the port of vecdb when it names none. Raises InvalidArgument."""
    if not address or "\0" in address:
        raise InvalidArgument(
            "not an address", field="address", expected="host:port or unix:/path", received=repr(address)
        )
    host_alone = ":" not in address or (address.startswith("[") and address.endswith("]"))
    return f"{address}:{DEFAULT_PORT}" if host_alone else address
