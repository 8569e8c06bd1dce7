"""A DataFrame of pandas, in slices of its rows; pandas itself is never imported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from vecdb.client.load.chunk import Chunk, Columns, Vectors
from vecdb.client.load.source import BatchSize, Source
from vecdb.errors import InvalidArgument


class PandasSource(Source):
    """The columns of a DataFrame; its index is no column. What pandas takes for missing is None."""

    kind = "pandas"

    def __init__(self, frame: Any) -> None:
        super().__init__("DataFrame")
        names = list(frame.columns)
        if len(set(names)) != len(names) or not all(isinstance(name, str) for name in names):
            raise InvalidArgument(
                "the columns cannot be told apart by name",
                field="DataFrame",
                expected="different names, each a str",
                received=str(names)[:200],
            )
        self._frame = frame
        self.rows = len(frame)

    def read(self, start: int, size: BatchSize) -> Iterator[Chunk]:
        # Objects such as lists count with what a few of them hold.
        some = self._frame.iloc[:100]
        row_bytes = int(some.memory_usage(index=False, deep=True).sum()) + sum(
            8 * len(value)
            for name in some.columns
            if some[name].dtype == object
            for value in some[name]
            if isinstance(value, list | np.ndarray)
        )
        step = size.at_most(row_bytes // max(1, len(some)))
        for at in range(start, len(self._frame), step):
            yield _Slice(at, self._frame.iloc[at : at + step])


class _Slice(Columns):
    def __init__(self, start: int, frame: Any) -> None:
        super().__init__(start, len(frame))
        self._frame = frame

    @property
    def names(self) -> list[str]:
        return list(self._frame.columns)

    def values(self, name: str) -> list[Any]:
        series = self._frame[name]
        if series.dtype.kind == "M" or hasattr(series.dtype, "tz"):
            if (series.dropna().dt.nanosecond != 0).any():
                raise InvalidArgument(
                    "a time has nanoseconds, which JSON text and Python have not",
                    field=f'column "{name}"',
                    expected="microseconds",
                    received=str(series.dtype),
                )
            return [
                value.to_pydatetime() if there else None for value, there in zip(series, series.notna(), strict=True)
            ]
        return [_plain(value) for value in self._present(name)]

    def vectors(self, name: str) -> Vectors:
        return self._present(name)

    def _present(self, name: str) -> list[Any]:
        series = self._frame[name]
        missing = series.isna()
        values: list[Any] = series.tolist()
        if missing.any():
            values = [None if gone else value for value, gone in zip(values, missing.tolist(), strict=True)]
        return values

    def sample(self, name: str) -> Any:
        found = self._frame[name].dropna()
        return found.iloc[0] if len(found) else None

    def record(self, position: int) -> Any:
        return {name: self._frame[name].iloc[position] for name in self.names}


def _plain(value: Any) -> Any:
    """Lists as lists: a frame that was read from parquet holds them as arrays of objects."""
    return [_plain(inner) for inner in value.tolist()] if isinstance(value, np.ndarray) else value
