"""The file of rows that were not loaded: a JSON object a line with the row's number, column, reason and content."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson

from vecdb.client.load.checking import BadRow
from vecdb.errors import FailedPrecondition

SUFFIX = ".rejects.jsonl"


class Rejects:
    """Appends to ``path``, which is made with the first row; what an earlier load left there is replaced.

    Thread rule: one thread at a time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None
        self.nbytes = 0

    def go_on(self, nbytes: int) -> None:
        """Keep the first ``nbytes``: what was written behind them belongs to a batch that is done again."""
        if nbytes:
            self._open("r+b")
            assert self._file is not None
            self._file.truncate(nbytes)
            self._file.seek(nbytes)
            self.nbytes = nbytes

    def add(self, rows: Sequence[tuple[BadRow, Any]]) -> None:
        """Append rows with their contents, durably."""
        if not rows:
            return
        if self._file is None:
            self._open("wb")
        assert self._file is not None
        lines = [
            {"row": bad.row, "column": bad.column, "reason": str(bad.reason), "content": content}
            for bad, content in rows
        ]
        try:
            self._file.writelines(map(_encode, lines))
            self._file.flush()
            if self.path.is_file():  # a pipe or a device cannot be synced
                os.fsync(self._file.fileno())
                self.nbytes = self._file.tell()
        except OSError as error:
            raise _unwritable(error) from None

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _open(self, mode: str) -> None:
        try:
            self._file = open(self.path, mode)  # noqa: SIM115
        except OSError as error:
            raise _unwritable(error) from None


def _encode(line: dict[str, Any]) -> bytes:
    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE
    try:
        return orjson.dumps(line, default=_shown, option=options)
    except orjson.JSONEncodeError:  # half a character, say
        return orjson.dumps({**line, "content": ascii(line["content"])}, option=options)


def _shown(value: Any) -> Any:
    """What JSON has no form for, as a person would read it."""
    return value.tolist() if isinstance(value, np.ndarray) else str(value)


def _unwritable(error: OSError) -> FailedPrecondition:
    return FailedPrecondition(
        "the file of rejected rows cannot be written; name one with rejects=",
        field="rejects",
        expected="a writable file",
        received=str(error),
    )
