"""Requests as people write them, to the nouns of the model. Pure: nothing is sent, nothing is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from vecdb.client import changes
from vecdb.client.ids import to_ids
from vecdb.client.near import Near
from vecdb.client.operations import Clear, Delete, Insert, Operation, Put, Update, Upsert
from vecdb.client.payloads import to_payloads
from vecdb.client.texts import to_texts
from vecdb.client.vectors import to_columns, to_matrix, to_query
from vecdb.errors import InvalidArgument
from vecdb.model import point, query
from vecdb.model.collection import INDEXING, Indexing
from vecdb.model.filter import Filter, Key
from vecdb.model.filter.expression import key_of
from vecdb.model.point import DeleteIds, PutMode, Rows, Select
from vecdb.model.query import Rrf, SearchRequest
from vecdb.model.schema import Metric, Schema, TextField, VectorField, validate_collection_name

_MODES = {Upsert: PutMode.UPSERT, Insert: PutMode.INSERT, Update: PutMode.UPDATE}

MAX_REQUEST_ID_BYTES = 64

NO_TARGET = "a delete names no points; clear() empties a collection"


def schema(
    *,
    dim: int | None,
    metric: Metric,
    analyzer: str,
    model: str | None,
    vectors: Mapping[str, VectorField] | None,
    texts: Mapping[str, TextField] | None,
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
    for kind, given, expected in (("vectors", fields, VectorField), ("texts", texts or {}, TextField)):
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
        changes.ttl_ms(ttl),
        changes.set_columns(payload_columns).on,
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
    return Rows(ids, vectors, to_texts(given.texts, len(ids)), to_payloads(given.payloads, len(ids)), models)


def put(given: Put) -> point.Put:
    """A put of the kind that ``given`` is."""
    return point.Put(_MODES[type(given)], rows(given))


def delete(ids: object) -> DeleteIds:
    """A delete by ids. Raises InvalidArgument when there is nothing that names points."""
    if ids is None:
        raise InvalidArgument(NO_TARGET, field="ids", expected="ids", received="None")
    return DeleteIds(to_ids(ids))


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
    """How many points an operation names; None for all there are."""
    if isinstance(operation, Clear):
        return None
    return len(operation.rows.ids if isinstance(operation, point.Put) else operation.ids)


def _operation(given: Operation) -> point.Operation:
    if isinstance(given, Clear):
        return given
    if isinstance(given, Delete):
        return delete(given.ids)
    if type(given) in _MODES:
        return put(given)
    raise InvalidArgument(
        "not an operation", expected="Upsert | Insert | Update | Delete | Clear", received=type(given).__name__
    )


def search(
    vector: Any, legs: Sequence[Near] | None, *, using: str | None, model: str | None, **more: Any
) -> SearchRequest:
    """A search of one query, by a vector or by legs."""
    if (vector is None) == (legs is None):
        raise InvalidArgument(
            "say what to search for",
            field="vector",
            expected="a vector or legs",
            received="neither" if vector is None else "both",
        )
    if legs is None:
        return request([query.Near(to_query(vector, "vector"), using, model=model)], **more)
    if using is not None or model is not None:
        raise InvalidArgument(
            "each leg names its own field and model",
            field="using",
            expected="legs alone",
            received="legs and using or model",
        )
    return request([_leg(leg, f"legs[{i}]") for i, leg in enumerate(legs)], **more)


def search_batch(vectors: Any, *, using: str | None, model: str | None, **more: Any) -> SearchRequest | None:
    """A search of one query for each row of ``vectors``; None when there is none."""
    if not hasattr(vectors, "__array__") and not isinstance(vectors, str | bytes | Mapping):
        vectors = list(vectors)
    if hasattr(vectors, "__len__") and len(vectors) == 0:
        return None
    return request([query.Near(to_matrix(vectors, "vectors"), using, model=model)], **more)


def request(
    legs: Sequence[query.Leg],
    *,
    limit: int,
    offset: int,
    ef: int | None,
    exact: bool,
    min_score: float | None,
    fusion: Rrf | None,
    select: Select,
    explain: bool,
) -> SearchRequest:
    """A search whose form is right. Raises InvalidArgument."""
    if fusion is not None and not isinstance(fusion, Rrf):
        raise InvalidArgument("unknown fusion", field="fusion", expected="Rrf", received=type(fusion).__name__)
    made = SearchRequest(
        legs=legs,
        fusion=fusion or Rrf(),
        limit=whole(limit, "limit"),
        offset=whole(offset, "offset"),
        ef=None if ef is None else whole(ef, "ef"),
        exact=bool(exact),
        min_score=None if min_score is None else _real(min_score, "min_score"),
        select=select,
        explain=bool(explain),
    )
    made.validate()
    return made


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
                "an insert names an id twice", field=f"ids[{i}]", expected="different ids", received=repr(point_id)
            )
        seen.add(point_id)


def _leg(leg: Near, path: str) -> query.Near:
    if not isinstance(leg, Near):
        raise InvalidArgument("not a leg", field=path, expected="Near", received=type(leg).__name__)
    return query.Near(
        vectors=to_query(leg.vector, f"{path}.vector"),
        using=leg.using,
        weight=_real(leg.weight, f"{path}.weight"),
        depth=None if leg.depth is None else whole(leg.depth, f"{path}.depth"),
        model=leg.model,
    )


def name(value: object, path: str) -> str:
    """The name of a collection or alias. Raises InvalidArgument."""
    if not isinstance(value, str):
        raise InvalidArgument("not a text", field=path, expected="str", received=type(value).__name__)
    validate_collection_name(value, path)
    return value


def condition(given: object) -> Filter | None:
    """A filter. Raises InvalidArgument."""
    if given is None or isinstance(given, Filter):
        return given
    raise InvalidArgument("not a filter", field="filter", expected="a filter", received=type(given).__name__)


def key(given: object, path: str) -> Key:
    """What is looked at: a path as in ``F``, or a name with $. Raises InvalidArgument."""
    if not isinstance(given, str | list | tuple):
        raise InvalidArgument("not a path", field=path, expected="str | list of keys", received=type(given).__name__)
    return key_of(given)


def whole(value: Any, path: str) -> int:
    """An int from an int of Python or numpy. Raises InvalidArgument."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InvalidArgument("not a whole number", field=path, expected="int", received=repr(value)[:40])
    return int(value)


def _real(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise InvalidArgument("not a number", field=path, expected="float", received=repr(value)[:40])
    return float(value)
