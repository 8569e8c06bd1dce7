"""What happens around every call of vecdb.v1: errors become statuses, and the server stays within its limits.

gRPC answers bytes that do not parse with INTERNAL, and an exception of a handler with UNKNOWN. So the
deserializer is wrapped too, and hands what it met to the handler.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from vecdb.errors import Internal, InvalidArgument, ReadOnly, VecdbError
from vecdb.wire.admission import Gate
from vecdb.wire.status import to_rpc

log = logging.getLogger(__name__)

PREFIX = "/vecdb.v1."

_Handler = Callable[[Any, grpc.ServicerContext], Any]


class TranslateErrors:
    """Outermost: turns VecdbError into its status, and anything else into INTERNAL with a traceback in the log.

    ``on_read_only`` is called when the engine said that it takes no more writes.
    """

    def __init__(self, on_read_only: Callable[[], None]) -> None:
        self._on_read_only = on_read_only

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        handler = continuation(details)
        if handler is None or not details.method.startswith(PREFIX):
            return handler
        answer: _Handler = handler.unary_unary
        parse: Callable[[bytes], Any] = handler.request_deserializer

        def parsed(raw: bytes) -> Any:
            try:
                return parse(raw)
            except DecodeError:
                return _Unparsable(len(raw))

        def translated(request: Any, context: grpc.ServicerContext) -> Any:
            try:
                if isinstance(request, _Unparsable):
                    raise request.error()
                return answer(request, context)
            except VecdbError as error:
                if isinstance(error, ReadOnly):
                    self._on_read_only()
                failed = error
            except Exception:  # whatever it is, the caller gets a status and the log the rest
                number = uuid.uuid4().hex[:8]
                log.exception("defect %s in %s", number, details.method)
                failed = Internal(f"a defect of vecdb; the server's log tells more at {number}")
            context.abort_with_status(to_rpc(failed))

        return _unary(translated, parsed, handler.response_serializer)


class AdmitCalls:
    """Holds a place in a call's gate while it is answered; methods without a gate always pass."""

    def __init__(self, gates: Mapping[str, Gate]) -> None:
        self._gates = gates

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        handler = continuation(details)
        gate = self._gates.get(details.method) if handler is not None else None
        if gate is None:
            return handler
        answer: _Handler = handler.unary_unary
        parse: Callable[[bytes], Any] = handler.request_deserializer

        def measured(raw: bytes) -> _Measured:
            return _Measured(parse(raw), len(raw))

        def admitted(request: _Measured, context: grpc.ServicerContext) -> Any:
            with gate.inside(request.nbytes):
                return answer(request.message, context)

        return _unary(admitted, measured, handler.response_serializer)


@dataclass(frozen=True, slots=True)
class _Measured:
    message: Any
    nbytes: int


@dataclass(frozen=True, slots=True)
class _Unparsable:
    nbytes: int

    def error(self) -> InvalidArgument:
        return InvalidArgument(
            "the request cannot be parsed", expected="a message of this method", received=f"{self.nbytes} bytes"
        )


def _unary(answer: _Handler, parse: Callable[[bytes], Any], serialize: Callable[[Any], bytes]) -> Any:
    return grpc.unary_unary_rpc_method_handler(answer, request_deserializer=parse, response_serializer=serialize)
