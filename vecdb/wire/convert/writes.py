"""Write batches and their results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vecdb.errors import InvalidArgument
from vecdb.model.filter import Path
from vecdb.model.point import (
    Clear,
    Condition,
    DeleteIds,
    DeleteWhere,
    Operation,
    PayloadMode,
    Put,
    PutMode,
    Rows,
    UpdateWhere,
    WriteBatch,
    WriteResult,
)
from vecdb.v1 import operation_pb2, points_pb2
from vecdb.wire.convert.columns import field_of, fill_columns, spread, texts_by_field, written_vectors
from vecdb.wire.convert.filters import filter_from_proto, filter_to_proto
from vecdb.wire.convert.refusals import named, unknown_kind, unknown_name
from vecdb.wire.convert.sparse import fill_sparse, written_sparse

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
_PAYLOAD_MODES: dict[PayloadMode, operation_pb2.PayloadMode.ValueType] = {
    PayloadMode.MERGE: operation_pb2.PAYLOAD_MODE_MERGE,
    PayloadMode.REPLACE: operation_pb2.PAYLOAD_MODE_REPLACE,
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
    match operation:
        case DeleteIds():
            message.delete_ids.SetInParent()
            message.delete_ids.ids.extend(operation.ids)
            _fill_condition(message.delete_ids, operation.condition)
        case DeleteWhere():
            message.delete_where.MergeFrom(operation_pb2.DeleteWhere(filter=filter_to_proto(operation.filter)))
        case UpdateWhere():
            update = operation_pb2.UpdateWhere(
                filter=filter_to_proto(operation.filter),
                payload=operation.payload or b"",
                payload_mode=_PAYLOAD_MODES[operation.payload_mode],
                unset=_paths_to_proto(operation.unset),
                ttl_ms=operation.ttl_ms or None,
            )
            message.update_where.MergeFrom(update)
        case Clear():
            message.clear.SetInParent()
        case Put():
            rows, put = operation.rows, message.put
            put.mode = _PUT_MODES[operation.mode]
            put.ids.extend(rows.ids)
            fill_columns(put, len(rows.ids), rows.vectors, rows.texts, rows.payloads, rows.models)
            fill_sparse(put, len(rows.ids), rows.sparse)
            if operation.payload_mode is not PayloadMode.REPLACE:
                put.payload_mode = _PAYLOAD_MODES[operation.payload_mode]
            put.unset.extend(_paths_to_proto(operation.unset))
            put.ttl_ms.extend(operation.ttl_ms)
            _fill_condition(put, operation.condition)


def _fill_condition(message: operation_pb2.Put | operation_pb2.DeleteIds, condition: Condition | None) -> None:
    if condition is None:
        return
    about = operation_pb2.Condition(
        absent=condition.absent,
        exists=condition.exists,
        versions=condition.versions,
        filter=filter_to_proto(condition.filter),
    )
    message.condition.MergeFrom(about)
    message.condition.SetInParent()


def _paths_to_proto(paths: Sequence[Path]) -> list[operation_pb2.Path]:
    return [operation_pb2.Path(keys=path) for path in paths]


def _operation_from_proto(message: operation_pb2.Operation, path: str) -> Operation:
    kind = message.WhichOneof("operation")
    if kind == "put":
        return _put_from_proto(message.put, path)
    if kind == "delete_ids":
        return DeleteIds(list(message.delete_ids.ids), _condition_from_proto(message.delete_ids, path))
    if kind == "delete_where":
        return DeleteWhere(filter_from_proto(message.delete_where.filter, f"{path}.filter"))
    if kind == "update_where":
        update = message.update_where
        return UpdateWhere(
            filter_from_proto(update.filter, f"{path}.filter"),
            update.payload or None,
            _payload_mode(update.payload_mode, path),
            _paths_from_proto(update.unset),
            update.ttl_ms,
        )
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
        sparse=written_sparse(message.sparse, n, path),
    )
    return Put(
        named(_PUT_MODES, message.mode, f"{path}.mode"),
        rows,
        _payload_mode(message.payload_mode, path),
        _paths_from_proto(message.unset),
        tuple(message.ttl_ms),
        _condition_from_proto(message, path),
    )


def _condition_from_proto(message: operation_pb2.Put | operation_pb2.DeleteIds, path: str) -> Condition | None:
    if not message.HasField("condition"):
        return None
    about = message.condition
    filter = filter_from_proto(about.filter, f"{path}.condition.filter") if about.HasField("filter") else None
    return Condition(about.absent, about.exists, tuple(about.versions), filter)


def _payload_mode(value: operation_pb2.PayloadMode.ValueType, path: str) -> PayloadMode:
    """Replace where nothing is stated: callers that know of no modes mean that."""
    return named(_PAYLOAD_MODES, value, f"{path}.payload_mode") if value else PayloadMode.REPLACE


def _paths_from_proto(paths: Iterable[operation_pb2.Path]) -> tuple[Path, ...]:
    return tuple(tuple(path.keys) for path in paths)


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
