"""Which rows of a chunk can be points, and why the others cannot: every bad row is found before anything is sent."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from vecdb.client.load.chunk import Chunk
from vecdb.client.load.exact import parse
from vecdb.client.load.mapping import ColumnMap
from vecdb.client.operations import Upsert
from vecdb.client.payloads import to_payloads
from vecdb.client.sparse import to_sparse_columns
from vecdb.errors import DimensionMismatch, InvalidArgument, InvalidVector
from vecdb.model.point import MAX_ID_BYTES, Float32, Int64, VectorColumn
from vecdb.model.schema import Schema, VectorField


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is no point: its number (from 0), the column that is at fault, and what is wrong."""

    row: int
    column: str
    reason: InvalidArgument

    def __str__(self) -> str:
        return (
            f'row {self.row}, column "{self.column}": {self.reason}'
            if self.column
            else f"row {self.row}: {self.reason}"
        )


@dataclass(frozen=True, slots=True)
class Checked:
    """The good rows of a chunk as columns; ``positions`` int64 are their places in the chunk."""

    points: Upsert
    positions: Int64
    bad: list[BadRow]


def check(chunk: Chunk, columns: ColumnMap, schema: Schema) -> Checked:
    """Sort the rows of a chunk. Raises InvalidArgument for a column that cannot be read at all."""
    return _Checking(chunk, columns, schema).checked()


class _Checking:
    def __init__(self, chunk: Chunk, columns: ColumnMap, schema: Schema) -> None:
        self._chunk = chunk
        self._columns = columns
        self._schema = schema
        self._bad: dict[int, BadRow] = {}

    def checked(self) -> Checked:
        for position, reason in self._chunk.unread.items():
            self._refuse(position, "", InvalidArgument(reason))
        ids = self._ids()
        vectors = {name: self._vectors(name, column) for name, column in self._columns.vectors.items()}
        texts = {name: self._texts(column) for name, column in self._columns.texts.items()}
        sparse = {name: self._sparse(column) for name, column in self._columns.sparse.items()}
        payloads = self._payloads()
        good = np.array([i for i in range(self._chunk.n) if i not in self._bad], dtype=np.int64)
        points = Upsert(
            ids=_at(ids, good),
            vectors={name: _vectors_at(column, good, self._chunk.n) for name, column in vectors.items()},
            texts={name: _at(column, good) for name, column in texts.items()},
            payloads=None if payloads is None else _at(payloads, good),
            sparse={name: _at(column, good) for name, column in sparse.items()},
        )
        return Checked(points, good, [self._bad[position] for position in sorted(self._bad)])

    def _refuse(self, position: int, column: str, reason: InvalidArgument) -> None:
        """The first reason counts; a row is refused once."""
        self._bad.setdefault(position, BadRow(self._chunk.start + position, column, reason))

    def _ids(self) -> list[Any]:
        column = self._columns.id
        if column is None:
            return [str(row) for row in range(self._chunk.start, self._chunk.start + self._chunk.n)]
        ids = self._chunk.values(column)
        for i, value in enumerate(ids):
            if type(value) is str:
                found = value
            elif isinstance(value, int | str | uuid.UUID | np.integer) and not isinstance(value, bool):
                found = str(value)
            else:
                self._refuse(
                    i,
                    column,
                    InvalidArgument("not an id", expected="text, whole number or UUID", received=_short(value)),
                )
                continue
            try:
                nbytes = len(found) if found.isascii() else len(found.encode())
            except UnicodeEncodeError:
                self._refuse(i, column, _not_unicode(found))
                continue
            if not 1 <= nbytes <= MAX_ID_BYTES:
                self._refuse(
                    i,
                    column,
                    InvalidArgument(
                        "id has a bad length", expected=f"1..{MAX_ID_BYTES} bytes", received=f"{nbytes} bytes"
                    ),
                )
        return ids

    def _texts(self, column: str) -> list[Any]:
        texts = self._chunk.values(column)
        for i, text in enumerate(texts):
            if text is None:
                continue
            if not isinstance(text, str):
                self._refuse(i, column, InvalidArgument("not a text", expected="text", received=_short(text)))
            elif not text.isascii():
                try:
                    text.encode()
                except UnicodeEncodeError:
                    self._refuse(i, column, _not_unicode(text))
        return texts

    def _sparse(self, column: str) -> list[Any]:
        """Sparse vectors as they came, or as JSON says them; None and "" are none."""
        held = [None if isinstance(v, str) and not v else parse_vector(v) for v in self._chunk.values(column)]
        try:
            to_sparse_columns(held, len(held))
        except InvalidArgument:
            for i, vector in enumerate(held):
                try:
                    to_sparse_columns([vector], 1)
                except InvalidArgument as error:
                    error.field = None
                    self._refuse(i, column, error)
        return held

    def _payloads(self) -> list[Any] | None:
        """The objects; None for a row that has no column to make one of."""
        columns = self._columns
        if columns.whole_payload is not None:
            payloads: list[Any] = self._chunk.values(columns.whole_payload)
            for i, payload in enumerate(payloads):
                payloads[i] = self._object(i, columns.whole_payload, payload)
        else:
            if columns.payload == {}:
                return None
            payloads = list(
                self._chunk.others(columns.used()) if columns.payload is None else self._chunk.payloads(columns.payload)
            )
            for key in columns.json_columns:
                self._parse(payloads, key)
            payloads = [payload or None for payload in payloads]
        try:
            to_payloads(payloads, self._chunk.n)
        except InvalidArgument:
            self._refuse_payloads(payloads)
        return payloads

    def _object(self, position: int, column: str, payload: Any) -> Any:
        if isinstance(payload, str):
            try:
                payload = parse(payload)
            except ValueError as error:
                self._refuse(position, column, _not_json(str(error)))
                return None
        if payload is not None and not isinstance(payload, Mapping):
            self._refuse(
                position, column, InvalidArgument("not a payload", expected="an object", received=_short(payload))
            )
            return None
        return payload

    def _parse(self, payloads: list[dict[str, Any]], column: str) -> None:
        keys = [key for key, name in (self._columns.payload or {column: column}).items() if name == column]
        for i, payload in enumerate(payloads):
            for key in keys:
                if isinstance(text := payload.get(key), str):
                    try:
                        payload[key] = parse(text)
                    except ValueError as error:
                        self._refuse(i, column, _not_json(str(error)))

    def _refuse_payloads(self, payloads: list[Any]) -> None:
        """Find every payload that is not JSON, and the key that is to blame."""
        for i, payload in enumerate(payloads):
            if payload is None:
                continue
            try:
                to_payloads([payload], 1)
            except InvalidArgument as error:
                column = self._columns.whole_payload or next(
                    filter(lambda key: _unfit({key: payload[key]}), payload), ""
                )
                error.field = None
                self._refuse(i, (self._columns.payload or {}).get(column, column), error)
                payloads[i] = None

    def _vectors(self, name: str, column: str) -> VectorColumn:
        field = self._schema.vectors[name]
        found = self._chunk.vectors(column)
        if not isinstance(found, VectorColumn):
            found = self._from_list(field, column, found)
        if found.data.ndim != 2 or found.data.dtype.kind not in "fiu":
            raise InvalidArgument(
                "not vectors",
                field=f'column "{column}"',
                expected="numbers of shape [n, dim]",
                received=f"{found.data.dtype} {list(found.data.shape)}",
            )
        rows = np.arange(len(found.data)) if found.rows is None else found.rows
        if len(found.data) and found.data.shape[1] != field.dim:
            for i in rows.tolist():
                self._refuse(i, column, _dimension(field, found.data.shape[1]))
            return VectorColumn(np.zeros((0, field.dim), np.float32), rows[:0])
        with np.errstate(over="ignore", invalid="ignore"):
            data = np.ascontiguousarray(found.data, dtype=np.float32)
        self._check_values(field, column, VectorColumn(found.data, rows), data)
        return VectorColumn(data, found.rows)

    def _check_values(self, field: VectorField, column: str, given: VectorColumn, data: Float32) -> None:
        assert given.rows is not None
        for at in np.flatnonzero(~np.isfinite(data).all(axis=1)).tolist():
            position = int(np.argmax(~np.isfinite(data[at])))
            value = given.data[at, position]
            self._refuse(
                int(given.rows[at]),
                column,
                InvalidVector(
                    "the vector does not fit float32" if np.isfinite(value) else "the vector is not finite",
                    expected="finite float32 values",
                    received=f"{value} at position {position}",
                ),
            )
        if field.metric == "cosine":
            for at in np.flatnonzero(~data.any(axis=1)).tolist():
                self._refuse(
                    int(given.rows[at]),
                    column,
                    InvalidVector("a zero vector has no direction", expected="a non-zero vector", received="all zeros"),
                )

    def _from_list(self, field: VectorField, column: str, values: list[Any]) -> VectorColumn:
        """Values of whatever kind as one array, without what is no vector of this field; None and "" are none."""
        rows = [i for i, value in enumerate(values) if value is not None and not (isinstance(value, str) and not value)]
        held = [parse_vector(values[i]) for i in rows]
        try:
            data = np.asarray(held)
            regular = data.ndim == 2 and data.dtype.kind in "fiu"
        except (ValueError, TypeError, OverflowError):
            regular = False
        if not regular or not rows:
            rows, held = self._regular(field, column, rows, held)
            data = np.asarray(held, np.float64) if held else np.zeros((0, field.dim))
        return VectorColumn(data, np.asarray(rows, np.int64))

    def _regular(
        self, field: VectorField, column: str, rows: list[int], values: list[Any]
    ) -> tuple[list[int], list[Any]]:
        """The rows whose value is a list of as many numbers as the field has, and those values."""
        kept: tuple[list[int], list[Any]] = ([], [])
        for i, value in zip(rows, values, strict=True):
            array = None
            if isinstance(value, list | tuple | np.ndarray):
                try:
                    array = np.asarray(value)
                except (ValueError, TypeError, OverflowError):
                    array = None
            if array is None or array.ndim != 1 or array.dtype.kind not in "fiu":
                if array is not None and array.ndim == 1 and len(array) == 0:
                    self._refuse(i, column, _dimension(field, 0))
                    continue
                self._refuse(
                    i, column, InvalidVector("not a vector", expected="a list of numbers", received=_short(value))
                )
            elif len(array) != field.dim:
                self._refuse(i, column, _dimension(field, len(array)))
            else:
                kept[0].append(i)
                kept[1].append(array)
        return kept


def parse_vector(value: Any) -> Any:
    """A vector from the text of a JSON list; anything else, and text that is none, as it is."""
    if isinstance(value, str):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    return value


def _at(values: list[Any], good: Int64) -> list[Any]:
    return values if len(good) == len(values) else [values[i] for i in good.tolist()]


def _vectors_at(column: VectorColumn, good: Int64, n: int) -> Any:
    """The vectors of the good rows: an array, or a list with None where a row has none."""
    if column.rows is None and len(good) == n:
        return column.data
    place = np.full(n, -1, np.int64)
    place[np.arange(n) if column.rows is None else column.rows] = np.arange(len(column.data))
    places = place[good]
    if len(places) and places.min() >= 0:
        return column.data[places]
    return [None if at < 0 else column.data[at] for at in places.tolist()]


def _unfit(payload: dict[str, Any]) -> bool:
    try:
        to_payloads([payload], 1)
    except InvalidArgument:
        return True
    return False


def _dimension(field: VectorField, received: int) -> DimensionMismatch:
    return DimensionMismatch("wrong dimension", expected=str(field.dim), received=str(received))


def _not_unicode(text: str) -> InvalidArgument:
    return InvalidArgument("not valid Unicode", expected="no lone surrogates", received=ascii(text[:40]))


def _not_json(reason: str) -> InvalidArgument:
    return InvalidArgument("not JSON", expected="JSON text", received=reason)


def _short(value: object) -> str:
    return f"{type(value).__name__} {value!r}"[:80]
