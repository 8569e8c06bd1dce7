"""Schemas, their changes, and descriptions of collections."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from vecdb.errors import InvalidArgument
from vecdb.model.collection import CollectionInfo, Indexing
from vecdb.model.schema import Metric, Schema, SparseField, TextField, VectorField
from vecdb.model.schema_change import (
    AddSparseField,
    AddTextField,
    AddVectorField,
    DropVectorField,
    RenameVectorField,
    SchemaChange,
    SetDefaultVector,
    SetPayloadColumns,
    SetTextField,
    SetTtl,
)
from vecdb.v1 import collections_pb2, schema_pb2
from vecdb.wire.convert.refusals import named, unknown_kind, unknown_name

_METRICS: dict[Metric, schema_pb2.Metric.ValueType] = {
    "cosine": schema_pb2.METRIC_COSINE,
    "euclidean": schema_pb2.METRIC_EUCLIDEAN,
    "dot": schema_pb2.METRIC_DOT,
}
INDEXING_CODES: dict[Indexing, schema_pb2.Indexing.ValueType] = {
    "auto": schema_pb2.INDEXING_AUTO,
    "deferred": schema_pb2.INDEXING_DEFERRED,
}


def schema_to_proto(schema: Schema) -> schema_pb2.Schema:
    return schema_pb2.Schema(
        vectors={name: _vector_to_proto(field) for name, field in schema.vectors.items()},
        texts={name: _text_to_proto(field) for name, field in schema.texts.items()},
        default_vector=schema.default_vector,
        ttl_ms=schema.ttl_ms,
        payload_columns=schema.payload_columns,
        sparse={name: schema_pb2.SparseField(model=field.model) for name, field in schema.sparse.items()},
    )


def schema_from_proto(message: schema_pb2.Schema) -> Schema:
    """The schema, with defaults for what is not stated. Raises InvalidArgument."""
    return Schema(
        {n: _vector_from_proto(field, f'schema.vectors["{n}"]') for n, field in message.vectors.items()},
        {n: _text_from_proto(field, f'schema.texts["{n}"]') for n, field in message.texts.items()},
        message.default_vector if message.HasField("default_vector") else None,
        message.ttl_ms,
        message.payload_columns if message.HasField("payload_columns") else True,
        {name: _sparse_from_proto(field) for name, field in message.sparse.items()},
    )


def change_to_proto(collection: str, change: SchemaChange) -> collections_pb2.ChangeSchemaRequest:
    message = collections_pb2.ChangeSchemaRequest(collection=collection)
    match change:
        case AddVectorField(name, vector):
            message.add_vector.name = name
            message.add_vector.field.CopyFrom(_vector_to_proto(vector))
        case DropVectorField(name):
            message.drop_vector = name
        case RenameVectorField(name, new_name):
            message.rename_vector.name = name
            message.rename_vector.new_name = new_name
            message.rename_vector.SetInParent()
        case SetDefaultVector(name):
            message.default_vector = name
        case AddTextField(name, text):
            message.add_text.name = name
            message.add_text.field.CopyFrom(_text_to_proto(text))
        case SetTextField(name, text):
            message.set_text.name = name
            message.set_text.field.CopyFrom(_text_to_proto(text))
        case AddSparseField(name, sparse):
            message.add_sparse.name = name
            message.add_sparse.field.CopyFrom(schema_pb2.SparseField(model=sparse.model))
        case SetTtl(ttl_ms):
            message.ttl_ms = ttl_ms
        case SetPayloadColumns(on):
            message.payload_columns = on
    return message


def change_from_proto(message: collections_pb2.ChangeSchemaRequest) -> SchemaChange:
    """The change. Raises InvalidArgument, or Unimplemented for a kind that is not known here."""
    match message.WhichOneof("change"):
        case "add_vector":
            added = message.add_vector
            return AddVectorField(added.name, _vector_from_proto(added.field, "field"))
        case "drop_vector":
            return DropVectorField(message.drop_vector)
        case "rename_vector":
            return RenameVectorField(message.rename_vector.name, message.rename_vector.new_name)
        case "default_vector":
            return SetDefaultVector(message.default_vector)
        case "add_text":
            return AddTextField(message.add_text.name, _text_from_proto(message.add_text.field, "field"))
        case "set_text":
            return SetTextField(message.set_text.name, _text_from_proto(message.set_text.field, "field"))
        case "add_sparse":
            return AddSparseField(message.add_sparse.name, _sparse_from_proto(message.add_sparse.field))
        case "ttl_ms":
            return SetTtl(message.ttl_ms)
        case "payload_columns":
            return SetPayloadColumns(message.payload_columns)
        case _:
            raise unknown_kind("change", "change")


def _vector_to_proto(field: VectorField) -> schema_pb2.VectorField:
    return schema_pb2.VectorField(
        dim=field.dim,
        metric=_METRICS[field.metric],
        m=field.m,
        ef_construction=field.ef_construction,
        model=field.model,
    )


def _vector_from_proto(message: schema_pb2.VectorField, path: str) -> VectorField:
    default = VectorField(dim=message.dim)
    return VectorField(
        dim=message.dim,
        metric=named(_METRICS, message.metric, f"{path}.metric") if message.metric else "cosine",
        m=message.m or default.m,
        ef_construction=message.ef_construction or default.ef_construction,
        model=message.model if message.HasField("model") else None,
    )


def _sparse_from_proto(message: schema_pb2.SparseField) -> SparseField:
    return SparseField(message.model if message.HasField("model") else None)


def _text_to_proto(field: TextField) -> schema_pb2.TextField:
    return schema_pb2.TextField(
        analyzer=field.analyzer,
        analyzer_options_json=orjson.dumps(dict(field.options)) if field.options else b"",
        k1=field.k1,
        b=field.b,
        keywords=field.keywords,
    )


def _text_from_proto(message: schema_pb2.TextField, path: str) -> TextField:
    usual = TextField()
    return TextField(
        analyzer=message.analyzer or usual.analyzer,
        options=_options(message.analyzer_options_json, f"{path}.analyzer_options_json"),
        k1=message.k1 if message.HasField("k1") else usual.k1,
        b=message.b if message.HasField("b") else usual.b,
        keywords=message.keywords if message.HasField("keywords") else usual.keywords,
    )


def _options(encoded: bytes, path: str) -> Mapping[str, object]:
    """Options of an analyzer. Raises InvalidArgument for what is no JSON object."""
    if not encoded:
        return {}
    try:
        options = orjson.loads(encoded)
    except orjson.JSONDecodeError as error:
        raise InvalidArgument("not JSON", field=path, expected="a JSON object", received=str(error)) from None
    if not isinstance(options, dict):
        raise InvalidArgument("not an object", field=path, expected="a JSON object", received=type(options).__name__)
    return options


def collection_info_to_proto(info: CollectionInfo) -> schema_pb2.CollectionInfo:
    return schema_pb2.CollectionInfo(
        name=info.name,
        schema=schema_to_proto(info.schema),
        indexing=INDEXING_CODES[info.indexing],
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
    if indexing not in INDEXING_CODES:
        raise unknown_name(INDEXING_CODES, repr(indexing), "indexing")
    return INDEXING_CODES[indexing]


def indexing_from_proto(value: schema_pb2.Indexing.ValueType) -> Indexing:
    return named(INDEXING_CODES, value, "indexing")
