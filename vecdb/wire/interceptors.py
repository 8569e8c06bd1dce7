"""What happens around every call of vecdb.v1: errors become statuses, and the server stays within its limits.

gRPC answers bytes that do not parse with INTERNAL, and an exception of a handler with UNKNOWN. So the
deserializer is wrapped too, and hands what it met to the handler. A stream is looked after from its
beginning to its end; what happens to each message in it is ``Streams``' matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from vecdb.wire.admission import Gate
from vecdb.wire.failures import Failures, unparsable
from vecdb.wire.status import to_rpc

PREFIX = "/vecdb.v1."

_Parse = Callable[[bytes], Any]


class TranslateErrors:
    """Outermost: turns VecdbError into its status, and anything else into INTERNAL with a traceback in the log."""

    def __init__(self, failures: Failures) -> None:
        self._failures = failures

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        handler = continuation(details)
        if handler is None or not details.method.startswith(PREFIX):
            return handler
        parse: _Parse = handler.request_deserializer

        def parsed(raw: bytes) -> Any:
            try:
                return parse(raw)
            except DecodeError:
                return _Unparsable(len(raw))

        behavior = _behavior(handler)
        readable = partial(map, _readable) if handler.request_streaming else _readable

        def translated(request: Any, context: grpc.ServicerContext) -> Any:
            try:
                return behavior(readable(request), context)
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a status
                failed = self._failures.explain(error, details.method)
            context.abort_with_status(to_rpc(failed))

        def translated_stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            try:
                yield from behavior(readable(request), context)
                return
            except Exception as error:  # noqa: BLE001 - as above
                failed = self._failures.explain(error, details.method)
            context.abort_with_status(to_rpc(failed))

        return _like(handler, translated_stream if handler.response_streaming else translated, parsed)


class AdmitCalls:
    """Holds a place in a call's gate while it is answered, in a stream's until it ends; without a gate all pass."""

    def __init__(self, gates: Mapping[str, Gate]) -> None:
        self._gates = gates

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        handler = continuation(details)
        gate = self._gates.get(details.method) if handler is not None else None
        if gate is None:
            return handler
        behavior = _behavior(handler)
        parse: _Parse = handler.request_deserializer

        def measured(raw: bytes) -> _Measured:
            return _Measured(parse(raw), len(raw))

        def admitted(request: Any, context: grpc.ServicerContext) -> Any:
            message, nbytes = _taken(request)
            with gate.inside(nbytes):
                return behavior(message, context)

        def admitted_stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            message, nbytes = _taken(request)
            with gate.inside(nbytes):
                yield from behavior(message, context)

        answer = admitted_stream if handler.response_streaming else admitted
        return _like(handler, answer, parse if handler.request_streaming else measured)


@dataclass(frozen=True, slots=True)
class _Measured:
    message: Any
    nbytes: int


@dataclass(frozen=True, slots=True)
class _Unparsable:
    nbytes: int


def _readable(request: Any) -> Any:
    if isinstance(request, _Unparsable):
        raise unparsable(request.nbytes)
    return request


def _taken(request: _Measured | Iterator[Any]) -> tuple[Any, int]:
    """What a call asks, and its bytes: a stream has none of its own."""
    return (request.message, request.nbytes) if isinstance(request, _Measured) else (request, 0)


def _behavior(handler: Any) -> Callable[[Any, grpc.ServicerContext], Any]:
    """What answers a call: of the four kinds that gRPC knows, a handler has one."""
    found: Callable[[Any, grpc.ServicerContext], Any] = (
        handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    )
    return found


_KINDS: Mapping[tuple[bool, bool], Callable[..., Any]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def _like(handler: Any, answer: Callable[..., Any], parse: _Parse) -> Any:
    """A handler of the same kind: one message or a stream of them each way."""
    kind = _KINDS[handler.request_streaming, handler.response_streaming]
    return kind(answer, parse, handler.response_serializer)
