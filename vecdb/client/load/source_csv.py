"""Comma or tab separated values with a line of headings. Cells are text; a vector is a JSON list in a cell."""

from __future__ import annotations

import csv
import gzip
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from vecdb.client.load.chunk import Chunk, Records
from vecdb.client.load.source import BatchSize, Source
from vecdb.errors import InvalidArgument

# A vector of 65,536 numbers as text, and any text that the engine takes.
_CELL_CHARACTERS = 16 << 20


class CsvSource(Source):
    """A file of separated values; without ``path``, standard input. An empty cell is the empty text."""

    kind = "csv"

    def __init__(self, path: Path | None, delimiter: str) -> None:
        super().__init__("standard input" if path is None else path.name, path)
        self.once = path is None
        self._delimiter = delimiter

    def read(self, start: int, size: BatchSize) -> Iterator[Chunk]:
        if self.path is None:
            text = io.TextIOWrapper(sys.stdin.buffer, "utf-8-sig", newline="")
            try:
                yield from self._chunks(text, start, size)
            finally:
                text.detach()  # standard input is not ours to close
            return
        with _open_text(self.path) as file:
            yield from self._chunks(file, start, size)

    def _chunks(self, file: TextIO, start: int, size: BatchSize) -> Iterator[Chunk]:
        # The bound belongs to the module, not to a reader; it is only ever raised.
        csv.field_size_limit(max(csv.field_size_limit(), _CELL_CHARACTERS))
        reader = csv.reader(file, delimiter=self._delimiter, strict=True)
        try:
            names = next(reader, [])
            if len(set(names)) != len(names):
                raise InvalidArgument(
                    "two columns have one name", field=self.name, expected="different headings", received=str(names)
                )
            rows = (row for row in reader if row)
            for _ in zip(range(start), rows, strict=False):
                pass
            held: list[list[str]] = []
            nbytes = 0
            for row in rows:
                held.append(row)
                nbytes += sum(map(len, row))
                if len(held) >= size.rows or nbytes >= size.nbytes:
                    yield _chunk(start, names, held)
                    start += len(held)
                    held, nbytes = [], 0
            if held:
                yield _chunk(start, names, held)
        except (csv.Error, UnicodeDecodeError) as error:
            raise InvalidArgument(
                "the file cannot be read on", field=self.name, expected="CSV in UTF-8", received=f"{error}"
            ) from None


def _open_text(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return open(path, encoding="utf-8-sig", newline="")


def _chunk(start: int, names: list[str], rows: list[list[str]]) -> Records:
    records: list[dict[str, Any]] = []
    unread: dict[int, str] = {}
    for i, row in enumerate(rows):
        if len(row) != len(names):
            unread[i] = f"the row has {len(row)} cells under {len(names)} headings"
            row = []
        records.append(dict(zip(names, row, strict=False)))
    return Records(start, records, unread, raw=lambda i: rows[i])
