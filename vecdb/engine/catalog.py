"""The catalog: what collections there are, one small JSON value each, and which aliases stand for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vecdb.engine.collection import Entry
from vecdb.engine.prepare import FieldIds
from vecdb.engine.shape import Shape
from vecdb.errors import DataLoss
from vecdb.model.schema import Schema, SparseField, TextField, VectorField
from vecdb.storage import codec, keys
from vecdb.storage.codec import SPARSE, Head
from vecdb.storage.kv import Reader, prefix_end

VERSION = 3
"""1: the first. 2: numbers of fields are never used again, and what goes with changing a schema. 3: how texts are
found, slots of texts in bodies, and sparse vectors. All are read."""


def read(kv: Reader) -> tuple[list[tuple[Entry, Head]], dict[str, int], list[int]]:
    """Every collection with its committed counters, the aliases, and the numbers of dropped ones not yet purged."""
    heads = {keys.collection_number(key): codec.decode_head(value) for key, value in _all(kv, b"h")}
    dropped = [keys.collection_number(key) for key, _ in _all(kv, b"x")]
    entries = []
    for key, value in _all(kv, b"c"):
        number = keys.collection_number(key)
        entries.append((decode(number, value), heads.get(number, Head())))
    aliases = {keys.alias_name(key): codec.decode_alias(value) for key, value in _all(kv, b"a")}
    return entries, aliases, dropped


def next_number(kv: Reader, known: Iterable[int]) -> int:
    """The number of the next collection: above those ``known``, and above those of collections long gone.

    Archives and tokens tell collections by their numbers: a number that came again would stand for two of them.
    """
    value = kv.get(keys.DATABASE)
    return max(1 + max(known, default=0), 1 if value is None else codec.decode_numbers(value))


def encode(entry: Entry) -> bytes:
    """The catalog value of a collection."""
    schema, fields = entry.schema, entry.fields
    vectors = {
        name: {
            "id": fields.vectors[name],
            "dim": field.dim,
            "metric": field.metric,
            "m": field.m,
            "ef_construction": field.ef_construction,
            "model": field.model,
        }
        for name, field in schema.vectors.items()
    }
    texts = {
        name: {
            "id": fields.texts[name],
            "analyzer": field.analyzer,
            "options": dict(field.options),
            "k1": field.k1,
            "b": field.b,
            "keywords": field.keywords,
        }
        for name, field in schema.texts.items()
    }
    sparse = {name: {"id": fields.sparse[name] ^ SPARSE, "model": field.model} for name, field in schema.sparse.items()}
    document: dict[str, Any] = {
        "name": entry.name,
        "created_at_ms": entry.created_at_ms,
        "indexing": entry.indexing,
        "vectors": vectors,
        "texts": texts,
        "default_vector": schema.default_vector,
        "ttl_ms": schema.ttl_ms,
        "payload_columns": schema.payload_columns,
        "sparse": sparse,
        "next_vector": entry.shape.next_vector,
        "next_text": entry.shape.next_text,
        "next_sparse": entry.shape.next_sparse,
        "dropping": list(entry.shape.dropping),
    }
    return codec.encode_json(VERSION, document)


def decode(number: int, value: bytes) -> Entry:
    """Raises DataLoss, FormatTooNew."""
    document = codec.decode_json(value, VERSION, "a catalog entry")
    try:
        vectors = {
            name: VectorField(f["dim"], f["metric"], f["m"], f["ef_construction"], f["model"])
            for name, f in document["vectors"].items()
        }
        texts = {name: _text_field(f) for name, f in document["texts"].items()}
        fields = FieldIds(
            {name: int(f["id"]) for name, f in document["vectors"].items()},
            {name: int(f["id"]) for name, f in document["texts"].items()},
            {name: SPARSE | int(f["id"]) for name, f in document.get("sparse", {}).items()},
        )
        schema = Schema(
            vectors,
            texts,
            document.get("default_vector"),
            int(document.get("ttl_ms", 0)),
            bool(document.get("payload_columns", True)),
            {name: SparseField(f["model"]) for name, f in document.get("sparse", {}).items()},
        )
        shape = Shape(
            schema,
            fields,
            int(document.get("next_vector", _after(fields.vectors))),
            int(document.get("next_text", _after(fields.texts))),
            tuple(int(field_id) for field_id in document.get("dropping", ())),
            int(document.get("next_sparse", 0)),
        )
        return Entry(number, document["name"], shape, document["indexing"], document["created_at_ms"])
    except (KeyError, TypeError) as error:
        raise DataLoss(f"the catalog entry of collection {number} lacks {error}") from error


def _text_field(said: Mapping[str, Any]) -> TextField:
    default = TextField()
    return TextField(
        said["analyzer"],
        dict(said.get("options", {})),
        float(said.get("k1", default.k1)),
        float(said.get("b", default.b)),
        bool(said.get("keywords", True)),
    )


def _after(numbers: Mapping[str, int]) -> int:
    return 1 + max(numbers.values(), default=-1)


def _all(kv: Reader, prefix: bytes) -> list[tuple[bytes, bytes]]:
    return list(kv.scan(prefix, prefix_end(prefix)))
