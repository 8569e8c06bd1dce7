"""What happens around every call of vecdb.v1: errors become statuses, and the server stays within its limits.

gRPC answers bytes that do not parse with INTERNAL, and an exception of a handler with UNKNOWN. So the
deserializer is wrapped too, and hands what it met to the handler. A stream is looked after from its
beginning to its end; what happens to each message in it is ``Streams``' matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
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

        def translated(request: Any, context: grpc.ServicerContext) -> Any:
            try:
                return handler.unary_unary(_readable(request), context)
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a status
                failed = self._failures.explain(error, details.method)
            context.abort_with_status(to_rpc(failed))

        def translated_stream(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
            try:
                yield from handler.stream_stream(map(_readable, requests), context)
                return
            except Exception as error:  # noqa: BLE001 - as above
                failed = self._failures.explain(error, details.method)
            context.abort_with_status(to_rpc(failed))

        return _like(handler, translated, translated_stream, parsed)


class AdmitCalls:
    """Holds a place in a call's gate while it is answered, in a stream's until it ends; without a gate all pass."""

    def __init__(self, gates: Mapping[str, Gate]) -> None:
        self._gates = gates

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        handler = continuation(details)
        gate = self._gates.get(details.method) if handler is not None else None
        if gate is None:
            return handler
        parse: _Parse = handler.request_deserializer

        def measured(raw: bytes) -> _Measured:
            return _Measured(parse(raw), len(raw))

        def admitted(request: _Measured, context: grpc.ServicerContext) -> Any:
            with gate.inside(request.nbytes):
                return handler.unary_unary(request.message, context)

        def admitted_stream(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
            with gate.inside(0):
                yield from handler.stream_stream(requests, context)

        return _like(handler, admitted, admitted_stream, parse if handler.request_streaming else measured)


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


def _like(handler: Any, answer: Callable[..., Any], answer_stream: Callable[..., Any], parse: _Parse) -> Any:
    """A handler of the same kind: one message each way, or a stream each way."""
    if handler.request_streaming:
        return grpc.stream_stream_rpc_method_handler(answer_stream, parse, handler.response_serializer)
    return grpc.unary_unary_rpc_method_handler(answer, parse, handler.response_serializer)
