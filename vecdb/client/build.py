"""Requests as people write them, to the nouns of the model. Pure: nothing is sent, nothing is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from vecdb.client import changes
from vecdb.client.filters import to_tree
from vecdb.client.ids import to_ids
from vecdb.client.numbers import whole
from vecdb.client.operations import Clear, Delete, Insert, Operation, Put, Update, Upsert
from vecdb.client.payloads import to_payload, to_payloads
from vecdb.client.sparse import to_sparse_columns
from vecdb.client.texts import to_texts
from vecdb.client.ttl import lifetime, lifetimes, of_collection
from vecdb.client.vectors import to_columns
from vecdb.errors import InvalidArgument
from vecdb.model import point
from vecdb.model.collection import INDEXING, Indexing
from vecdb.model.filter import Key, Path, path_of
from vecdb.model.filter.expression import key_of
from vecdb.model.point import (
    Condition,
    DeleteIds,
    DeleteWhere,
    PayloadMode,
    PutMode,
    Rows,
    UpdateWhere,
)
from vecdb.model.schema import Metric, Schema, SparseField, TextField, VectorField, validate_collection_name

_MODES = {Upsert: PutMode.UPSERT, Insert: PutMode.INSERT, Update: PutMode.UPDATE}

MAX_REQUEST_ID_BYTES = 64

NO_TARGET = "a delete names no points; clear() empties a collection"
NO_TARGET_OF_UPDATE = "an update names no points"
TWO_TARGETS = "points are named by ids or by a filter"


def schema(
    *,
    dim: int | None,
    metric: Metric,
    analyzer: str,
    model: str | None,
    vectors: Mapping[str, VectorField] | None,
    texts: Mapping[str, TextField] | None,
    sparse: Mapping[str, SparseField] | None,
    m: int,
    ef_construction: int,
    default_vector: str | None,
    ttl: object,
    payload_columns: bool,
) -> Schema:
    """The schema: ``dim`` makes the unnamed vector field, the unnamed text field is always there."""
    fields = dict(vectors or {})
    if dim is not None:
        if "" in fields:
            raise InvalidArgument(
                "the unnamed vector field is given twice", field="dim", expected="dim or vectors['']", received="both"
            )
        fields = {"": VectorField(dim, metric, m, ef_construction, model), **fields}
    kinds: list[tuple[str, Mapping[str, object], type]] = [
        ("vectors", fields, VectorField),
        ("texts", texts or {}, TextField),
        ("sparse", sparse or {}, SparseField),
    ]
    for kind, given, expected in kinds:
        for name, field in given.items():
            if not isinstance(field, expected):
                raise InvalidArgument(
                    "not a field",
                    field=f'{kind}["{name}"]',
                    expected=expected.__name__,
                    received=type(field).__name__,
                )
    made = Schema(
        fields,
        {"": TextField(analyzer), **(texts or {})},
        None if default_vector is None else changes.field_name(default_vector, "default_vector"),
        of_collection(ttl),
        changes.set_columns(payload_columns).on,
        sparse or {},
    )
    made.validate()
    return made


def rows(given: Put) -> Rows:
    """The columns of a put, checked against each other."""
    ids = to_ids(given.ids)
    vectors = to_columns(given.vectors, len(ids))
    models: Mapping[str | None, str] = {}
    if isinstance(given.model, str):
        models = dict.fromkeys(vectors, given.model)
    elif given.model is not None:
        models = {name or None if None in vectors else name: model for name, model in given.model.items()}
    texts, payloads = to_texts(given.texts, len(ids)), to_payloads(given.payloads, len(ids))
    return Rows(ids, vectors, texts, payloads, models, to_sparse_columns(given.sparse, len(ids)))


def put(given: Put) -> point.Put | UpdateWhere:
    """A put of the kind that ``given`` is. Raises InvalidArgument."""
    if isinstance(given, Update) and (given.filter is not None or given.ids is None):
        return _update_where(given)
    columns = rows(given)
    n = len(columns.ids)
    ttl_ms = lifetimes(given.ttl, n)
    if isinstance(given, Update):
        mode, unset = _payload_mode(given.payload_mode), _paths(given.unset)
        return point.Put(PutMode.UPDATE, columns, mode, unset, ttl_ms, _condition(given, n))
    condition = _condition(given, n) if isinstance(given, Upsert) else None
    return point.Put(_MODES[type(given)], columns, ttl_ms=ttl_ms, condition=condition)


def delete(given: Delete) -> DeleteIds | DeleteWhere:
    """A delete by ids or by filter. Raises InvalidArgument when nothing, or both, names points."""
    if (given.ids is None) == (given.filter is None):
        raise _not_one(NO_TARGET if given.ids is None else TWO_TARGETS, given.ids is None)
    if given.ids is not None:
        ids = to_ids(given.ids)
        return DeleteIds(ids, _condition(given, len(ids)))
    _refuse_conditions(given)
    return DeleteWhere(to_tree(given.filter, "filter"))


def _update_where(given: Update) -> UpdateWhere:
    if given.filter is None or given.ids is not None:
        raise _not_one(NO_TARGET_OF_UPDATE if given.filter is None else TWO_TARGETS, given.filter is None)
    for name in ("vectors", "texts", "sparse"):
        if getattr(given, name) is not None:
            raise InvalidArgument(
                "an update by filter changes payloads and times to live", field=name, expected="None", received=name
            )
    _refuse_conditions(given)
    payload = None if given.payloads is None else to_payload(given.payloads, "payloads")
    mode, unset, ttl_ms = _payload_mode(given.payload_mode), _paths(given.unset), lifetime(given.ttl, "ttl")
    if payload is None and not unset and not ttl_ms:
        raise InvalidArgument(
            "the update changes nothing", field="payloads", expected="payloads, unset or ttl", received="none"
        )
    return UpdateWhere(to_tree(given.filter, "filter"), payload, mode, unset, ttl_ms)


def _not_one(message: str, none: bool) -> InvalidArgument:
    return InvalidArgument(message, field="ids", expected="ids or filter", received="neither" if none else "both")


def _refuse_conditions(given: Update | Delete) -> None:
    for name in ("if_exists", "if_version", "if_filter"):
        if getattr(given, name) not in (None, False):
            raise InvalidArgument(
                "conditions are for points named by id", field=name, expected="ids", received="filter"
            )


def _condition(given: Upsert | Update | Delete, n: int) -> Condition | None:
    versions: list[int] = []
    if given.if_version is not None:
        many = not isinstance(given.if_version, int | np.integer)
        asked = list(given.if_version) if many else [given.if_version]  # type: ignore[arg-type]
        versions = [_version(one, f"if_version[{i}]" if many else "if_version") for i, one in enumerate(asked)]
        if many and len(versions) != n:
            raise InvalidArgument(
                "columns differ in length", field="if_version", expected=f"{n} versions", received=str(len(versions))
            )
    found = Condition(
        isinstance(given, Upsert) and bool(given.if_absent),
        bool(given.if_exists),
        versions,
        None if given.if_filter is None else to_tree(given.if_filter, "if_filter"),
    )
    return None if found == Condition(versions=[]) else found


def _version(value: object, path: str) -> int:
    version = whole(value, path)
    if not 0 <= version < 2**64:
        raise InvalidArgument("not a version", field=path, expected=f"0..{2**64 - 1}", received=str(version)[:40])
    return version


def _payload_mode(value: object) -> PayloadMode:
    for mode in PayloadMode:
        if mode.name.lower() == value:
            return mode
    raise InvalidArgument("unknown mode", field="payload_mode", expected="merge | replace", received=repr(value)[:40])


def _paths(names: object) -> list[Path]:
    if names is None:
        return []
    if isinstance(names, str | bytes | Mapping) or not isinstance(names, Iterable):
        raise InvalidArgument("not a list", field="unset", expected="a list of names", received=type(names).__name__)
    found = []
    for i, name in enumerate(names):
        if not isinstance(name, str):
            raise InvalidArgument("not a name", field=f"unset[{i}]", expected="str", received=type(name).__name__)
        found.append(path_of(name))
    return found


def operations(given: Iterable[Operation]) -> list[point.Operation]:
    """The operations of a batch, without those that name no point. Raises InvalidArgument naming the operation."""
    made: list[point.Operation] = []
    for i, operation in enumerate(given):
        try:
            found = _operation(operation)
        except InvalidArgument as error:
            error.field = f"operations[{i}].{error.field}" if error.field else f"operations[{i}]"
            raise
        if size_of(found) != 0:
            made.append(found)
    return made


def size_of(operation: point.Operation) -> int | None:
    """How many points an operation names; None where it says which otherwise."""
    if not isinstance(operation, point.Put | DeleteIds):
        return None
    return len(operation.rows.ids if isinstance(operation, point.Put) else operation.ids)


def _operation(given: Operation) -> point.Operation:
    if isinstance(given, Clear | point.Put | DeleteIds):
        return given  # as it comes, of a Change
    if isinstance(given, Delete):
        return delete(given)
    if type(given) in _MODES:
        return put(given)
    raise InvalidArgument(
        "not an operation", expected="Upsert | Insert | Update | Delete | Clear", received=type(given).__name__
    )


def durability(value: object) -> str | None:
    """What a write must survive. Raises InvalidArgument."""
    if value is None or (isinstance(value, str) and value in ("fsync", "os")):
        return value
    raise InvalidArgument("unknown durability", field="durability", expected="fsync | os", received=repr(value)[:40])


def indexing(value: object) -> Indexing:
    """A mode of indexing. Raises InvalidArgument."""
    for mode in INDEXING:
        if mode == value:
            return mode
    raise InvalidArgument("unknown mode", field="mode", expected=" | ".join(INDEXING), received=repr(value)[:40])


def request_id(value: object) -> bytes:
    """A request id. Raises InvalidArgument."""
    if not isinstance(value, bytes) or not 1 <= len(value) <= MAX_REQUEST_ID_BYTES:
        raise InvalidArgument("bad request id", field="request_id", expected="1..64 bytes", received=repr(value)[:80])
    return value


def different(ids: Sequence[str]) -> None:
    """Refuse equal ids, naming the second."""
    seen: set[str] = set()
    for i, point_id in enumerate(ids):
        if point_id in seen:
            raise InvalidArgument(
                "an insert, or a write with a condition, names an id twice",
                field=f"ids[{i}]",
                expected="different ids",
                received=repr(point_id),
            )
        seen.add(point_id)


def name(value: object, path: str) -> str:
    """The name of a collection or alias. Raises InvalidArgument."""
    if not isinstance(value, str):
        raise InvalidArgument("not a text", field=path, expected="str", received=type(value).__name__)
    validate_collection_name(value, path)
    return value


def key(given: object, path: str) -> Key:
    """What is looked at: a path as in ``F``, or a name with $. Raises InvalidArgument."""
    if not isinstance(given, str | list | tuple):
        raise InvalidArgument("not a path", field=path, expected="str | list of keys", received=type(given).__name__)
    return key_of(given)
