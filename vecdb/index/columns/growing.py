"""Columns of the segment that takes new rows: values are numbered as they come, and never change.

One thread appends (the publisher); any thread reads, without a lock: ordinals of later rows lie beyond what
a reader's view shows, and everything a number stands for is there before the number. Conditions are
judged on the distinct values, and arrays of these for numpy are made by readers when first needed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vecdb.index.appended import Appended
from vecdb.index.columns import numbers
from vecdb.index.columns.bounds import Condition, Rows, at_path, exactly, joined, no_entries, of_version
from vecdb.index.columns.contract import Bounds, Column, Entries, Ids, UInt64
from vecdb.index.columns.flatten import FALSE, NULL, TRUE, Chunk, Piece, Token, UInt32, flatten, token_of
from vecdb.index.columns.limits import MAX_PATHS, MAX_STEPS, MAX_STRING_BYTES
from vecdb.index.columns.numbers import Float64, Int16
from vecdb.index.columns.selector import Interval, Members, Selector, selector_of
from vecdb.index.columns.texts import PackedTexts, as_bytes, text_below
from vecdb.index.columns.times import Bytes, parse_times
from vecdb.index.columns.values import SortedValues, sorted_numbers
from vecdb.index.contract import Mask
from vecdb.model.filter import Attribute, Compare, Exists, Filter, HasVector, In, Path, Scalar, Text
from vecdb.model.point import Int64

_CONSTANTS = (NULL, FALSE, TRUE)
_SETS = ("arrays", "long", "unknown")
_NO_ROWS = np.zeros(0, dtype=np.uint32)


@dataclass(frozen=True, slots=True)
class Share:
    """Rows of a chunk that became new rows: ``positions`` there, and which ``rows`` of the new (None: all in order)."""

    chunk: Chunk
    positions: Int64 | None = None
    rows: Int64 | None = None


@dataclass(frozen=True, slots=True)
class NewColumns:
    """What columns take of new rows: their payloads, and by field id which of them have a vector (bool ``[n]``)."""

    shares: Sequence[Share]
    vectors: Mapping[int, Mask]


class GrowingColumns:
    """The columns of a growing segment; ``upto`` shows those of its first rows."""

    def __init__(self) -> None:
        self.paths: dict[Path, _GrowingPath] = {}
        self.spilled: Appended[np.uint32] = Appended(np.uint32)
        self.vectors: dict[int, Appended[np.bool_]] = {}
        self.ids = _IdColumn()
        self.lock = threading.Lock()  # of readers that make arrays of distinct values
        self._n = 0

    def append(self, new: NewColumns, n: int) -> None:
        """Add ``n`` rows (the publisher)."""
        for share in new.shares:
            self._take(share)
        for field_id, has in new.vectors.items():
            column = self.vectors.get(field_id)
            if column is None:
                column = self.vectors[field_id] = Appended(np.bool_)
            column.extend(np.zeros(self._n - column.n, dtype=np.bool_))
            column.extend(has)
        self._n += n

    def upto(self, n: int, ids: Ids, seqs: UInt64) -> ColumnsSoFar:
        """The columns of the first ``n`` rows, whose ids and sequence numbers these are."""
        return ColumnsSoFar(self, n, ids, seqs)

    def nbytes(self) -> int:
        """Anonymous bytes, about."""
        return sum(path.nbytes() for path in list(self.paths.values()))

    def _take(self, share: Share) -> None:
        chunk = share.chunk
        spilled = _ordinals(chunk.spilled, share, self._n)[1]
        for path, piece in chunk.pieces.items():
            column = self.paths.get(path)
            if column is None and len(self.paths) < MAX_PATHS:
                column = self.paths[path] = _GrowingPath()  # nothing is spilled yet: only a full table spills
            if column is not None:
                column.extend(piece, share, self._n)
            else:
                rows = np.unique(np.concatenate([piece.rows, piece.objects, piece.arrays, piece.long]))
                self.spilled.extend(_ordinals(rows, share, self._n)[1])
        if len(spilled):
            for path, column in self.paths.items():
                if path not in chunk.pieces:
                    column.add("unknown", spilled)
            self.spilled.extend(spilled)


class _GrowingPath:
    """One path while it grows."""

    def __init__(self) -> None:
        self.codes_of: dict[Token, int] = {}
        self.tokens: list[Token] = []
        self.ordinals: Appended[np.uint32] = Appended(np.uint32)
        self.codes: Appended[np.uint32] = Appended(np.uint32)
        self.sets: dict[str, Appended[np.uint32]] = {}
        self.arrays = _Arrays()

    def extend(self, piece: Piece, share: Share, start: int) -> None:
        known = self.codes_of
        tokens = self.tokens
        renumbered = np.empty(len(piece.tokens), dtype=np.uint32)
        for i, token in enumerate(piece.tokens):
            code = known.get(token)
            if code is None:
                code = len(tokens)
                tokens.append(token)
                known[token] = code
            renumbered[i] = code
        kept, ordinals = _ordinals(piece.rows, share, start)
        codes = piece.codes if kept is None else piece.codes[kept]
        self.ordinals.extend(ordinals)  # before their codes: a reader takes codes first
        self.codes.extend(renumbered[codes])
        for name in ("objects", "arrays", "long"):
            rows: UInt32 = getattr(piece, name)
            if len(rows):
                self.add(name, _ordinals(rows, share, start)[1])

    def add(self, name: str, ordinals: UInt32) -> None:
        if len(ordinals):
            column: Appended[np.uint32] = self.sets.get(name) or Appended(np.uint32)
            column.extend(ordinals)
            self.sets[name] = column

    def nbytes(self) -> int:
        numbers = self.ordinals.n + self.codes.n + sum(rows.n for rows in list(self.sets.values()))
        return 4 * numbers + 150 * len(self.tokens) + self.arrays.nbytes()


def _ordinals(rows: UInt32, share: Share, start: int) -> tuple[Mask | None, UInt32]:
    """Which rows of a chunk were taken (None: all), and their ordinals in a segment that had ``start``."""
    if share.positions is None or share.rows is None:
        return None, rows + np.uint32(start)
    place = np.full(share.chunk.n, -1, dtype=np.int64)
    place[share.positions] = share.rows
    there = place[rows]
    kept = there >= 0
    return kept, (there[kept] + start).astype(np.uint32)


class _Arrays:
    """The distinct values of a path as arrays by type, each beside its codes; extended under the readers' lock."""

    def __init__(self) -> None:
        self.done = 0
        self.number_codes: Int64 = np.zeros(0, dtype=np.int64)
        self.nearest: Float64 = np.zeros(0)
        self.left: Int16 = np.zeros(0, dtype=np.int16)
        self.doubles: Mask = np.zeros(0, dtype=np.bool_)
        self.text_codes: Int64 = np.zeros(0, dtype=np.int64)
        self.texts: Bytes = np.zeros(0, dtype="S1")
        self.time_codes: Int64 = np.zeros(0, dtype=np.int64)
        self.seconds: Int64 = np.zeros(0, dtype=np.int64)
        self.nanos: Int64 = np.zeros(0, dtype=np.int64)

    def extended(self, tokens: list[Token]) -> _Arrays:
        """These with what came since, or the same; what was handed out never changes."""
        end = len(tokens)
        if end == self.done:
            return self
        since = list(enumerate(tokens[self.done : end], self.done))
        texts = [token for _, token in since if isinstance(token, str)]
        text_codes = [code for code, token in since if isinstance(token, str)]
        integers = [token for _, token in since if isinstance(token, int)]
        integer_codes = [code for code, token in since if isinstance(token, int)]
        others = [(code, token[0]) for code, token in since if isinstance(token, tuple)]
        doubles = [value for _, value in others if isinstance(value, float)]
        double_codes = [code for code, value in others if isinstance(value, float)]
        more = _Arrays()
        more.done = end
        nearest, left = numbers.keys_of(integers)
        more.number_codes = np.concatenate([self.number_codes, np.array(integer_codes + double_codes, dtype=np.int64)])
        more.nearest = np.concatenate([self.nearest, nearest, np.array(doubles, dtype=np.float64)])
        more.left = np.concatenate([self.left, left, np.zeros(len(doubles), dtype=np.int16)])
        more.doubles = np.concatenate([self.doubles, np.arange(len(integers) + len(doubles)) >= len(integers)])
        fresh = as_bytes(texts)
        places, seconds, nanos = parse_times(fresh)
        fresh_codes = np.array(text_codes, dtype=np.int64)
        more.text_codes = np.concatenate([self.text_codes, fresh_codes])
        more.texts = np.concatenate([self.texts, fresh])
        more.time_codes = np.concatenate([self.time_codes, fresh_codes[places]])
        more.seconds = np.concatenate([self.seconds, seconds])
        more.nanos = np.concatenate([self.nanos, nanos])
        return more

    def within(self, interval: Interval) -> Int64:
        """Codes of the values in an interval."""
        if interval.kind == "number":
            return self.number_codes[_inside(interval, self._numbers_below, len(self.nearest))]
        if interval.kind == "time":
            return self.time_codes[_inside(interval, self._times_below, len(self.seconds))]
        return self.text_codes[_inside(interval, lambda bound: text_below(self.texts, bound), len(self.texts))]

    def _numbers_below(self, key: numbers.Key) -> Mask:
        return numbers.below(self.nearest, self.left, key)

    def _times_below(self, key: tuple[int, int]) -> Mask:
        before: Mask = (self.seconds < key[0]) | ((self.seconds == key[0]) & (self.nanos < key[1]))
        return before

    def nbytes(self) -> int:
        arrays = (self.number_codes, self.nearest, self.left, self.doubles, self.text_codes, self.texts)
        return sum(a.nbytes for a in (*arrays, self.time_codes, self.seconds, self.nanos))

    def sorted(self, constants: Mapping[int, int]) -> tuple[SortedValues, Int64]:
        """The values in their order, and by code here the place in it; ``constants``: codes by place in CONSTANTS."""
        numeric = sorted_numbers(self.nearest, self.left, ~self.doubles)
        textual = np.argsort(self.texts, kind="stable")
        order = np.concatenate(
            [
                np.array([constants[at] for at in sorted(constants)], dtype=np.int64),
                self.number_codes[numeric],
                self.text_codes[textual],
            ]
        )
        places = np.empty(len(order), dtype=np.int64)
        places[order] = np.arange(len(order))
        values = SortedValues(
            tuple(sorted(constants)),
            self.nearest[numeric],
            self.left[numeric],
            ~self.doubles[numeric],
            PackedTexts.of(self.texts[textual]),
        )
        return values, places


def _inside(interval: Interval, below: Callable[[Any], Mask], n: int) -> Mask:
    """Which of ``n`` values lie in an interval; ``below`` tells which come before a bound."""
    inside = np.ones(n, dtype=np.bool_) if interval.high is None else below(interval.high)
    return inside if interval.low is None else inside & ~below(interval.low)


class ColumnsSoFar:
    """The columns of the first ``n`` rows of a growing segment: what its readers use (see Columns)."""

    def __init__(self, growing: GrowingColumns, n: int, ids: Ids, seqs: UInt64) -> None:
        self._growing = growing
        self._n = n
        self._ids = ids
        self._seqs = seqs

    def __len__(self) -> int:
        return self._n

    def bounds(self, filter: Filter, fields: Mapping[str, int]) -> Bounds:
        return joined(filter, lambda condition: self._judge(condition, fields), self._n)

    def entries(self, path: Path) -> Entries:
        column = self._growing.paths.get(path)
        if column is not None:
            return _Path(column, self._n, self._growing.lock).entries()
        return no_entries(path, self.spilled(), self._n)

    def nbytes(self) -> tuple[int, int]:
        """(anonymous, mapped) bytes, about: the growing segment's, also for a shorter view of it."""
        return self._growing.nbytes(), 0

    def paths(self) -> Sequence[Path]:
        return list(self._growing.paths)

    def column(self, path: Path) -> Column:
        return _Path(self._growing.paths[path], self._n, self._growing.lock).column()

    def spilled(self) -> UInt32:
        spilled = np.unique(self._growing.spilled.view())
        return spilled[spilled < self._n]

    def vectors(self) -> Mapping[int, Mask]:
        return {field_id: self._having(field_id) for field_id in list(self._growing.vectors)}

    def _having(self, field_id: int) -> Mask:
        has = np.zeros(self._n, dtype=np.bool_)
        column = self._growing.vectors.get(field_id)
        if column is not None:
            there = column.view()[: self._n]
            has[: len(there)] = there
        return has

    def _judge(self, condition: Condition, fields: Mapping[str, int]) -> Bounds:
        growing, n = self._growing, self._n
        if isinstance(condition, Text):
            return np.zeros(n, dtype=np.bool_), np.ones(n, dtype=np.bool_)
        if isinstance(condition, HasVector):
            return exactly(self._having(fields.get(condition.field, -1)))
        key = condition.path if isinstance(condition, Exists) else condition.key
        if key is Attribute.VERSION:
            assert isinstance(condition, Compare | In)
            return exactly(of_version(condition, self._seqs))
        if key is Attribute.ID:
            assert not isinstance(condition, Exists)
            selector = selector_of(condition)
            if isinstance(selector, Members):
                # A look at 65,536 ids takes some milliseconds; to make a column of them, a hundred times as long.
                wanted = set(selector.values)
                return exactly(np.fromiter((i in wanted for i in self._ids.take(np.arange(n))), np.bool_, n))
            growing.ids.upto(n, self._ids, growing.lock)
            return at_path(_Path(growing.ids, n, growing.lock), None, condition, ("$id",), n)
        assert isinstance(key, tuple)
        path = growing.paths.get(key[:MAX_STEPS])
        spilled = _mask(growing.spilled.view(), n) if growing.spilled.n else None
        return at_path(None if path is None else _Path(path, n, growing.lock), spilled, condition, key, n)


class _IdColumn(_GrowingPath):
    """The ids as if they lay in the payloads: made by readers, and only if a filter asks for ids."""

    def __init__(self) -> None:
        super().__init__()
        self._done = 0

    def upto(self, n: int, ids: Ids, lock: threading.Lock) -> None:
        """Take up the ids of the first ``n`` rows."""
        with lock:
            if self._done < n:
                fresh = ids.take(np.arange(self._done, n))
                chunk = flatten([{"$id": point_id} for point_id in fresh])
                self.extend(chunk.pieces[("$id",)], Share(chunk), self._done)
                self._done = n


class _Path:
    """One path of a growing segment as readers of its first ``n`` rows see it (see PathColumn)."""

    limit = MAX_STRING_BYTES

    def __init__(self, path: _GrowingPath, n: int, lock: threading.Lock) -> None:
        self._path = path
        self._n = n
        self._lock = lock

    def picked(self, selector: Selector) -> Mask:
        ordinals, codes = self._entries()
        picks = self._codes_of(selector) if isinstance(selector, Members) else self._arrays().within(selector)
        chosen = np.zeros(len(self._path.tokens), dtype=np.bool_)
        chosen[picks] = True
        return _mask(ordinals[chosen[codes]], self._n)

    def rows(self, which: Rows) -> Mask | None:
        if which == "present":
            parts = [self._entries()[0], *(self._set(name) for name in ("objects", "arrays", "long"))]
            return _mask(np.concatenate(parts), self._n)
        ordinals = self._set(which)
        return _mask(ordinals, self._n) if len(ordinals) else None

    def entries(self) -> Entries:
        """Every entry, with the values in their order."""
        column = self.column()
        order = np.argsort(column.ordinals, kind="stable")
        unknown = np.union1d(column.long, column.unknown)
        return Entries(
            column.ordinals[order].astype(np.int64), column.codes[order], column.values, unknown.astype(np.int64)
        )

    def column(self) -> Column:
        """All there is, for a merge."""
        ordinals, codes = self._entries()
        arrays = self._arrays()
        known = self._path.codes_of
        values, places = arrays.sorted({at: known[token] for at, token in enumerate(_CONSTANTS) if token in known})
        arrays_at, long, unknown = (np.flatnonzero(_mask(self._set(name), self._n)).astype(np.uint32) for name in _SETS)
        present = self.rows("present")
        assert present is not None
        there = np.flatnonzero(present).astype(np.uint32)
        return Column(ordinals, places[codes], values, there, arrays_at, long, unknown, self.limit)

    def _entries(self) -> tuple[UInt32, UInt32]:
        codes = self._path.codes.view()  # first: ordinals are there before them
        ordinals = self._path.ordinals.view()[: len(codes)]
        inside = ordinals < self._n
        return (ordinals, codes) if inside.all() else (ordinals[inside], codes[inside])

    def _codes_of(self, members: Members) -> list[int]:
        known = self._path.codes_of
        tokens = (token for value in members.values for token in _tokens_of(value))
        return [code for token in tokens if (code := known.get(token)) is not None]

    def _arrays(self) -> _Arrays:
        with self._lock:
            self._path.arrays = self._path.arrays.extended(self._path.tokens)
            return self._path.arrays

    def _set(self, name: str) -> UInt32:
        held = self._path.sets.get(name)
        return _NO_ROWS if held is None else held.view()


def _tokens_of(value: Scalar) -> list[Token]:
    """Tokens of the values that are equal to ``value``: a number may be there as an integer and as a double."""
    if isinstance(value, bool | str) or value is None:
        return [token_of(value)]
    if isinstance(value, float):
        return [token_of(value), int(value)] if value.is_integer() else [token_of(value)]
    return [value, token_of(float(value))] if int(float(value)) == value else [value]


def _mask(ordinals: UInt32, n: int) -> Mask:
    """Bool ``[n]`` of ordinals; those from ``n`` on belong to later rows."""
    mask = np.zeros(n, dtype=np.bool_)
    mask[ordinals[ordinals < n]] = True
    return mask
