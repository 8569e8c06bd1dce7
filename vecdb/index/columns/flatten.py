"""Parsed payloads to what lies at each of their paths: done where payloads are parsed, on the caller's thread.

Values become *tokens*, which are equal only where both type and value are: a string and an integer stand for
themselves, a double is a tuple, as are null, false and true. (Python takes 1, 1.0 and True for equal.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb.index.columns.limits import MAX_PATHS, MAX_STEPS, MAX_STRING_BYTES
from vecdb.model.filter import Path, Scalar

UInt32 = NDArray[np.uint32]
Token = str | int | tuple[float] | tuple[str]

NULL: Token = ("null",)
FALSE: Token = ("false",)
TRUE: Token = ("true",)

_NO_ROWS = np.zeros(0, dtype=np.uint32)


@dataclass(frozen=True, slots=True)
class Piece:
    """What some rows hold at one path.

    ``rows`` ascending beside ``codes``, places in ``tokens``; no pair twice. ``objects``, ``arrays``,
    ``long``: rows that hold one there (``long``: a string that is left out).
    """

    tokens: Sequence[Token]
    rows: UInt32
    codes: UInt32
    objects: UInt32
    arrays: UInt32
    long: UInt32


@dataclass(frozen=True, slots=True)
class Chunk:
    """``n`` payloads by path. A path is here with all its rows or not at all: then these rows are ``spilled``."""

    n: int
    pieces: Mapping[Path, Piece]
    spilled: UInt32


def flatten(payloads: Sequence[Mapping[str, Any] | None]) -> Chunk:
    """The chunk of payloads as JSON parses; None where a row has none."""
    table = _Table()
    for row, payload in enumerate(payloads):
        if payload:
            table.object(table.root, row, payload)
    pieces = {node.path: node.piece() for node in table.nodes}
    return Chunk(len(payloads), pieces, _rows(table.spilled))


def token_of(value: Scalar) -> Token:
    """The token of a scalar."""
    if isinstance(value, bool):
        return TRUE if value else FALSE
    if value is None:
        return NULL
    return (value + 0.0,) if isinstance(value, float) else value  # -0.0 equals 0.0, and is written so


def fits(text: str, limit: int = MAX_STRING_BYTES) -> bool:
    """Whether a string of this length has a place in columns."""
    if len(text) > limit or "\0" in text:
        return False
    return len(text) * 4 <= limit or text.isascii() or len(text.encode("utf-8", "surrogatepass")) <= limit


class _Node:
    """A path while rows are read."""

    __slots__ = ("arrays", "children", "codes", "distinct", "long", "objects", "path", "rows")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.children: dict[str, _Node] = {}
        self.distinct: dict[Token, int] = {}
        self.rows: list[int] = []
        self.codes: list[int] = []
        self.objects: list[int] = []
        self.arrays: list[int] = []
        self.long: list[int] = []

    def piece(self) -> Piece:
        rows, codes = _rows(self.rows), _rows(self.codes)
        if len(rows) > 1 and bool(np.any(rows[1:] == rows[:-1])):
            k = np.uint64(len(self.distinct))
            pairs = np.unique(rows * k + codes)
            rows, codes = (pairs // k).astype(np.uint32), (pairs % k).astype(np.uint32)
        return Piece(list(self.distinct), rows, codes, _rows(self.objects), _rows(self.arrays), _rows(self.long))


class _Table:
    """The paths met so far."""

    def __init__(self) -> None:
        self.root = _Node(())
        self.nodes: list[_Node] = []
        self.spilled: list[int] = []

    def object(self, node: _Node, row: int, value: Mapping[str, Any]) -> None:
        children = node.children
        for key, held in value.items():
            child = children.get(key)
            if child is None:
                child = self._add(node, key)
                if child is None:
                    self.spilled.append(row)
                    continue
            kind = type(held)
            if kind is list:
                child.arrays.append(row)
                for element in held:
                    if type(element) is dict:
                        self._inside(child, row, element)
                    elif type(element) is not list:
                        self._scalar(child, row, element)
            elif kind is dict:
                child.objects.append(row)
                self._inside(child, row, held)
            else:
                self._scalar(child, row, held)

    def _inside(self, node: _Node, row: int, value: Mapping[str, Any]) -> None:
        if len(node.path) < MAX_STEPS:  # a longer path is answered by its first steps
            self.object(node, row, value)

    def _scalar(self, node: _Node, row: int, value: Scalar) -> None:
        if type(value) is str:
            if not fits(value):
                node.long.append(row)
                return
            token: Token = value
        else:
            token = token_of(value)
        distinct = node.distinct
        node.rows.append(row)
        node.codes.append(distinct.setdefault(token, len(distinct)))

    def _add(self, parent: _Node, key: str) -> _Node | None:
        if len(self.nodes) == MAX_PATHS:
            return None
        child = parent.children[key] = _Node((*parent.path, key))
        self.nodes.append(child)
        return child


def _rows(values: list[int]) -> UInt32:
    return np.array(values, dtype=np.uint32) if values else _NO_ROWS
