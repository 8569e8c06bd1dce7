"""Arrow: tables, readers, data sets, whatever offers an Arrow stream, and parquet files. Needs pyarrow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vecdb.client.load.chunk import Chunk, Columns, Vectors
from vecdb.client.load.source import BatchSize, Source
from vecdb.errors import InvalidArgument
from vecdb.model.point import VectorColumn

# What is read of a column of a parquet file at once; without it, a whole row group.
_READ_BYTES = 1 << 20


class ParquetSource(Source):
    """A parquet file, read in pieces however large its row groups are."""

    kind = "parquet"

    def __init__(self, path: Path) -> None:
        super().__init__(path.name, path)
        try:
            self._file = pq.ParquetFile(path, buffer_size=_READ_BYTES, pre_buffer=False)
        except (pa.ArrowInvalid, OSError) as error:
            raise InvalidArgument(
                "not a parquet file", field=path.name, expected="parquet", received=str(error)
            ) from None
        self._groups = [self._file.metadata.row_group(i) for i in range(self._file.metadata.num_row_groups)]
        self.rows = self._file.metadata.num_rows

    def read(self, start: int, size: BatchSize) -> Iterator[Chunk]:
        row_bytes = sum(group.total_byte_size for group in self._groups) // max(1, self.rows or 0)
        step = size.at_most(row_bytes)
        first, before = 0, 0
        while first < len(self._groups) and before + self._groups[first].num_rows <= start:
            before += self._groups[first].num_rows
            first += 1
        groups = list(range(first, len(self._groups)))
        batches = self._file.iter_batches(batch_size=step, row_groups=groups, use_threads=False)
        try:
            yield from _regular(batches, before, start, step)
        except pa.ArrowException as error:
            raise OSError(str(error)) from error

    def close(self) -> None:
        super().close()
        self._file.close()


class ArrowSource(Source):
    """A table, a record batch, a reader, a data set, or an object with an Arrow stream (polars, duckdb)."""

    kind = "arrow"

    def __init__(self, given: Any) -> None:
        super().__init__(type(given).__name__)
        self._given = given
        self.once = not isinstance(given, pa.Table | pa.RecordBatch) and not hasattr(given, "scanner")
        if isinstance(given, pa.Table | pa.RecordBatch):
            self.rows = given.num_rows

    def read(self, start: int, size: BatchSize) -> Iterator[Chunk]:
        given = self._given
        if isinstance(given, pa.Table | pa.RecordBatch):
            step = size.at_most(given.nbytes // max(1, given.num_rows))
            table = given if isinstance(given, pa.Table) else pa.Table.from_batches([given])
            for at in range(start, table.num_rows, step):
                yield ArrowColumns(at, table.slice(at, step))
            return
        if hasattr(given, "scanner"):
            given = given.scanner(batch_size=size.rows).to_reader()
        elif not isinstance(given, pa.RecordBatchReader):
            given = pa.RecordBatchReader.from_stream(given)
        # A reader gives batches of its own size; how many rows are a batch here follows from the first.
        batches = iter(given)
        first = next((batch for batch in batches if batch.num_rows), None)
        if first is None:
            return
        step = size.at_most(first.nbytes // first.num_rows)
        yield from _regular(_and_then(first, batches), 0, start, step)


class ArrowColumns(Columns):
    """Rows of a table."""

    def __init__(self, start: int, table: Any) -> None:
        super().__init__(start, table.num_rows)
        self._table = table
        names = table.column_names
        if len(set(names)) != len(names):
            raise InvalidArgument("two columns have one name", expected="different names", received=str(names))

    @property
    def names(self) -> list[str]:
        found: list[str] = self._table.column_names
        return found

    def values(self, name: str) -> list[Any]:
        return _values(self._table.column(name), name)

    def vectors(self, name: str) -> Vectors:
        return _vectors(self._table.column(name), name)

    def sample(self, name: str) -> Any:
        found = self._table.column(name).drop_null()
        return _storage(found).slice(0, 1).to_pylist()[0] if len(found) else None

    def record(self, position: int) -> Any:
        return {name: _storage(self._table.column(name)).slice(position, 1).to_pylist()[0] for name in self.names}


def _regular(batches: Iterable[Any], before: int, start: int, step: int) -> Iterator[Chunk]:
    """Chunks of exactly ``step`` rows from row ``start``; the first of ``batches`` begins at row ``before``."""
    held: list[Any] = []
    rows = 0
    for batch in batches:
        skip = min(batch.num_rows, max(0, start - before))
        before += batch.num_rows
        if batch.num_rows == skip:
            continue
        held.append(batch.slice(skip))
        rows += batch.num_rows - skip
        if rows < step:
            continue
        table = pa.Table.from_batches(held)
        for _ in range(rows // step):
            yield ArrowColumns(start, table.slice(0, step))
            table = table.slice(step)
            start += step
        held, rows = table.to_batches(), table.num_rows
    if rows:
        yield ArrowColumns(start, pa.Table.from_batches(held))


def _and_then(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _vectors(column: Any, name: str) -> Vectors:
    """A column of lists as one array; as lists where they differ in length or hold nulls."""
    column = _storage(column.combine_chunks())
    kind = column.type
    types = pa.types
    lists = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    if not lists or not (types.is_floating(kind.value_type) or types.is_integer(kind.value_type)):
        return _values(column, name)
    present = column.drop_null()
    lengths = present.value_lengths() if hasattr(present, "value_lengths") else None
    if types.is_fixed_size_list(kind):
        width = kind.list_size
    else:
        found = lengths.unique() if lengths is not None else []
        if len(found) > 1:
            return _values(column, name)
        width = found[0].as_py() if len(found) else 0
    numbers = present.flatten()
    if numbers.null_count:
        return _values(column, name)
    data = numbers.to_numpy(zero_copy_only=False).reshape(len(present), width)
    rows = np.flatnonzero(np.asarray(column.is_valid().to_numpy(zero_copy_only=False))) if column.null_count else None
    return VectorColumn(data, rows)


def _values(column: Any, name: str) -> list[Any]:
    """Values that JSON keeps as they are, or as text in the usual form; refuses other types by name."""
    column = _storage(column)
    plain = _plain(column.type, name)
    if plain != column.type:
        try:
            column = column.cast(plain)
        except pa.ArrowInvalid as error:
            raise _unfit(name, column.type, str(error)) from None
    values: list[Any] = column.to_pylist()
    return values


def _storage(column: Any) -> Any:
    """The column itself, or what an extension type keeps its values in (a UUID stays one)."""
    kind = column.type
    if not hasattr(kind, "storage_type") or kind.extension_name == "arrow.uuid":
        return column
    return column.cast(kind.storage_type)


def _plain(kind: Any, name: str) -> Any:
    """The type whose values are read instead: the same, with nanoseconds as microseconds. Raises InvalidArgument."""
    types = pa.types
    if types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz) if kind.unit == "ns" else kind
    if types.is_time64(kind):
        return pa.time64("us")
    if types.is_list(kind):
        return pa.list_(_plain(kind.value_type, name))
    if types.is_large_list(kind):
        return pa.large_list(_plain(kind.value_type, name))
    if types.is_fixed_size_list(kind):
        return pa.list_(_plain(kind.value_type, name), kind.list_size)
    if types.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        return pa.struct([(field.name, _plain(field.type, name)) for field in fields])
    if types.is_dictionary(kind):
        return _plain(kind.value_type, name)
    fits = (
        types.is_boolean(kind)
        or types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_string(kind)
        or types.is_large_string(kind)
        or str(kind) == "string_view"
        or types.is_date(kind)
        or types.is_time(kind)
        or types.is_null(kind)
        or getattr(kind, "extension_name", "") == "arrow.uuid"
    )
    if not fits:
        raise _unfit(name, kind, str(kind))
    return kind


def _unfit(name: str, kind: Any, received: str) -> InvalidArgument:
    return InvalidArgument(
        f"values of type {kind} have no exact form in JSON; cast the column, or leave it out with payload=[...]",
        field=f'column "{name}"',
        expected="numbers, text, booleans, dates, lists and structs of those",
        received=received,
    )
