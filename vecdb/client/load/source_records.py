"""Rows from whatever gives them one by one: dicts, or points read from a collection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any

import numpy as np

from vecdb.client.load.chunk import Chunk, Records
from vecdb.client.load.columns import as_record
from vecdb.client.load.source import BatchSize, Source
from vecdb.model.hit import Point

# About what an object of Python takes beside its content.
_OBJECT_BYTES = 32


class RecordSource(Source):
    """An iterable of dicts or of points. A resumed load reads it again and passes over what is stored."""

    kind = "iterable"
    once = True

    def __init__(self, records: Iterable[Any]) -> None:
        super().__init__(type(records).__name__)
        self._records = records
        if isinstance(records, Sized):
            self.rows = len(records)

    def read(self, start: int, size: BatchSize) -> Iterator[Chunk]:
        held: list[Mapping[str, Any]] = []
        unread: dict[int, str] = {}
        nbytes = 0
        for item in self._records:
            if isinstance(item, Point):
                item = as_record(item)
            elif not isinstance(item, Mapping):
                unread[len(held)] = f"not a row (expected dict or Point, received {type(item).__name__})"
                item = {}
            held.append(item)
            nbytes += _size(item)
            if len(held) >= size.rows or nbytes >= size.nbytes:
                yield Records(start, held, unread)
                start += len(held)
                held, unread, nbytes = [], {}, 0
        if held:
            yield Records(start, held, unread)


def _size(value: Any) -> int:
    if isinstance(value, str | bytes):
        return _OBJECT_BYTES + len(value)
    if isinstance(value, np.ndarray):
        return _OBJECT_BYTES + value.nbytes
    if isinstance(value, list | tuple):
        return _OBJECT_BYTES * (1 + len(value))
    if isinstance(value, Mapping):
        return _OBJECT_BYTES + sum(map(_size, value.values()))
    return _OBJECT_BYTES
