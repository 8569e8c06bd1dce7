"""Errors as gRPC statuses and back: one table, by stable reason, for both ends.

An error crosses as a google.rpc.Status in the trailer ``grpc-status-details-bin``: ErrorInfo carries the
reason with ``expected`` and ``received``, BadRequest the field path, RetryInfo the hint. PartialWrite is
not in the table: it is made by the client, of several calls.
"""

from __future__ import annotations

from dataclasses import dataclass

import grpc
from google.protobuf import duration_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from vecdb import errors
from vecdb.errors import VecdbError

DOMAIN = "vecdb"
DETAILS_KEY = "grpc-status-details-bin"
PUSHBACK_KEY = "grpc-retry-pushback-ms"  # read by every gRPC client that retries; negative: do not

# Trailers above 8 KiB are refused by default, and a byte of a message may take three of them, twice.
MAX_MESSAGE_BYTES = 1024
MAX_DETAIL_BYTES = 256

_Code = grpc.StatusCode

# The first kind of a code is what an error becomes whose reason is not known here.
CODES: dict[type[VecdbError], grpc.StatusCode] = {
    errors.InvalidArgument: _Code.INVALID_ARGUMENT,
    errors.DimensionMismatch: _Code.INVALID_ARGUMENT,
    errors.InvalidVector: _Code.INVALID_ARGUMENT,
    errors.NotFound: _Code.NOT_FOUND,
    errors.CollectionNotFound: _Code.NOT_FOUND,
    errors.FieldNotFound: _Code.NOT_FOUND,
    errors.PointNotFound: _Code.NOT_FOUND,
    errors.AlreadyExists: _Code.ALREADY_EXISTS,
    errors.CollectionExists: _Code.ALREADY_EXISTS,
    errors.PointExists: _Code.ALREADY_EXISTS,
    errors.FailedPrecondition: _Code.FAILED_PRECONDITION,
    errors.ModelMismatch: _Code.FAILED_PRECONDITION,
    errors.DataDirInUse: _Code.FAILED_PRECONDITION,
    errors.DataDirUnusable: _Code.FAILED_PRECONDITION,
    errors.FormatTooNew: _Code.FAILED_PRECONDITION,
    errors.EngineNotInstalled: _Code.FAILED_PRECONDITION,
    errors.ChangesGone: _Code.FAILED_PRECONDITION,
    errors.Closed: _Code.FAILED_PRECONDITION,
    errors.Aborted: _Code.ABORTED,
    errors.ConditionFailed: _Code.ABORTED,
    errors.ResourceExhausted: _Code.RESOURCE_EXHAUSTED,
    errors.IndexingBehind: _Code.RESOURCE_EXHAUSTED,
    errors.MemoryLimit: _Code.RESOURCE_EXHAUSTED,
    errors.DiskFull: _Code.RESOURCE_EXHAUSTED,
    errors.TooLarge: _Code.RESOURCE_EXHAUSTED,
    errors.Unavailable: _Code.UNAVAILABLE,
    errors.ReadOnly: _Code.UNAVAILABLE,
    errors.CollectionLoading: _Code.UNAVAILABLE,
    errors.DeadlineExceeded: _Code.DEADLINE_EXCEEDED,
    errors.Cancelled: _Code.CANCELLED,
    errors.Unimplemented: _Code.UNIMPLEMENTED,
    errors.DataLoss: _Code.DATA_LOSS,
    errors.Internal: _Code.INTERNAL,
    errors.VecdbError: _Code.INTERNAL,
}

# Codes that vecdb does not send, but a proxy or another server may.
_FOREIGN = {
    _Code.OUT_OF_RANGE: errors.InvalidArgument,
    _Code.PERMISSION_DENIED: errors.FailedPrecondition,
    _Code.UNAUTHENTICATED: errors.FailedPrecondition,
}

_BY_NUMBER = {code.value[0]: code for code in _Code}
_KIND_OF_REASON = {kind.reason: kind for kind in CODES}
_KIND_OF_CODE = {code: kind for kind, code in reversed(CODES.items()) if kind is not VecdbError} | _FOREIGN


@dataclass(frozen=True, slots=True)
class RpcStatus:
    """What ``ServicerContext.abort_with_status`` takes."""

    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, str | bytes], ...]


def to_rpc(error: VecdbError) -> RpcStatus:
    """The status that says ``error`` to the other end."""
    code, status = _code(type(error)), to_message(error)
    trailers: list[tuple[str, str | bytes]] = [(DETAILS_KEY, status.SerializeToString())]
    if isinstance(error, errors.ReadOnly):  # what ends it takes longer than a retry waits
        trailers.append((PUSHBACK_KEY, "-1"))
    elif isinstance(error, errors.Unavailable) and error.retry_after_s is not None:
        trailers.append((PUSHBACK_KEY, str(round(error.retry_after_s * 1000))))
    return RpcStatus(code, status.message, tuple(trailers))


def to_message(error: VecdbError) -> status_pb2.Status:
    """``error`` as the message that crosses, in a trailer or in a stream."""
    status = status_pb2.Status(code=_code(type(error)).value[0], message=_cut(error.message, MAX_MESSAGE_BYTES))
    stated = {"expected": error.expected, "received": error.received}
    metadata = {key: _cut(value, MAX_DETAIL_BYTES) for key, value in stated.items() if value is not None}
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata))
    if error.field is not None:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=_cut(error.field, MAX_DETAIL_BYTES), description=_cut(error.message, MAX_DETAIL_BYTES)
        )
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    if error.retry_after_s is not None:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(round(error.retry_after_s * 1e9))
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return status


def from_rpc(rpc: grpc.RpcError) -> VecdbError:
    """The error that a failed call says; an unknown reason is kept on the general error of its code."""
    code: grpc.StatusCode = rpc.code()
    trailers = dict(iter(rpc.trailing_metadata() or ()))  # iter: the keys of grpc.aio's are pairs in old releases
    encoded = trailers.get(DETAILS_KEY)  # none when a proxy or gRPC itself made the error
    return _error(code, _Details() if encoded is None else _details(encoded), rpc.details() or code.name)


def from_message(encoded: bytes) -> VecdbError:
    """The inverse of ``to_message``, of the encoded message."""
    details = _details(encoded)
    return _error(details.code, details, details.code.name)


def _error(code: grpc.StatusCode, details: _Details, otherwise: str) -> VecdbError:
    info = details.info
    kind = _KIND_OF_REASON.get(info.reason) if info is not None else None
    error = (kind or _KIND_OF_CODE.get(code, errors.Internal))(
        details.message or otherwise,
        field=details.field,
        expected=info.metadata.get("expected") if info is not None else None,
        received=info.metadata.get("received") if info is not None else None,
        retry_after_s=details.retry_after_s,
    )
    if kind is None and info is not None:
        error.__dict__["reason"] = info.reason
    return error


@dataclass(slots=True)
class _Details:
    code: grpc.StatusCode = _Code.UNKNOWN
    message: str = ""
    info: error_details_pb2.ErrorInfo | None = None
    field: str | None = None
    retry_after_s: float | None = None


def _details(encoded: bytes) -> _Details:
    """What a google.rpc.Status tells; nothing when it is none."""
    found = _Details()
    status = status_pb2.Status()
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    try:
        status.ParseFromString(encoded)
        for detail in status.details:
            if detail.Unpack(info) and info.domain == DOMAIN:
                found.info = info
            elif detail.Unpack(bad) and bad.field_violations:
                found.field = bad.field_violations[0].field
            elif detail.Unpack(retry):
                found.retry_after_s = retry.retry_delay.ToNanoseconds() / 1e9
    except DecodeError:
        return _Details()
    found.code = _BY_NUMBER.get(status.code, _Code.UNKNOWN)
    found.message = status.message
    return found


def _code(kind: type[VecdbError]) -> grpc.StatusCode:
    return next((CODES[base] for base in kind.__mro__ if base in CODES), _Code.INTERNAL)


def _cut(text: str, limit: int) -> str:
    """``text`` without what does not fit ``limit`` bytes of UTF-8, or cannot be UTF-8."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) > limit:
        encoded = encoded[: limit - 3].decode("utf-8", "ignore").encode() + "…".encode()
    return encoded.decode("utf-8")
