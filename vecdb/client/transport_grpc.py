"""Calls to a server over gRPC, blocking."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import grpc

from vecdb.client import calls, rpc
from vecdb.client.archives import carrying
from vecdb.client.calls import Call
from vecdb.client.channel import open_channel
from vecdb.client.remote import ApiKey, Remote, remaining, within
from vecdb.client.rpc import Rpc
from vecdb.client.streams import STREAMS, Headers, SearchStreams
from vecdb.model.info import ServerInfo

T = TypeVar("T")


class _Connection:
    """A channel, its methods and streams, of the process that made them: a channel does not survive a fork."""

    def __init__(self, channel: grpc.Channel, address: str, headers: Headers) -> None:
        self.pid = os.getpid()
        self.channel = channel
        self.streams = SearchStreams(channel, address, headers)
        self._methods: dict[str, Callable[..., bytes]] = {}

    def method(self, path: str) -> Callable[..., bytes]:
        """What sends the bytes of a request and gives those of the answer."""
        found = self._methods.get(path)
        if found is None:
            found = self._methods[path] = self.channel.unary_unary(path)
        return found

    def close(self) -> None:
        self.streams.close()
        self.channel.close()


# What a forked child inherited belongs to threads that it does not have: it is left alone, never taken apart.
_inherited: list[_Connection] = []


class GrpcTransport(Remote):
    """A connection to a server, made when first needed; see Remote for the parameters.

    Without ``retries`` a call that finds no server fails at once, for the caller to do something about it.
    """

    def __init__(
        self,
        address: str,
        api_key: ApiKey | None = None,
        tls: bool | str | os.PathLike[str] | None = None,
        metadata: Sequence[tuple[str, str]] = (),
        retries: bool = True,
    ) -> None:
        super().__init__(address, api_key, tls, metadata)
        self._retries = retries
        self._lock = threading.Lock()
        self._open: _Connection | None = None

    def send(self, call: Call[T], timeout: float | None) -> T:
        message = rpc.encode(call)
        if isinstance(call, calls.Info):
            return self._known(timeout)  # type: ignore[return-value]
        deadline = None if timeout is None else time.monotonic() + timeout
        known = self._known(timeout)
        self._require(message.features, known)
        if isinstance(call, calls.Snapshot | calls.Restore):
            return self._carry(call, message, remaining(deadline))
        raw = None
        if isinstance(call, calls.Search) and STREAMS in known.features:
            self._require_time(left := remaining(deadline))
            raw = self._connection().streams.search(message.request, left)
        if raw is None:
            raw = self._send(message, within(remaining(deadline), message.longest_s))
        return message.decode(raw)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            connection, self._open = self._open, None
        if connection is not None and connection.pid == os.getpid():
            connection.close()

    def _known(self, timeout: float | None) -> ServerInfo:
        if self._info is None:
            message = rpc.encode(calls.Info())
            self._info = message.decode(self._send(message, timeout))
        return self._info

    def _send(self, message: Rpc[T], timeout: float | None) -> bytes:
        self._require_time(timeout)
        method = self._connection().method(message.path)
        try:
            return method(message.request, timeout=timeout, metadata=self._headers())
        except grpc.RpcError as failed:
            error = self._explained(failed, timeout)
        except ValueError:  # what a closed channel raises
            error = self._was_closed()
        raise error from None

    def _carry(self, call: calls.Snapshot | calls.Restore, message: Rpc[T], timeout: float | None) -> T:
        self._require_time(timeout)
        channel, headers = self._connection().channel, self._headers()
        try:
            return carrying.carry(channel, call, message, timeout, headers)
        except grpc.RpcError as failed:
            error = self._explained(failed, timeout)
        raise error from None

    def _connection(self) -> _Connection:
        connection = self._open
        if connection is None or connection.pid != os.getpid():
            with self._lock:
                if self._closed:
                    raise self._was_closed()
                connection = self._open
                if connection is not None and connection.pid != os.getpid():
                    _inherited.append(connection)
                    connection = None
                if connection is None:
                    channel = open_channel(self._address, self._tls, self._retries)
                    connection = self._open = _Connection(channel, self._address, self._headers)
        return connection
