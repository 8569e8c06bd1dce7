"""What is read of a source at once: some rows in a row, which become one batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from vecdb.client.load.exact import exact, parse
from vecdb.errors import InvalidArgument
from vecdb.model.point import VectorColumn

# A column of vectors: an array with the positions of the rows that have one, or a value for each row.
Vectors = VectorColumn | list[Any]


class Chunk(ABC):
    """``n`` rows of a source from row ``start`` (counted from 0), by column.

    ``unread`` gives the reason, by position, for each row that could not be made out; its values are None.
    """

    def __init__(self, start: int, n: int, unread: Mapping[int, str] | None = None) -> None:
        self.start = start
        self.n = n
        self.unread = unread or {}

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """The columns that the rows have."""

    @abstractmethod
    def values(self, name: str) -> list[Any]:
        """One column as values of Python, None where a row has none."""

    def vectors(self, name: str) -> Vectors:
        """One column as vectors."""
        return self.values(name)

    def sample(self, name: str) -> Any:
        """The first value of a column that is not None."""
        return next((value for value in self.values(name) if value is not None), None)

    @abstractmethod
    def payloads(self, columns: Mapping[str, str]) -> list[dict[str, Any]]:
        """An object for each row; ``columns`` gives for each key the column that holds its value."""

    @abstractmethod
    def others(self, used: Collection[str]) -> list[dict[str, Any]]:
        """An object for each row, of all columns but those."""

    @abstractmethod
    def record(self, position: int) -> Any:
        """One row as it was read, for a person to look at."""


class Records(Chunk):
    """Rows that each have columns of their own, as in JSON lines.

    ``text`` gives the JSON that a record was parsed from, by position: what float64 cannot hold is read again.
    """

    def __init__(
        self,
        start: int,
        records: Sequence[Mapping[str, Any]],
        unread: Mapping[int, str] | None = None,
        text: Callable[[int], bytes] | None = None,
        raw: Callable[[int], Any] | None = None,
    ) -> None:
        super().__init__(start, len(records), unread)
        self._records = records
        self._text = text
        self._raw = raw

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys(name for record in self._records for name in record))

    def values(self, name: str) -> list[Any]:
        values = [record.get(name) for record in self._records]
        return values if self._text is None else [self._exact(i, v, name) for i, v in enumerate(values)]

    def vectors(self, name: str) -> Vectors:
        return [record.get(name) for record in self._records]

    def sample(self, name: str) -> Any:
        return next((value for record in self._records if (value := record.get(name)) is not None), None)

    def payloads(self, columns: Mapping[str, str]) -> list[dict[str, Any]]:
        return [
            self._exact(i, {key: record[name] for key, name in columns.items() if name in record})
            for i, record in enumerate(self._records)
        ]

    def others(self, used: Collection[str]) -> list[dict[str, Any]]:
        return [
            self._exact(i, {name: value for name, value in record.items() if name not in used})
            for i, record in enumerate(self._records)
        ]

    def record(self, position: int) -> Any:
        if position in self.unread and self._raw is not None:
            return self._raw(position)
        return dict(self._records[position])

    def _exact(self, position: int, value: Any, name: str | None = None) -> Any:
        if self._text is None or exact(value):
            return value
        again = parse(self._text(position))
        return again[name] if name is not None else {key: again.get(key, found) for key, found in value.items()}


class Columns(Chunk):
    """Rows that all have the same columns; see ``ArrayColumns`` for arrays."""

    def payloads(self, columns: Mapping[str, str]) -> list[dict[str, Any]]:
        keys = list(columns)
        if not keys:
            return [{} for _ in range(self.n)]
        rows = zip(*(self.values(columns[key]) for key in keys), strict=True)
        return [dict(zip(keys, row, strict=True)) for row in rows]

    def others(self, used: Collection[str]) -> list[dict[str, Any]]:
        return self.payloads({name: name for name in self.names if name not in used})

    def record(self, position: int) -> Any:
        return {name: self.values(name)[position] for name in self.names}


class ArrayColumns(Columns):
    """Columns that are numpy arrays of equal length."""

    def __init__(self, start: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        super().__init__(start, len(next(iter(arrays.values()))))
        self._arrays = arrays

    @property
    def names(self) -> list[str]:
        return list(self._arrays)

    def values(self, name: str) -> list[Any]:
        array = self._arrays[name]
        if array.dtype.kind not in "fiubUT":
            raise InvalidArgument(
                "a column of this type is neither id, text nor payload",
                field=f'column "{name}"',
                expected="numbers, booleans or str",
                received=str(array.dtype),
            )
        values: list[Any] = array.tolist()
        return values

    def vectors(self, name: str) -> Vectors:
        array = self._arrays[name]
        return VectorColumn(array) if array.ndim == 2 else self.values(name)

    def sample(self, name: str) -> Any:
        array = self._arrays[name]
        return (array[0] if array.ndim > 1 else array[0].item()) if self.n else None

    def record(self, position: int) -> Any:
        return {name: array[position].tolist() for name, array in self._arrays.items() if array.dtype.kind in "fiubUT"}
