"""Archives over gRPC, piece by piece: what neither end holds whole, whatever its size.

Only blocking: of a stream that the server refuses half way, grpc.aio tells "internal" in place of the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

import grpc

from vecdb.client import calls, rpc
from vecdb.client.rpc import Rpc
from vecdb.errors import Closed

T = TypeVar("T")

Headers = Sequence[tuple[str, str]]


def carry(
    channel: grpc.Channel,
    call: calls.Snapshot | calls.Restore,
    message: Rpc[T],
    timeout: float | None,
    headers: Headers,
) -> T:
    """The answer to a call with archives. Raises what reading or writing them raises, grpc.RpcError, and Closed."""
    if isinstance(call, calls.Snapshot):
        _receive(channel, call, message, timeout, headers)
        return message.decode(b"")
    return message.decode(_send(channel, call, message, timeout, headers))


def _receive(
    channel: grpc.Channel, call: calls.Snapshot, message: Rpc[Any], timeout: float | None, headers: Headers
) -> None:
    under_way: Any = _begun(lambda: channel.unary_stream(message.path)(message.request, timeout, tuple(headers)))
    try:
        for raw in under_way:
            call.into(rpc.piece(raw))
    finally:
        under_way.cancel()


def _send(
    channel: grpc.Channel, call: calls.Restore, message: Rpc[Any], timeout: float | None, headers: Headers
) -> bytes:
    begun: Future[grpc.Future] = Future()
    failed: list[Exception] = []

    def requests() -> Iterator[bytes]:
        """Read by a thread of gRPC's, which would log what is raised here, and call the stream complete."""
        try:
            yield message.request
            yield from rpc.archives(call)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised to the caller
            failed.append(error)
            begun.result().cancel()

    under_way: Any = _begun(lambda: channel.stream_unary(message.path).future(requests(), timeout, tuple(headers)))
    begun.set_result(under_way)
    try:
        answer: bytes = under_way.result()
        return answer
    except (grpc.RpcError, grpc.FutureCancelledError):
        if failed:
            raise failed[0] from None
        raise
    finally:
        under_way.cancel()


def _begun(begin: Callable[[], Any]) -> Any:
    try:
        return begin()
    except ValueError:  # what a closed channel raises
        raise Closed("the client was closed") from None
