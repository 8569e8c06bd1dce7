"""Check the form of a write on the caller's thread, before it joins the queue.

Everything that needs only the schema happens here, in parallel; the committer, which is one thread,
then only resolves ids to rows and writes. What is refused here has changed nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from vecdb.engine.options import EngineOptions
from vecdb.errors import DimensionMismatch, FieldNotFound, InvalidArgument, ModelMismatch, TooLarge
from vecdb.index import metric
from vecdb.index.analysis.contract import Identity, TakesApart
from vecdb.index.columns.flatten import Chunk, flatten
from vecdb.index.postings import chunk as postings
from vecdb.index.postings import weights
from vecdb.model.filter import And, Facts, Filter, HasVector, Not, Or, Path, Text, matches
from vecdb.model.point import (
    FOR_EVER,
    MAX_ID_BYTES,
    Clear,
    Condition,
    DeleteIds,
    DeleteWhere,
    Float32,
    Int64,
    Operation,
    PayloadMode,
    Put,
    PutMode,
    Rows,
    UpdateWhere,
    WriteBatch,
)
from vecdb.model.schema import MAX_TTL_MS, Schema, SparseField, VectorField, named
from vecdb.model.sparse import SparseColumn

if TYPE_CHECKING:
    from vecdb.engine.finding import Found

MAX_UNSET = 1_000
"""Values that one update takes out of a payload."""


@dataclass(frozen=True, slots=True)
class FieldIds:
    """The numbers that fields have on disk, by name; those of ``sparse`` with the bit SPARSE."""

    vectors: Mapping[str, int]
    texts: Mapping[str, int]
    sparse: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PreparedVectors:
    """One field of a put: ``rows`` int64 ``[n]`` positions, ``raw`` as given, ``ready`` for scoring."""

    rows: Int64
    raw: Float32
    ready: Float32


@dataclass(frozen=True, slots=True)
class AnalyzedTexts:
    """A column of texts taken apart, and by what. ``chunks``: of some rows, from the one of that number on."""

    chunks: Sequence[tuple[int, postings.Chunk]]
    analyzer: Identity


@dataclass(frozen=True, slots=True)
class Patch:
    """How an update treats the payloads that are there."""

    mode: PayloadMode = PayloadMode.REPLACE
    unset: Sequence[Path] = ()


@dataclass(frozen=True, slots=True)
class PreparedPut:
    """A put whose form is right: vectors and texts by field id, payloads checked to be JSON objects.

    ``texts`` are sparse vectors, too: bytes, as bodies have them.

    ``columns``: the payloads by path, made here so that the committer does not parse them; None where columns are off.
    ``postings``: the texts taken apart, by field id, as far as somebody analyzed them (``analyzed``).
    """

    mode: PutMode
    ids: Sequence[str]
    vectors: dict[int, PreparedVectors]
    texts: dict[int, Sequence[str | None] | Sequence[bytes | None]]
    payloads: Sequence[bytes | None] | None
    columns: Chunk | None
    patch: Patch = Patch()
    ttl_ms: Sequence[int] = ()
    condition: Condition | None = None
    postings: Mapping[int, AnalyzedTexts] = field(default_factory=dict)

    def texts_at(self, position: int) -> dict[int, str | bytes]:
        """The texts and sparse vectors given for one row, by field id."""
        return {f: text for f, column in self.texts.items() if (text := column[position]) is not None}

    def payload_at(self, position: int) -> bytes | None:
        """The payload given for one row."""
        return None if self.payloads is None else self.payloads[position]

    def ttl_at(self, position: int) -> int:
        """The time to live given for one row: milliseconds, FOR_EVER, or 0 for none."""
        return 0 if not self.ttl_ms else self.ttl_ms[position if len(self.ttl_ms) > 1 else 0]


@dataclass(frozen=True, slots=True)
class PreparedWhere:
    """A delete by filter (``change`` None), or an update. ``found`` is what the caller's thread found already."""

    filter: Filter
    change: UpdateWhere | None
    found: Found | None = None


@dataclass(frozen=True, slots=True)
class DeleteExpired:
    """Delete those of the points that have expired. No caller's: the sweep's."""

    ids: Sequence[str]


PreparedOperation = PreparedPut | DeleteIds | PreparedWhere | DeleteExpired | Clear


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """A write batch whose form is right, and about how many bytes it holds."""

    operations: Sequence[PreparedOperation]
    nbytes: int


def prepare(
    batch: WriteBatch, schema: Schema, fields: FieldIds, scope: Filter | None, options: EngineOptions
) -> PreparedBatch:
    """Validate every operation and put its vectors in order. Raises InvalidArgument and its kin."""
    rows = sum(_rows(op) for op in batch.operations)
    if rows > options.max_batch_rows:
        raise TooLarge(
            "the write batch has too many rows; split it",
            field="operations",
            expected=f"<= {options.max_batch_rows} rows",
            received=str(rows),
        )
    operations = [_operation(op, i, schema, fields, scope, options) for i, op in enumerate(batch.operations)]
    nbytes = sum(_size(op) for op in operations)
    if nbytes > options.max_batch_bytes:
        raise TooLarge(
            "the write batch is too large; split it",
            field="operations",
            expected=f"<= {options.max_batch_bytes} bytes",
            received=str(nbytes),
        )
    return PreparedBatch(operations, nbytes)


def analyzed(batch: PreparedBatch, analyzers: Mapping[int, TakesApart], check: Callable[[], None]) -> PreparedBatch:
    """The batch with the postings of its texts, by the analyzers of text fields (by their numbers).

    ``check`` is called before each piece of a column, and may raise.
    """
    if not analyzers:
        return batch
    operations: list[PreparedOperation] = []
    for op in batch.operations:
        if isinstance(op, PreparedPut) and op.texts:
            made = {}
            for number in op.texts.keys() & analyzers.keys():
                analyzer, chunks = analyzers[number], []
                for start, end in postings.pieces(op.texts[number]):
                    check()
                    chunks.append((start, postings.analyzed(op.texts[number][start:end], analyzer)))
                made[number] = AnalyzedTexts(chunks, analyzer.identity)
            op = replace(op, postings=made)
        operations.append(op)
    return PreparedBatch(operations, batch.nbytes)


def check_ids(ids: Sequence[str], path: str) -> None:
    """Refuse ids that are empty, over 512 bytes or not UTF-8, naming the row."""
    for i, point_id in enumerate(ids):
        try:
            size = len(point_id) if point_id.isascii() else len(point_id.encode())
        except UnicodeEncodeError:
            raise InvalidArgument(
                "id is not UTF-8", field=f"{path}[{i}]", expected="valid Unicode", received=ascii(point_id[:40])
            ) from None
        if not 1 <= size <= MAX_ID_BYTES:
            raise InvalidArgument(
                "id has a bad length",
                field=f"{path}[{i}]",
                expected=f"1..{MAX_ID_BYTES} UTF-8 bytes",
                received=f"{size} bytes",
            )


def vector_name(schema: Schema, name: str | None, path: str) -> str:
    """The name of the field meant: ``name``, or where none is named the default. Raises FieldNotFound."""
    if name is None:
        name = schema.main_vector
        if name is None:
            raise FieldNotFound(
                "no field is named, and the collection has no default",
                field=path,
                expected=named(schema.vectors),
                received="none",
            )
    vector_field(schema, name, path)
    return name


def vector_field(schema: Schema, name: str, path: str) -> VectorField:
    """The field of that name. Raises FieldNotFound."""
    found = schema.vectors.get(name)
    if found is None:
        raise FieldNotFound("unknown vector field", field=path, expected=named(schema.vectors), received=repr(name))
    return found


def sparse_name(schema: Schema, name: str | None, path: str) -> str:
    """The name of the field of sparse vectors meant: ``name``, or where none is named the only one.

    Raises FieldNotFound.
    """
    found = schema.main_sparse if name is None else name
    if found is None or found not in schema.sparse:
        raise FieldNotFound(
            "unknown field of sparse vectors" if found is not None else "no field is named, and there is not just one",
            field=path,
            expected=named(schema.sparse),
            received="none" if name is None else repr(name),
        )
    return found


def check_model(field: VectorField | SparseField, stated: str | None, path: str) -> None:
    """Refuse vectors said to come from another model than the field's. Raises ModelMismatch."""
    if stated is not None and field.model is not None and stated != field.model:
        raise ModelMismatch(
            "the vectors come from another embedding model", field=path, expected=field.model, received=stated
        )


def check_vectors(field: VectorField, data: Float32, path: str) -> None:
    """Refuse a wrong dimension and values that cannot be scored, naming the row."""
    if data.ndim != 2 or data.shape[1] != field.dim:
        raise DimensionMismatch(
            "wrong dimension",
            field=path,
            expected=str(field.dim),
            received=str(data.shape[1] if data.ndim == 2 else f"{data.ndim}-d array"),
        )
    metric.validate(field.metric, data, path)


def _operation(
    op: Operation, index: int, schema: Schema, fields: FieldIds, scope: Filter | None, options: EngineOptions
) -> PreparedOperation:
    path = f"operations[{index}]"
    if isinstance(op, DeleteIds):
        check_ids(op.ids, f"{path}.ids")
        _check_condition(op.condition, len(op.ids), schema, f"{path}.condition")
        return op
    if isinstance(op, Clear):
        return op
    if isinstance(op, DeleteWhere | UpdateWhere):
        check_filter(op.filter, schema, f"{path}.filter")
        if isinstance(op, DeleteWhere):
            if op.filter == And(()):
                raise InvalidArgument(
                    "a delete by a filter without conditions would delete everything",
                    field=f"{path}.filter",
                    expected="a condition, or a clear",
                    received="none",
                )
            return PreparedWhere(op.filter, None)
        _check_update_where(op, path, options)
        return PreparedWhere(op.filter, op)
    return _put(op, path, schema, fields, scope, options)


def _put(
    op: Put, path: str, schema: Schema, fields: FieldIds, scope: Filter | None, options: EngineOptions
) -> PreparedPut:
    rows = op.rows
    n = len(rows.ids)
    check_ids(rows.ids, f"{path}.ids")
    if op.mode is PutMode.INSERT and len(set(rows.ids)) != n:
        raise InvalidArgument(
            "an insert names an id twice",
            field=f"{path}.ids[{_first_repeat(rows.ids)}]",
            expected="different ids",
            received=repr(rows.ids[_first_repeat(rows.ids)]),
        )
    vectors: dict[int, PreparedVectors] = {}
    for given, column in rows.vectors.items():
        name = vector_name(schema, given, f'{path}.vectors["{given or ""}"]')
        where = f'{path}.vectors["{name}"]'
        field, number = schema.vectors[name], fields.vectors[name]
        if number in vectors:
            raise InvalidArgument("a field has two columns", field=where, expected="one column", received="two")
        check_model(field, rows.models.get(given), f'{path}.models["{name}"]')
        positions = np.arange(n, dtype=np.int64) if column.rows is None else column.rows
        if len(column.data) != len(positions):
            raise _mismatch(where, len(positions), len(column.data))
        if column.rows is not None:
            _check_positions(positions, n, f"{where}.rows")
        raw = np.ascontiguousarray(column.data, dtype=np.float32)
        check_vectors(field, raw, where)
        vectors[number] = PreparedVectors(positions, raw, metric.prepare(field.metric, raw))
    texts: dict[int, Sequence[str | None] | Sequence[bytes | None]] = {}
    for name, values in rows.texts.items():
        where = f'{path}.texts["{name}"]'
        if name not in schema.texts:
            raise FieldNotFound("unknown text field", field=where, expected=named(schema.texts), received=repr(name))
        if len(values) != n:
            raise _mismatch(where, n, len(values))
        _check_texts(values, where, options.max_text_bytes)
        texts[fields.texts[name]] = values
    for given, sparse in rows.sparse.items():
        name = sparse_name(schema, given, f'{path}.sparse["{given or ""}"]')
        where = f'{path}.sparse["{name}"]'
        if fields.sparse[name] in texts:
            raise InvalidArgument("a field has two columns", field=where, expected="one column", received="two")
        texts[fields.sparse[name]] = _sparse(sparse, schema.sparse[name], n, where)
    parsed = _check_payloads(rows, path, options.max_payload_bytes)
    if op.mode is not PutMode.UPDATE and (op.unset or op.payload_mode is not PayloadMode.REPLACE):
        raise InvalidArgument(
            "only an update changes payloads", field=f"{path}.payload_mode", expected="an update", received=op.mode.name
        )
    _check_unset(op.unset, f"{path}.unset")
    _check_ttl(op.ttl_ms, n, f"{path}.ttl_ms")
    _check_condition(op.condition, n, schema, f"{path}.condition")
    if scope is not None and op.mode is not PutMode.UPDATE:  # what an update makes of a point the committer sees
        _check_scope(scope, rows, parsed, schema, path)
    columns = flatten(parsed) if schema.payload_columns else None
    patch = Patch(op.payload_mode, op.unset)
    return PreparedPut(op.mode, rows.ids, vectors, texts, rows.payloads, columns, patch, op.ttl_ms, op.condition)


def _sparse(column: SparseColumn, field: SparseField, n: int, where: str) -> list[bytes | None]:
    """The sparse vectors of ``n`` rows, as bodies have them."""
    check_model(field, column.model, f"{where}.model")
    positions = np.arange(n, dtype=np.int64) if column.rows is None else column.rows
    if len(column.data) != len(positions):
        raise _mismatch(where, len(positions), len(column.data))
    if column.rows is not None:
        _check_positions(positions, n, f"{where}.rows")
    out: list[bytes | None] = [None] * n
    given = weights.encoded(column.data.normalized(where, positions))
    for position, raw in zip(positions.tolist(), given, strict=True):
        out[position] = raw
    return out


def _check_update_where(op: UpdateWhere, path: str, options: EngineOptions) -> None:
    if op.payload is None and not op.unset and not op.ttl_ms:
        raise InvalidArgument(
            "the update changes nothing", field=path, expected="payload, unset or ttl_ms", received="none"
        )
    if op.payload is not None:
        _check_payload(op.payload, f"{path}.payload", options.max_payload_bytes)
    _check_unset(op.unset, f"{path}.unset")
    _check_ttl([op.ttl_ms], 1, f"{path}.ttl_ms")


def _check_unset(unset: Sequence[Path], path: str) -> None:
    if len(unset) > MAX_UNSET:
        raise InvalidArgument("too many values", field=path, expected=f"<= {MAX_UNSET}", received=str(len(unset)))
    for i, keys in enumerate(unset):
        if not keys:
            raise InvalidArgument("no path", field=f"{path}[{i}]", expected="at least one key", received="none")


def _check_ttl(ttl_ms: Sequence[int], n: int, path: str) -> None:
    if len(ttl_ms) not in (0, 1, n):
        raise _mismatch(path, n, len(ttl_ms))
    for i, ttl in enumerate(ttl_ms):
        if not FOR_EVER <= ttl <= MAX_TTL_MS:
            raise InvalidArgument(
                "time to live out of range", field=f"{path}[{i}]", expected=f"-1..{MAX_TTL_MS}", received=str(ttl)
            )


def _check_condition(condition: Condition | None, n: int, schema: Schema, path: str) -> None:
    if condition is None:
        return
    if len(condition.versions) not in (0, 1, n):
        raise _mismatch(f"{path}.versions", n, len(condition.versions))
    for i, version in enumerate(condition.versions):
        if not 0 <= version < 2**64:
            raise InvalidArgument(
                "version out of range", field=f"{path}.versions[{i}]", expected="64 bits", received=str(version)[:40]
            )
    if condition.absent and (condition.exists or condition.versions or condition.filter is not None):
        raise InvalidArgument(
            "a point that does not exist has nothing else",
            field=path,
            expected="absent alone",
            received="absent and another condition",
        )
    check_filter(condition.filter, schema, f"{path}.filter")


def _check_positions(positions: Int64, n: int, where: str) -> None:
    if len(positions) and (positions[0] < 0 or positions[-1] >= n or np.any(positions[1:] <= positions[:-1])):
        raise InvalidArgument(
            "row positions are not ascending within the batch",
            field=where,
            expected=f"ascending in 0..{n - 1}",
            received=str(positions[:8].tolist()),
        )


def _check_texts(values: Sequence[str | None], where: str, limit: int) -> None:
    for i, text in enumerate(values):
        if text is None:
            continue
        try:
            size = len(text) if text.isascii() else len(text.encode())
        except UnicodeEncodeError:
            raise InvalidArgument(
                "text is not UTF-8", field=f"{where}[{i}]", expected="valid Unicode", received=ascii(text[:40])
            ) from None
        if size > limit:
            raise InvalidArgument(
                "text is too long", field=f"{where}[{i}]", expected=f"<= {limit} bytes", received=f"{size} bytes"
            )


def _check_payloads(rows: Rows, path: str, limit: int) -> list[dict[str, Any] | None]:
    """The payloads, parsed."""
    out: list[dict[str, Any] | None] = [None] * len(rows.ids)
    if rows.payloads is None:
        return out
    if len(rows.payloads) != len(rows.ids):
        raise _mismatch(f"{path}.payloads", len(rows.ids), len(rows.payloads))
    for i, payload in enumerate(rows.payloads):
        if payload is not None:
            out[i] = _check_payload(payload, f"{path}.payloads[{i}]", limit)
    return out


def _check_payload(payload: bytes, where: str, limit: int) -> dict[str, Any]:
    """The payload, parsed."""
    check_payload_size(payload, where, limit)
    try:
        parsed = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise InvalidArgument(
            "payload is not JSON", field=where, expected="a JSON object", received=str(error)
        ) from None
    if not isinstance(parsed, dict):
        raise InvalidArgument(
            "payload is not an object", field=where, expected="a JSON object", received=type(parsed).__name__
        )
    return parsed


def check_payload_size(payload: bytes, where: str, limit: int) -> None:
    """Refuse a payload of more than ``limit`` bytes."""
    if len(payload) > limit:
        raise InvalidArgument(
            "payload is too large", field=where, expected=f"<= {limit} bytes", received=f"{len(payload)} bytes"
        )


def _check_scope(
    scope: Filter, rows: Rows, payloads: Sequence[dict[str, Any] | None], schema: Schema, path: str
) -> None:
    n = len(rows.ids)
    vectors = {
        vector_name(schema, name, path): set(range(n) if column.rows is None else column.rows.tolist())
        for name, column in rows.vectors.items()
    }
    for i, (point_id, payload) in enumerate(zip(rows.ids, payloads, strict=True)):
        texts = {name: text for name, column in rows.texts.items() if (text := column[i]) is not None}
        there = {name for name, positions in vectors.items() if i in positions}
        if not matches(scope, Facts(point_id, 0, payload, texts, there)):
            raise out_of_scope(f"{path}.payloads[{i}]")


def out_of_scope(where: str) -> InvalidArgument:
    """The refusal of a point that its writer could not see."""
    return InvalidArgument(
        "the point would lie outside the caller's scope",
        field=where,
        expected="a point of the scope",
        received="one outside it",
    )


def check_filter(filter: Filter | None, schema: Schema, path: str) -> None:
    """Refuse a filter that asks for a field the collection does not have. Raises FieldNotFound."""
    match filter:
        case And() | Or():
            for part in filter.parts:
                check_filter(part, schema, path)
        case Not():
            check_filter(filter.part, schema, path)
        case HasVector():
            vector_field(schema, filter.field, f"{path}.$has_vector")
        case Text():
            if filter.field not in schema.texts:
                raise FieldNotFound(
                    "unknown text field",
                    field=f"{path}.$text",
                    expected=named(schema.texts),
                    received=repr(filter.field),
                )


def _mismatch(where: str, expected: int, received: int) -> InvalidArgument:
    return InvalidArgument(
        "columns differ in length", field=where, expected=f"{expected} entries", received=str(received)
    )


def _first_repeat(ids: Sequence[str]) -> int:
    seen: set[str] = set()
    for i, point_id in enumerate(ids):
        if point_id in seen:
            return i
        seen.add(point_id)
    return -1


def _rows(op: Operation) -> int:
    """Rows that are written, and ids."""
    return len(op.rows.ids) if isinstance(op, Put) else len(op.ids) if isinstance(op, DeleteIds) else 0


def _size(op: PreparedOperation) -> int:
    if isinstance(op, Clear):
        return 0
    if isinstance(op, PreparedWhere):
        return 0 if op.change is None or op.change.payload is None else len(op.change.payload)
    if isinstance(op, DeleteIds | DeleteExpired):
        return sum(map(len, op.ids))
    size = sum(map(len, op.ids)) + sum(v.raw.nbytes for v in op.vectors.values())
    size += sum(len(p) for p in op.payloads or () if p)
    return size + sum(len(t) for column in op.texts.values() for t in column if t)
