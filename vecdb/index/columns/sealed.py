"""Columns of a sealed segment, read in place from their file.

A path with at most one value a body has a code for each body (0: none); others list the bodies of each value.
Either way a condition that picks neighbours in the order of values costs one pass over small integers, or a
slice, whoever asks it and for the first time too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb.errors import DataLoss
from vecdb.index.arrayfile import FileReader
from vecdb.index.columns.bounds import Condition, Rows, at_path, exactly, joined, no_entries, of_version
from vecdb.index.columns.contract import Bounds, Column, Entries, Ids, UInt64
from vecdb.index.columns.flatten import UInt32
from vecdb.index.columns.limits import MAX_STEPS
from vecdb.index.columns.selector import Members, Selector, selector_of
from vecdb.index.columns.texts import PackedTexts
from vecdb.index.columns.values import SortedValues, Times
from vecdb.index.contract import Mask
from vecdb.model.filter import And, Attribute, Compare, Exists, Filter, HasVector, In, Path, Prefix, Text
from vecdb.model.point import Int64

FEW_SPANS = 4
"""Up to so many intervals of codes are compared one after another; more are looked up in a table."""
BLOCK_ROWS = 1 << 16
"""Rows whose codes are moved at once: what lies between two passes stays in the cache."""

Span = tuple[int, int]


class SealedColumns:
    """See Columns. ``ids`` and ``seqs`` are those of the segment's bodies.

    Raises DataLoss for a file that is no such thing, OSError for one that cannot be read.
    """

    def __init__(self, path: FilePath, ids: Ids, seqs: UInt64) -> None:
        self._file = FileReader(path)
        rows = int(self._file.document["rows"])
        if rows != len(seqs):
            raise DataLoss(f"{path} is of another segment", expected=f"{len(seqs)} rows", received=str(rows))
        self._ids = ids
        self._seqs = seqs
        self._paths: dict[Path, dict[str, Any]] = {tuple(p["path"]): p for p in self._file.document["paths"]}
        self._made: dict[Path, _Path] = {}

    def __len__(self) -> int:
        return len(self._seqs)

    def bounds(self, filter: Filter, fields: Mapping[str, int]) -> Bounds:
        if isinstance(filter, And) and (mask := self._in_one_interval(filter.parts)) is not None:
            return exactly(mask)
        return joined(filter, lambda condition: self._judge(condition, fields), len(self))

    def entries(self, path: Path) -> Entries:
        column = self._at(path)
        return no_entries(path, self.spilled(), len(self)) if column is None else column.entries()

    def nbytes(self) -> tuple[int, int]:
        """(anonymous, mapped) bytes."""
        return 0, self._file.nbytes()

    def paths(self) -> Sequence[Path]:
        return list(self._paths)

    def column(self, path: Path) -> Column:
        column = self._at(path)
        assert column is not None
        return column.column()

    def spilled(self) -> UInt32:
        mask = self._file.rows(self._file.document["spilled"], len(self))
        return np.zeros(0, dtype=np.uint32) if mask is None else np.flatnonzero(mask).astype(np.uint32)

    def vectors(self) -> Mapping[int, Mask]:
        return {int(field_id): self._having(field_id) for field_id in self._file.document["vectors"]}

    def _having(self, field_id: str) -> Mask:
        mask = self._file.rows(self._file.document["vectors"].get(field_id), len(self))
        return np.zeros(len(self), dtype=np.bool_) if mask is None else mask

    def _in_one_interval(self, parts: Sequence[Filter]) -> Mask | None:
        """The bodies that meet all of ``parts``, where those are bounds of one path with at most one value a body.

        None where they are not, or where columns do not know every value: then each is judged by itself. One pass
        over the codes in place of two is what an interval of a million different values costs least.
        """
        conditions = [part for part in parts if isinstance(part, Compare) and not isinstance(part.key, Attribute)]
        if len(parts) < 2 or len(conditions) < len(parts) or len({c.key for c in conditions}) > 1:
            return None
        key = conditions[0].key
        assert isinstance(key, tuple)
        column = self._at(key) if key and len(key) <= MAX_STEPS else None
        return None if column is None else column.in_interval(conditions)

    def _judge(self, condition: Condition, fields: Mapping[str, int]) -> Bounds:
        n = len(self)
        if isinstance(condition, Text):
            return np.zeros(n, dtype=np.bool_), np.ones(n, dtype=np.bool_)
        if isinstance(condition, HasVector):
            return exactly(self._having(str(fields.get(condition.field, -1))))
        key = condition.path if isinstance(condition, Exists) else condition.key
        if key is Attribute.VERSION:
            assert isinstance(condition, Compare | In)
            return exactly(of_version(condition, self._seqs))
        if key is Attribute.ID:
            assert not isinstance(condition, Exists)
            return self._by_id(condition)
        assert isinstance(key, tuple)
        column = self._at(key[:MAX_STEPS])
        return at_path(column, self._file.rows(self._file.document["spilled"], n), condition, key, n)

    def _by_id(self, condition: Compare | In | Prefix) -> Bounds:
        """By the order of ids; a time, or an order that was too large to make, is left to the bodies."""
        order = self._file.document["ids"]
        selector = selector_of(condition)
        if order is None or (not isinstance(selector, Members) and selector.kind == "time"):
            return np.zeros(len(self), dtype=np.bool_), np.ones(len(self), dtype=np.bool_)
        ids = _IdsInOrder(self._file.array(order), self._ids)
        mask = np.zeros(len(self), dtype=np.bool_)
        if isinstance(selector, Members):
            texts = [value.encode("utf-8", "surrogatepass") for value in selector.values if isinstance(value, str)]
            spans = [(text, text + b"\0") for text in texts]
        else:
            spans = [(selector.low or b"", selector.high)]
        for low, high in spans:
            mask[ids.between(low, high)] = True
        return exactly(mask)

    def _at(self, path: Path) -> _Path | None:
        about = self._paths.get(path)
        if about is None:
            return None
        made = self._made.get(path)
        if made is None:  # two threads may make it twice, which costs nothing
            made = self._made[path] = _Path(about, self._file, len(self))
        return made


class _IdsInOrder:
    """The bodies of a segment in the order of their ids."""

    def __init__(self, order: UInt32, ids: Ids) -> None:
        self._order = order
        self._ids = ids

    def between(self, low: bytes, high: bytes | None) -> UInt32:
        """The ordinals of ids from ``low`` up to ``high``."""
        start = self._place(low, 0)
        return self._order[start : len(self._order) if high is None else self._place(high, start)]

    def _place(self, bound: bytes, low: int) -> int:
        high = len(self._order)
        while low < high:
            middle = (low + high) // 2
            if self._ids.take(self._order[middle : middle + 1].astype(np.int64))[0].encode() < bound:
                low = middle + 1
            else:
                high = middle
        return low


class _Path:
    """One path of a sealed segment (see PathColumn)."""

    def __init__(self, about: dict[str, Any], file: FileReader, n: int) -> None:
        self.limit = int(about["limit"])
        self._file = file
        self._n = n
        self._sets = {name: about[name] for name in ("present", "arrays", "long", "unknown")}
        self._values = _values(about, file)
        self._codes: NDArray[Any] | None = None
        if "codes" in about:
            self._codes = file.array(about["codes"])
        else:
            self._starts, self._ordinals = file.array(about["starts"]), file.array(about["ordinals"])

    def picked(self, selector: Selector) -> Mask:
        spans: list[Span]
        if isinstance(selector, Members):
            spans = self._values.members(selector)
        else:
            found = self._values.within(selector)
            if not isinstance(found, tuple):
                return self._with_codes(found)
            spans = [found]
        if len(spans) <= FEW_SPANS:
            return self._with_spans(spans)
        return self._with_codes(np.concatenate([np.arange(low, high) for low, high in spans]))

    def in_interval(self, conditions: Sequence[Compare]) -> Mask | None:
        """Bodies whose one value meets every bound; None where that is not for columns to say."""
        if self._codes is None or self._sets["long"] is not None or self._sets["unknown"] is not None:
            return None
        low, high = 0, len(self._values)
        for condition in conditions:
            selector = None if isinstance(condition.value, tuple) else selector_of(condition)
            found = None if selector is None or isinstance(selector, Members) else self._values.within(selector)
            if not isinstance(found, tuple):
                return None
            low, high = max(low, found[0]), min(high, found[1])
        return self._with_spans([(low, max(low, high))])

    def rows(self, which: Rows) -> Mask | None:
        if self._sets[which] != "entries":
            return self._file.rows(self._sets[which], self._n)
        assert self._codes is not None
        mask: Mask = self._codes != 0
        return mask

    def entries(self) -> Entries:
        """Every entry, by ordinal."""
        ordinals, codes = self._entries()
        if self._codes is None:
            order = np.argsort(ordinals, kind="stable")
            ordinals, codes = ordinals[order], codes[order]
        unknown = np.union1d(self._set("long"), self._set("unknown"))
        return Entries(ordinals.astype(np.int64), codes, self._values, unknown.astype(np.int64))

    def column(self) -> Column:
        """All there is, for a merge."""
        ordinals, codes = self._entries()
        present, arrays, long, unknown = (self._set(name) for name in ("present", "arrays", "long", "unknown"))
        return Column(ordinals.astype(np.uint32), codes, self._values, present, arrays, long, unknown, self.limit)

    def _entries(self) -> tuple[Int64 | UInt32, Int64]:
        if self._codes is not None:
            ordinals = np.flatnonzero(self._codes)
            return ordinals, self._codes[ordinals].astype(np.int64) - 1
        counts: NDArray[np.uint32] = self._starts[1:] - self._starts[:-1]
        return self._ordinals, np.repeat(np.arange(len(counts)), counts)

    def _set(self, which: Rows) -> UInt32:
        mask = self.rows(which)
        return np.zeros(0, dtype=np.uint32) if mask is None else np.flatnonzero(mask).astype(np.uint32)

    def _with_spans(self, spans: Sequence[Span]) -> Mask:
        """Bodies with a value whose code lies in one of the intervals."""
        mask = np.zeros(self._n, dtype=np.bool_)
        for low, high in spans:
            if low == high:
                continue
            if self._codes is None:
                mask[self._ordinals[self._starts[low] : self._starts[high]]] = True
            elif len(spans) == 1:
                return self._between(low, high)
            else:
                mask |= self._between(low, high)
        return mask

    def _between(self, low: int, high: int) -> Mask:
        """Bodies whose code is one of an interval of values: one compare, whatever the interval."""
        codes = self._codes
        assert codes is not None
        mask: Mask
        if high == low + 1:
            mask = codes == high
        elif high == len(self._values):
            mask = codes > low
        else:
            mask = np.empty(self._n, dtype=np.bool_)
            moved = np.empty(min(self._n, BLOCK_ROWS), dtype=codes.dtype)
            for start in range(0, self._n, BLOCK_ROWS):
                block = codes[start : start + BLOCK_ROWS]
                # Codes below the first turn into large ones: unsigned numbers wrap around.
                shifted = np.subtract(block, codes.dtype.type(low + 1), out=moved[: len(block)])
                np.less(shifted, high - low, out=mask[start : start + BLOCK_ROWS])
        return mask

    def _with_codes(self, codes: Int64) -> Mask:
        """Bodies with a value whose code is one of these."""
        if self._codes is not None:
            table = np.zeros(len(self._values) + 1, dtype=np.bool_)
            table[codes + 1] = True
            mask: Mask = table[self._codes]
            return mask
        starts = self._starts[codes].astype(np.int64)
        counts = self._starts[codes + 1].astype(np.int64) - starts
        ends = np.cumsum(counts)
        places = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(starts - (ends - counts), counts)
        mask = np.zeros(self._n, dtype=np.bool_)
        mask[self._ordinals[places]] = True
        return mask


def _values(about: dict[str, Any], file: FileReader) -> SortedValues:
    nearest = file.array(about["nearest"])
    integers = None
    if about["integers"] != "all":
        integers = file.rows(about["integers"], len(nearest))
        integers = np.zeros(len(nearest), dtype=np.bool_) if integers is None else integers
    times, told = None, about["times"]
    if told is not None:
        times = Times(
            file.array(told["seconds"]),
            None if told["nanos"] is None else file.array(told["nanos"]),
            int(told["first"]),
            None if told["order"] is None else file.array(told["order"]).astype(np.int64),
        )
    return SortedValues(
        tuple(about["constants"]),
        nearest,
        None if about["left"] is None else file.array(about["left"]),
        integers,
        PackedTexts(file.array(about["offsets"]), file.array(about["blob"])),
        times,
    )
