"""Schemas and descriptions of collections."""

from __future__ import annotations

from vecdb.model.collection import CollectionInfo, Indexing
from vecdb.model.schema import Metric, Schema, TextField, VectorField
from vecdb.v1 import schema_pb2
from vecdb.wire.convert.refusals import named, unknown_name

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
            metric=named(_METRICS, field.metric, f'schema.vectors["{name}"].metric') if field.metric else "cosine",
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
