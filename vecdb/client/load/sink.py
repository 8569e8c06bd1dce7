"""What points are written to, whatever the format."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import orjson

from vecdb.model.hit import Point
from vecdb.model.schema import Schema


class Sink(ABC):
    """Files of an export: written aside, synced, and named when all are complete. A context manager.

    ``paths``: the files that there will be. Thread rule: one thread at a time.
    """

    def __init__(self, paths: Sequence[Path], schema: Schema, with_payload: bool) -> None:
        self.paths = list(paths)
        self.written = 0
        self.nbytes = 0
        self._schema = schema
        self._with_payload = with_payload
        self._files: dict[Path, BinaryIO] = {}

    @abstractmethod
    def write(self, points: list[Point]) -> None:
        """Append points; counts them in ``written``."""

    def finish(self) -> None:
        """Everything is written: make it durable and give the files their names."""
        for path in self.paths:
            file = self._files[path]
            file.flush()
            os.fsync(file.fileno())
            self.nbytes += os.fstat(file.fileno()).st_size
            file.close()
        for path in self.paths:
            os.replace(_aside(path), path)
        self._files = {}

    def _create(self, path: Path) -> BinaryIO:
        self._files[path] = open(_aside(path), "w+b")  # noqa: SIM115
        return self._files[path]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for path, file in self._files.items():
            file.close()
            _aside(path).unlink(missing_ok=True)


def payload_bytes(point: Point) -> bytes | None:
    """The payload as JSON, as ``upsert`` writes it: 1, 1.0, "1" and true stay what they are."""
    return None if point.payload is None else orjson.dumps(point.payload)


def as_json(value: Any) -> bytes:
    """A row as a line of JSON."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)


def _aside(path: Path) -> Path:
    return path.with_name(path.name + ".tmp")
