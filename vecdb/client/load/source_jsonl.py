"""JSON lines: a JSON object a line, also compressed by gzip, also from standard input."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from vecdb.client.load.chunk import Chunk, Records
from vecdb.client.load.source import BatchSize, Source

_SHOWN_BYTES = 2_000


class JsonLinesSource(Source):
    """A file of JSON lines; without ``path``, standard input. Empty lines are no rows."""

    kind = "jsonl"

    def __init__(self, path: Path | None) -> None:
        super().__init__("standard input" if path is None else path.name, path)
        self.once = path is None

    def read(self, start: int, size: BatchSize) -> Iterator[Chunk]:
        if self.path is None:
            yield from _chunks(sys.stdin.buffer, start, size)
            return
        with _open_bytes(self.path) as file:
            yield from _chunks(file, start, size)


def _open_bytes(path: Path) -> BinaryIO | gzip.GzipFile:
    """A file to read, decompressed if its name ends in .gz."""
    if path.suffix == ".gz":
        return gzip.open(path, "rb")
    return open(path, "rb", buffering=1 << 20)


def _chunks(file: Iterable[bytes], start: int, size: BatchSize) -> Iterator[Chunk]:
    passed_over = 0
    held: list[tuple[int, bytes]] = []
    nbytes = 0
    for number, line in enumerate(file, 1):
        if line.isspace():
            continue
        if passed_over < start:
            passed_over += 1
            continue
        held.append((number, line))
        nbytes += len(line)
        if len(held) >= size.rows or nbytes >= size.nbytes:
            yield _chunk(start, held)
            start += len(held)
            passed_over = start
            held, nbytes = [], 0
    if held:
        yield _chunk(start, held)


def _chunk(start: int, lines: list[tuple[int, bytes]]) -> Records:
    records: list[dict[str, Any]] = []
    unread: dict[int, str] = {}
    for i, (number, line) in enumerate(lines):
        try:
            record = orjson.loads(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
        except orjson.JSONDecodeError as error:
            record, unread[i] = {}, f"line {number} is not JSON: {error}"
        if not isinstance(record, dict):
            unread[i] = f"line {number} is not a JSON object but {type(record).__name__}"
            record = {}
        records.append(record)
    return Records(
        start,
        records,
        unread,
        text=lambda i: lines[i][1],
        raw=lambda i: lines[i][1][:_SHOWN_BYTES].decode("utf-8", "replace").rstrip("\r\n"),
    )
