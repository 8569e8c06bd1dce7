"""Write batches and their results."""

from __future__ import annotations

from vecdb.errors import InvalidArgument
from vecdb.model.point import Clear, DeleteIds, Operation, Put, PutMode, Rows, WriteBatch, WriteResult
from vecdb.v1 import operation_pb2, points_pb2
from vecdb.wire.convert.columns import field_of, fill_columns, spread, texts_by_field, written_vectors
from vecdb.wire.convert.refusals import named, unknown_kind, unknown_name

MAX_REQUEST_ID_BYTES = 64

_DURABILITY: dict[str, points_pb2.Durability.ValueType] = {
    "fsync": points_pb2.DURABILITY_FSYNC,
    "os": points_pb2.DURABILITY_OS,
}
_PUT_MODES: dict[PutMode, operation_pb2.PutMode.ValueType] = {
    PutMode.UPSERT: operation_pb2.PUT_MODE_UPSERT,
    PutMode.INSERT: operation_pb2.PUT_MODE_INSERT,
    PutMode.UPDATE: operation_pb2.PUT_MODE_UPDATE,
}


def write_to_proto(collection: str, batch: WriteBatch, request_id: bytes | None) -> points_pb2.WriteRequest:
    if batch.durability is not None and batch.durability not in _DURABILITY:
        raise unknown_name(_DURABILITY, repr(batch.durability), "durability")
    message = points_pb2.WriteRequest(collection=collection, request_id=request_id or b"")
    if batch.durability is not None:
        message.durability = _DURABILITY[batch.durability]
    for operation in batch.operations:
        _fill_operation(message.operations.add(), operation)
    return message


def write_from_proto(message: points_pb2.WriteRequest) -> WriteBatch:
    """The batch. Raises InvalidArgument."""
    operations = [_operation_from_proto(op, f"operations[{i}]") for i, op in enumerate(message.operations)]
    durability = named(_DURABILITY, message.durability, "durability") if message.durability else None
    return WriteBatch(operations, durability)


def request_id_from_proto(message: points_pb2.WriteRequest) -> bytes | None:
    """The request's id, None when there is none. Raises InvalidArgument."""
    if len(message.request_id) > MAX_REQUEST_ID_BYTES:
        raise InvalidArgument(
            "request id is too long",
            field="request_id",
            expected=f"1..{MAX_REQUEST_ID_BYTES} bytes",
            received=f"{len(message.request_id)} bytes",
        )
    return message.request_id or None


def _fill_operation(message: operation_pb2.Operation, operation: Operation) -> None:
    if isinstance(operation, DeleteIds):
        message.delete_ids.ids.extend(operation.ids)
        message.delete_ids.SetInParent()
    elif isinstance(operation, Clear):
        message.clear.SetInParent()
    else:
        rows = operation.rows
        message.put.mode = _PUT_MODES[operation.mode]
        message.put.ids.extend(rows.ids)
        fill_columns(message.put, len(rows.ids), rows.vectors, rows.texts, rows.payloads, rows.models)


def _operation_from_proto(message: operation_pb2.Operation, path: str) -> Operation:
    kind = message.WhichOneof("operation")
    if kind == "put":
        return _put_from_proto(message.put, path)
    if kind == "delete_ids":
        return DeleteIds(list(message.delete_ids.ids))
    if kind == "clear":
        return Clear()
    raise unknown_kind("operation", path)


def _put_from_proto(message: operation_pb2.Put, path: str) -> Put:
    n = len(message.ids)
    payloads = None
    if message.HasField("payloads"):
        payloads = spread(message.payloads.values, message.payloads.rows, n, f"{path}.payloads")
    rows = Rows(
        ids=list(message.ids),
        vectors=written_vectors(message.vectors, n, path),
        texts=texts_by_field(message.texts, n, path),
        payloads=payloads,
        models={field_of(column): column.model for column in message.vectors if column.HasField("model")},
    )
    return Put(named(_PUT_MODES, message.mode, f"{path}.mode"), rows)


def write_result_to_proto(result: WriteResult) -> points_pb2.WriteResponse:
    return points_pb2.WriteResponse(seq=seq_to_proto(result.seq), count=result.count)


def write_result_from_proto(message: points_pb2.WriteResponse) -> WriteResult:
    return WriteResult(seq=seq_from_proto(message.seq), count=message.count)


def seq_to_proto(seq: int) -> str:
    """A sequence number as the token that callers treat as opaque."""
    return str(seq)


def seq_from_proto(token: str) -> int:
    if not (token.isascii() and token.isdigit()):
        raise InvalidArgument("not a token of this server", field="seq", expected="a token", received=repr(token[:40]))
    return int(token)
