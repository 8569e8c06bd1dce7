"""What a gRPC transport knows of its server: where it is, who asks, what it can do. Sends nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

import grpc

from vecdb.client.channel import with_port
from vecdb.errors import Cancelled, Closed, DeadlineExceeded, Unavailable, Unimplemented, VecdbError
from vecdb.model.info import ServerInfo
from vecdb.wire.status import from_rpc

ApiKey = str | Callable[[], str]


class Remote:
    """The server at ``address``.

    ``api_key`` travels as a bearer token; a callable is asked before every call. ``metadata`` goes with
    every call.
    """

    def __init__(
        self,
        address: str,
        api_key: ApiKey | None = None,
        tls: bool | str | os.PathLike[str] | None = None,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._address = with_port(address)
        self._api_key = api_key
        self._tls = tls
        self._metadata = tuple(metadata)
        self._closed = False
        self._info: ServerInfo | None = None

    def _headers(self) -> tuple[tuple[str, str], ...]:
        if self._api_key is None:
            return self._metadata
        key = self._api_key() if callable(self._api_key) else self._api_key
        return (*self._metadata, ("authorization", f"Bearer {key}"))

    def _require(self, features: Sequence[str], known: ServerInfo) -> None:
        """Refuse a call that needs what the server does not know. Raises Unimplemented."""
        for feature in features:
            if feature not in known.features:
                raise Unimplemented(
                    f"the server at {self._address} (vecdb {known.version}) is too old for this call",
                    expected=feature,
                    received=", ".join(known.features) or "none",
                )

    def _require_time(self, timeout: float | None) -> None:
        if timeout is not None and timeout <= 0:  # gRPC would still give it a few milliseconds
            raise DeadlineExceeded(f"no time left to ask {self._address}")

    def _explained(self, failed: grpc.RpcError, timeout: float | None) -> VecdbError:
        """The error that a call met; where it went when the error is gRPC's own, and not the server's."""
        error = from_rpc(failed)
        if type(error) is Unavailable and error.message == failed.details():
            error.message = f"no answer from {self._address}: {error.message}"
        elif type(error) is DeadlineExceeded and error.message == failed.details() and timeout is not None:
            error.message = f"no answer from {self._address} within {timeout:.3g} s"
        elif self._closed:
            return self._was_closed()
        elif type(error) is Cancelled:  # nobody here did that: the server stopped
            return Unavailable(f"{self._address} ended the call before it was answered")
        return error

    def _was_closed(self) -> Closed:
        return Closed("the client was closed")


def remaining(deadline: float | None) -> float | None:
    """Seconds until a deadline on ``time.monotonic``'s clock, negative when it has passed; None: no limit."""
    return None if deadline is None else deadline - time.monotonic()


def within(timeout: float | None, longest: float | None) -> float | None:
    """The shorter of two times, None being no limit."""
    return longest if timeout is None else timeout if longest is None else min(timeout, longest)
