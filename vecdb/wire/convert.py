"""Messages of vecdb.v1 to the nouns of the model and back.

Vectors, scores and versions cross as raw little-endian numbers and are never touched one by one. Messages
are filled in place where they are large: a message given to the constructor of another is copied. Whatever
a message gets wrong (columns of different lengths, a number of bytes that is not whole vectors) is refused
with the path of the field. What only the schema can judge is left to the engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import orjson

from vecdb.errors import InvalidArgument, Unimplemented
from vecdb.model.collection import (
    CollectionInfo,
    CollectionStats,
    DatabaseStats,
    Indexing,
    SegmentStats,
)
from vecdb.model.filter import Equals, Filter, Scalar
from vecdb.model.info import Limits, ServerInfo
from vecdb.model.point import (
    Clear,
    DeleteIds,
    Float32,
    Int64,
    Operation,
    Points,
    Put,
    PutMode,
    Rows,
    Select,
    VectorColumn,
    WriteBatch,
    WriteResult,
)
from vecdb.model.query import DEFAULT_RRF_K, Leg, Near, Rrf, SearchAnswer, SearchRequest
from vecdb.model.schema import MAX_DIM, Metric, Schema, TextField, VectorField
from vecdb.v1 import (
    admin_pb2,
    columns_pb2,
    filter_pb2,
    leg_pb2,
    operation_pb2,
    points_pb2,
    schema_pb2,
    search_pb2,
    stats_pb2,
)

T = TypeVar("T")

MAX_REQUEST_ID_BYTES = 64

_FLOAT32 = np.dtype("<f4")
_DTYPES: dict[int, np.dtype[Any]] = {
    columns_pb2.DATA_TYPE_UNSPECIFIED: _FLOAT32,
    columns_pb2.DATA_TYPE_FLOAT32: _FLOAT32,
    columns_pb2.DATA_TYPE_FLOAT16: np.dtype("<f2"),
}
_METRICS: dict[Metric, schema_pb2.Metric.ValueType] = {
    "cosine": schema_pb2.METRIC_COSINE,
    "euclidean": schema_pb2.METRIC_EUCLIDEAN,
    "dot": schema_pb2.METRIC_DOT,
}
_INDEXING: dict[Indexing, schema_pb2.Indexing.ValueType] = {
    "auto": schema_pb2.INDEXING_AUTO,
    "deferred": schema_pb2.INDEXING_DEFERRED,
}
_DURABILITY: dict[str, points_pb2.Durability.ValueType] = {
    "fsync": points_pb2.DURABILITY_FSYNC,
    "os": points_pb2.DURABILITY_OS,
}
_PUT_MODES: dict[PutMode, operation_pb2.PutMode.ValueType] = {
    PutMode.UPSERT: operation_pb2.PUT_MODE_UPSERT,
    PutMode.INSERT: operation_pb2.PUT_MODE_INSERT,
    PutMode.UPDATE: operation_pb2.PUT_MODE_UPDATE,
}


# -- vectors and columns --


def fill_vectors(message: columns_pb2.Vectors, data: Float32) -> None:
    """Put float32 ``[n, dim]`` into ``message`` as raw bytes."""
    message.dim = data.shape[1]
    message.data_type = columns_pb2.DATA_TYPE_FLOAT32
    message.data = np.ascontiguousarray(data, dtype=_FLOAT32).tobytes()


def vectors_from_proto(message: columns_pb2.Vectors, path: str) -> Float32:
    """Float32 ``[n, dim]``, read only where it needed no conversion. Raises InvalidArgument."""
    dim = message.dim
    if not 1 <= dim <= MAX_DIM:
        raise InvalidArgument("dim out of range", field=f"{path}.dim", expected=f"1..{MAX_DIM}", received=str(dim))
    dtype = _DTYPES.get(message.data_type)
    if dtype is None:
        raise InvalidArgument(
            "unknown data type",
            field=f"{path}.data_type",
            expected="FLOAT32 | FLOAT16",
            received=str(message.data_type),
        )
    if message.values:
        if message.data:
            raise InvalidArgument(
                "vectors are given twice", field=path, expected="data or values", received="data and values"
            )
        numbers = np.fromiter(message.values, dtype=np.float32, count=len(message.values))
        _whole(len(numbers), dim, f"{path}.values", "numbers")
    else:
        raw = message.data
        _whole(len(raw), dim * dtype.itemsize, f"{path}.data", "bytes")
        numbers = np.frombuffer(raw, dtype=dtype).astype(np.float32, copy=False)
    return numbers.reshape(-1, dim)


def _whole(received: int, unit: int, path: str, what: str) -> None:
    if received % unit:
        raise InvalidArgument(
            "not a whole number of vectors", field=path, expected=f"a multiple of {unit} {what}", received=str(received)
        )


def _numbers(raw: bytes, dtype: str, count: int, path: str) -> Any:
    found = np.dtype(dtype)
    if len(raw) != count * found.itemsize:
        raise _lengths_differ(path, f"{count * found.itemsize} bytes", len(raw))
    return np.frombuffer(raw, dtype=found).astype(found.newbyteorder("="), copy=False)


def _positions(rows: Sequence[int], entries: int, n: int, path: str) -> Int64 | None:
    """Which of ``n`` rows the entries of a column belong to; None: all, in order."""
    if not rows:
        if entries != n:
            raise _lengths_differ(path, f"{n} entries, or row positions", entries)
        return None
    if len(rows) != entries:
        raise _lengths_differ(f"{path}.rows", f"{entries} positions", len(rows))
    positions = np.fromiter(rows, dtype=np.int64, count=len(rows))
    if positions[-1] >= n or np.any(positions[1:] <= positions[:-1]):
        raise InvalidArgument(
            "row positions are not ascending within the batch",
            field=f"{path}.rows",
            expected=f"ascending, below {n}",
            received=str(positions[:8].tolist()),
        )
    return positions


def _spread(values: Sequence[T], rows: Sequence[int], n: int, path: str) -> list[T | None]:
    positions = _positions(rows, len(values), n, path)
    if positions is None:
        return list(values)
    spread: list[T | None] = [None] * n
    for position, value in zip(positions.tolist(), values, strict=True):
        spread[position] = value
    return spread


def _gathered(values: Sequence[T | None], n: int) -> tuple[list[T], list[int]]:
    """The entries that are there, and their positions unless all ``n`` are."""
    entries = [value for value in values if value is not None]
    if len(entries) == n:
        return entries, []
    return entries, [i for i, value in enumerate(values) if value is not None]


def _fill_columns(
    message: operation_pb2.Put | columns_pb2.PointColumns,
    n: int,
    vectors: Mapping[str, VectorColumn],
    texts: Mapping[str, Sequence[str | None]],
    payloads: Sequence[bytes | None] | None,
    models: Mapping[str, str],
) -> None:
    """Put the columns of ``n`` points into ``message``, without those that have no entry."""
    for field, column in vectors.items():
        if len(column.data):
            to_vectors = message.vectors.add(field=field, model=models.get(field))
            fill_vectors(to_vectors.vectors, column.data)
            if column.rows is not None:
                to_vectors.rows.extend(column.rows.tolist())
            elif len(column.data) != n:
                to_vectors.rows.extend(range(len(column.data)))
    for field, given in texts.items():
        values, rows = _gathered(given, n)
        if values:
            message.texts.add(field=field, values=values, rows=rows)
    if payloads is not None:
        encoded, rows = _gathered(payloads, n)
        if encoded:
            message.payloads.values.extend(encoded)
            message.payloads.rows.extend(rows)


def _vectors_by_field(columns: Iterable[columns_pb2.VectorColumn], n: int, path: str) -> dict[str, VectorColumn]:
    found: dict[str, VectorColumn] = {}
    for column in columns:
        where = _once(found, column.field, f"{path}.vectors")
        data = vectors_from_proto(column.vectors, f"{where}.vectors")
        found[column.field] = VectorColumn(data, _positions(column.rows, len(data), n, where))
    return found


def _texts_by_field(columns: Iterable[columns_pb2.TextColumn], n: int, path: str) -> dict[str, list[str | None]]:
    found: dict[str, list[str | None]] = {}
    for column in columns:
        where = _once(found, column.field, f"{path}.texts")
        found[column.field] = _spread(column.values, column.rows, n, where)
    return found


def _once(found: Mapping[str, object], field: str, path: str) -> str:
    where = f'{path}["{field}"]'
    if field in found:
        raise InvalidArgument("a field has two columns", field=where, expected="one column", received="two")
    return where


def select_to_proto(select: Select) -> columns_pb2.Select:
    return columns_pb2.Select(payload=select.payload, texts=select.texts, vectors=select.vectors)


def select_from_proto(message: columns_pb2.Select) -> Select:
    return Select(payload=message.payload, texts=message.texts, vectors=message.vectors)


def fill_points(message: columns_pb2.PointColumns, points: Points, content: int | None = None) -> None:
    """Put points into ``message``; payloads, texts and vectors of the first ``content`` alone (None: of all)."""
    n = len(points)
    full = points if content is None or content == n else points.cut(0, content)
    message.ids.extend(points.ids)
    message.versions = points.versions.astype("<u8", copy=False).tobytes()
    _fill_columns(message, n, full.vectors or {}, full.texts or {}, full.payloads, {})


def points_from_proto(message: columns_pb2.PointColumns, select: Select, path: str) -> Points:
    """The points of an answer to ``select``. Raises InvalidArgument."""
    n = len(message.ids)
    payloads: list[bytes | None] | None = None
    if select.payload:
        held = message.payloads
        payloads = (
            _spread(held.values, held.rows, n, f"{path}.payloads") if message.HasField("payloads") else [None] * n
        )
    return Points(
        ids=list(message.ids),
        versions=_numbers(message.versions, "<u8", n, f"{path}.versions"),
        payloads=payloads,
        texts=_texts_by_field(message.texts, n, path) if select.texts else None,
        vectors=_vectors_by_field(message.vectors, n, path) if select.vectors else None,
    )


# -- schema --


def schema_to_proto(schema: Schema) -> schema_pb2.Schema:
    vectors = {
        name: schema_pb2.VectorField(
            dim=field.dim,
            metric=_METRICS[field.metric],
            m=field.m,
            ef_construction=field.ef_construction,
            model=field.model,
        )
        for name, field in schema.vectors.items()
    }
    texts = {name: schema_pb2.TextField(analyzer=field.analyzer) for name, field in schema.texts.items()}
    return schema_pb2.Schema(vectors=vectors, texts=texts)


def schema_from_proto(message: schema_pb2.Schema) -> Schema:
    """The schema, with defaults for what is not stated. Raises InvalidArgument."""
    vectors = {}
    for name, field in message.vectors.items():
        default = VectorField(dim=field.dim)
        vectors[name] = VectorField(
            dim=field.dim,
            metric=_named(_METRICS, field.metric, f'schema.vectors["{name}"].metric') if field.metric else "cosine",
            m=field.m or default.m,
            ef_construction=field.ef_construction or default.ef_construction,
            model=field.model if field.HasField("model") else None,
        )
    texts = {name: TextField(field.analyzer or TextField().analyzer) for name, field in message.texts.items()}
    return Schema(vectors, texts)


def collection_info_to_proto(info: CollectionInfo) -> schema_pb2.CollectionInfo:
    return schema_pb2.CollectionInfo(
        name=info.name,
        schema=schema_to_proto(info.schema),
        indexing=_INDEXING[info.indexing],
        created_at_ms=info.created_at_ms,
        points=info.points,
        aliases=info.aliases,
    )


def collection_info_from_proto(message: schema_pb2.CollectionInfo) -> CollectionInfo:
    return CollectionInfo(
        name=message.name,
        schema=schema_from_proto(message.schema),
        indexing=indexing_from_proto(message.indexing),
        created_at_ms=message.created_at_ms,
        points=message.points,
        aliases=tuple(message.aliases),
    )


def indexing_to_proto(indexing: Indexing) -> schema_pb2.Indexing.ValueType:
    if indexing not in _INDEXING:
        raise _unknown_name(_INDEXING, repr(indexing), "indexing")
    return _INDEXING[indexing]


def indexing_from_proto(value: schema_pb2.Indexing.ValueType) -> Indexing:
    return _named(_INDEXING, value, "indexing")


def _named(names: Mapping[T, int], value: int, path: str) -> T:
    for name, number in names.items():
        if number == value:
            return name
    raise _unknown_name(names, str(value), path)


def _unknown_name(names: Iterable[object], received: str, path: str) -> InvalidArgument:
    return InvalidArgument("unknown value", field=path, expected=" | ".join(map(str, names)), received=received)


# -- filters --


def filter_to_proto(condition: Filter | None) -> filter_pb2.Filter | None:
    if condition is None:
        return None
    return filter_pb2.Filter(
        equals=filter_pb2.Equals(field=condition.field, value=_scalar_to_proto(condition.value, "filter.equals.value"))
    )


def filter_from_proto(message: filter_pb2.Filter, path: str) -> Filter:
    """The condition. Raises InvalidArgument, or Unimplemented for a kind that is not known here."""
    if message.WhichOneof("condition") != "equals":
        raise _unknown_kind("condition", path)
    equals = message.equals
    return Equals(equals.field, _scalar_from_proto(equals.value, f"{path}.equals.value"))


def _scalar_to_proto(value: Scalar, path: str) -> filter_pb2.Scalar:
    if value is None:
        return filter_pb2.Scalar(null=True)
    if isinstance(value, bool):
        return filter_pb2.Scalar(boolean=value)
    if isinstance(value, int):
        if -(2**63) <= value < 2**63:
            return filter_pb2.Scalar(integer=value)
        if 0 <= value < 2**64:
            return filter_pb2.Scalar(large_integer=value)
        raise InvalidArgument("integer out of range", field=path, expected="64 bits", received=str(value)[:40])
    if isinstance(value, float):
        return filter_pb2.Scalar(number=value)
    return filter_pb2.Scalar(text=value)


def _scalar_from_proto(message: filter_pb2.Scalar, path: str) -> Scalar:
    kind = message.WhichOneof("value")
    if kind is None:
        raise _unknown_kind("value", path)
    value: Scalar = None if kind == "null" else getattr(message, kind)
    if isinstance(value, float) and not np.isfinite(value):
        raise InvalidArgument("number is not finite", field=path, expected="a finite number", received=str(value))
    return value


def _unknown_kind(what: str, path: str) -> Unimplemented:
    return Unimplemented(
        f"the {what} is empty, or of a kind this server does not know",
        field=path,
        expected="a known kind",
        received="none",
    )


# -- writes --


def write_to_proto(collection: str, batch: WriteBatch, request_id: bytes | None) -> points_pb2.WriteRequest:
    if batch.durability is not None and batch.durability not in _DURABILITY:
        raise _unknown_name(_DURABILITY, repr(batch.durability), "durability")
    message = points_pb2.WriteRequest(collection=collection, request_id=request_id or b"")
    if batch.durability is not None:
        message.durability = _DURABILITY[batch.durability]
    for operation in batch.operations:
        _fill_operation(message.operations.add(), operation)
    return message


def write_from_proto(message: points_pb2.WriteRequest) -> WriteBatch:
    """The batch. Raises InvalidArgument."""
    operations = [_operation_from_proto(op, f"operations[{i}]") for i, op in enumerate(message.operations)]
    durability = _named(_DURABILITY, message.durability, "durability") if message.durability else None
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
        _fill_columns(message.put, len(rows.ids), rows.vectors, rows.texts, rows.payloads, rows.models)


def _operation_from_proto(message: operation_pb2.Operation, path: str) -> Operation:
    kind = message.WhichOneof("operation")
    if kind == "put":
        return _put_from_proto(message.put, path)
    if kind == "delete_ids":
        return DeleteIds(list(message.delete_ids.ids))
    if kind == "clear":
        return Clear()
    raise _unknown_kind("operation", path)


def _put_from_proto(message: operation_pb2.Put, path: str) -> Put:
    n = len(message.ids)
    payloads = None
    if message.HasField("payloads"):
        payloads = _spread(message.payloads.values, message.payloads.rows, n, f"{path}.payloads")
    rows = Rows(
        ids=list(message.ids),
        vectors=_vectors_by_field(message.vectors, n, path),
        texts=_texts_by_field(message.texts, n, path),
        payloads=payloads,
        models={column.field: column.model for column in message.vectors if column.HasField("model")},
    )
    return Put(_named(_PUT_MODES, message.mode, f"{path}.mode"), rows)


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


# -- search --


def search_to_proto(collection: str, request: SearchRequest) -> search_pb2.SearchRequest:
    message = search_pb2.SearchRequest(
        collection=collection,
        filter=filter_to_proto(request.filter),
        limit=request.limit,
        offset=request.offset,
        ef=request.ef,
        exact=request.exact,
        min_score=request.min_score,
        select=select_to_proto(request.select),
        explain=request.explain,
    )
    message.fusion.rrf.k = request.fusion.k
    for leg in request.legs:
        _fill_leg(message.legs.add(weight=leg.weight, depth=leg.depth, filter=filter_to_proto(leg.filter)).near, leg)
    return message


def search_from_proto(message: search_pb2.SearchRequest) -> SearchRequest:
    """The search. Raises InvalidArgument, or Unimplemented for a kind that is not known here."""
    if message.HasField("fusion") and message.fusion.WhichOneof("method") != "rrf":
        raise _unknown_kind("fusion", "fusion")
    request = SearchRequest(
        legs=[_leg_from_proto(leg, f"legs[{i}]") for i, leg in enumerate(message.legs)],
        fusion=Rrf(message.fusion.rrf.k or DEFAULT_RRF_K),
        filter=filter_from_proto(message.filter, "filter") if message.HasField("filter") else None,
        limit=message.limit or 10,
        offset=message.offset,
        ef=message.ef if message.HasField("ef") else None,
        exact=message.exact,
        min_score=message.min_score if message.HasField("min_score") else None,
        select=select_from_proto(message.select),
        explain=message.explain,
    )
    if request.legs and not request.queries:
        raise InvalidArgument("there is nothing to search for", field="legs", expected=">= 1 query", received="0")
    return request


def _fill_leg(message: leg_pb2.Near, near: Near) -> None:
    fill_vectors(message.vectors, near.vectors)
    message.using = near.using
    if near.model is not None:
        message.model = near.model


def _leg_from_proto(message: leg_pb2.Leg, path: str) -> Leg:
    if message.WhichOneof("kind") != "near":
        raise _unknown_kind("leg", path)
    near = message.near
    if near.WhichOneof("target") != "vectors":
        raise _unknown_kind("target", f"{path}.near")
    return Near(
        vectors=vectors_from_proto(near.vectors, f"{path}.near.vectors"),
        using=near.using,
        weight=message.weight if message.HasField("weight") else 1.0,
        depth=message.depth if message.HasField("depth") else None,
        filter=filter_from_proto(message.filter, f"{path}.filter") if message.HasField("filter") else None,
        model=near.model if near.HasField("model") else None,
    )


def answer_to_proto(answer: SearchAnswer, content: int) -> search_pb2.SearchResponse:
    """The answer, with payloads, texts and vectors of the first ``content`` hits alone."""
    message = search_pb2.SearchResponse(
        counts=answer.counts.tolist(),
        scores=answer.scores.astype(_FLOAT32, copy=False).tobytes(),
        content_hits=content,
        seq=seq_to_proto(answer.seq),
        took_ms=answer.took_ms,
        warnings=answer.warnings,
    )
    if answer.distances is not None:
        message.distances = answer.distances.astype(_FLOAT32, copy=False).tobytes()
    if answer.explain is not None:
        message.explain_json = orjson.dumps(answer.explain, option=orjson.OPT_SERIALIZE_NUMPY)
    fill_points(message.hits, answer.points, content)
    return message


def answer_from_proto(message: search_pb2.SearchResponse, select: Select) -> SearchAnswer:
    """The answer; hits from ``message.content_hits`` on lack their payloads, texts and vectors."""
    points = points_from_proto(message.hits, select, "hits")
    counts = np.fromiter(message.counts, dtype=np.int64, count=len(message.counts))
    if counts.sum() != len(points):
        raise _lengths_differ("counts", f"a sum of {len(points)}", int(counts.sum()))
    distances = None
    if message.HasField("distances"):
        distances = _numbers(message.distances, "<f4", len(points), "distances")
    return SearchAnswer(
        counts=counts,
        scores=_numbers(message.scores, "<f4", len(points), "scores"),
        distances=distances,
        points=points,
        seq=seq_from_proto(message.seq),
        took_ms=message.took_ms,
        explain=orjson.loads(message.explain_json) if message.explain_json else None,
        warnings=list(message.warnings),
    )


# -- statistics and limits --


def collection_stats_to_proto(stats: CollectionStats) -> stats_pb2.CollectionStats:
    return stats_pb2.CollectionStats(
        name=stats.name,
        live=stats.live,
        dead=stats.dead,
        vectors=stats.vectors,
        indexed=stats.indexed,
        indexing=_INDEXING[stats.indexing],
        state=stats.state,
        seq=seq_to_proto(stats.seq),
        bytes=stats.bytes,
        segments=[
            stats_pb2.SegmentStats(
                segment=segment.segment,
                state=segment.state,
                index=segment.index,
                live=segment.live,
                dead=segment.dead,
                anonymous_bytes=segment.anonymous_bytes,
                mapped_bytes=segment.mapped_bytes,
                disk_bytes=segment.disk_bytes,
            )
            for segment in stats.segments
        ],
        insertions_per_row=stats.insertions_per_row,
        longest_pause_ms=stats.longest_pause_ms,
    )


def collection_stats_from_proto(message: stats_pb2.CollectionStats) -> CollectionStats:
    return CollectionStats(
        name=message.name,
        live=message.live,
        dead=message.dead,
        vectors=message.vectors,
        indexed=message.indexed,
        indexing=indexing_from_proto(message.indexing),
        state=message.state,
        seq=seq_from_proto(message.seq),
        bytes=dict(message.bytes),
        segments=[
            SegmentStats(
                segment=segment.segment,
                state=segment.state,
                index=dict(segment.index),
                live=segment.live,
                dead=segment.dead,
                anonymous_bytes=segment.anonymous_bytes,
                mapped_bytes=segment.mapped_bytes,
                disk_bytes=segment.disk_bytes,
            )
            for segment in message.segments
        ],
        insertions_per_row=message.insertions_per_row,
        longest_pause_ms=message.longest_pause_ms,
    )


def database_stats_to_proto(stats: DatabaseStats) -> stats_pb2.DatabaseStats:
    return stats_pb2.DatabaseStats(
        collections=stats.collections,
        open_collections=stats.open_collections,
        commit=stats.commit,
        read_only_reason=stats.read_only_reason,
        bytes=stats.bytes,
    )


def database_stats_from_proto(message: stats_pb2.DatabaseStats) -> DatabaseStats:
    return DatabaseStats(
        collections=message.collections,
        open_collections=message.open_collections,
        commit=message.commit,
        read_only_reason=message.read_only_reason if message.HasField("read_only_reason") else None,
        bytes=dict(message.bytes),
    )


def server_info_to_proto(info: ServerInfo) -> admin_pb2.InfoResponse:
    limits = info.limits
    return admin_pb2.InfoResponse(
        version=info.version,
        api_level=info.api_level,
        features=info.features,
        limits=admin_pb2.Limits(
            message_bytes=limits.message_bytes,
            search_hits=limits.search_hits,
            search_window=limits.search_window,
            search_legs=limits.search_legs,
            ef=limits.ef,
            scroll_points=limits.scroll_points,
            dim=limits.dim,
            fields=limits.fields,
            id_bytes=limits.id_bytes,
            batch_rows=limits.batch_rows,
            payload_bytes=limits.payload_bytes,
            text_bytes=limits.text_bytes,
            collections=limits.collections,
        ),
    )


def server_info_from_proto(message: admin_pb2.InfoResponse) -> ServerInfo:
    """What a server says of itself; where an older one does not tell a limit, ours."""
    limits, ours = message.limits, Limits()
    return ServerInfo(
        version=message.version,
        api_level=message.api_level,
        features=tuple(message.features),
        limits=Limits(
            message_bytes=limits.message_bytes,
            search_hits=limits.search_hits,
            search_window=limits.search_window,
            search_legs=limits.search_legs,
            ef=limits.ef,
            scroll_points=limits.scroll_points,
            dim=limits.dim,
            fields=limits.fields,
            id_bytes=limits.id_bytes,
            batch_rows=limits.batch_rows or ours.batch_rows,
            payload_bytes=limits.payload_bytes or ours.payload_bytes,
            text_bytes=limits.text_bytes or ours.text_bytes,
            collections=limits.collections or ours.collections,
        ),
    )


def _lengths_differ(path: str, expected: str, received: int) -> InvalidArgument:
    return InvalidArgument("columns differ in length", field=path, expected=expected, received=str(received))
