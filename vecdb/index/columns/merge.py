"""Write the columns of a new segment from those of the segments it is made of: no body is read again.

A path at a time, in numpy without a loop over rows: the values of the sources are sorted together, and codes are
replaced through a table. What no body of the new segment has any more is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb.index.arrayfile import FileWriter
from vecdb.index.columns.contract import Column, Columns
from vecdb.index.columns.flatten import UInt32
from vecdb.index.columns.limits import MAX_LONG_STRINGS, MAX_PATHS, SHORT_BYTES
from vecdb.index.columns.texts import PackedTexts
from vecdb.index.columns.times import Bytes
from vecdb.index.columns.values import SortedValues, sorted_numbers, times_of
from vecdb.index.contract import Mask
from vecdb.model.filter import Path
from vecdb.model.point import Int64

ID_ORDER_BYTES = 512 << 20
"""Ids take as much room as the longest of them while they are sorted; past this they are not."""
PIECE = 65_536

Sources = Sequence[tuple[Columns, Int64]]


def write(path: FilePath, sources: Sources, ids: PackedTexts) -> None:
    """Write the columns of ``sources``: of each the bodies at some ordinals (ascending), one after another.

    ``ids``: of all of them, in the order of ordinals, not sorted.
    """
    merge = _Merge(sources)
    with FileWriter(path) as file:
        paths = merge.paths()  # first: it tells what is spilled
        made = (merge.path(each) for each in paths)
        document = {
            "rows": merge.n,
            "paths": [_put(file, each, merge.n) for each in made if each is not None],
            "spilled": file.put_rows(merge.spilled),
            "vectors": {str(field_id): file.put_rows(has) for field_id, has in merge.vectors().items()},
            "ids": _put_order(file, ids),
        }
        file.finish(document)


@dataclass(slots=True)
class _Merged:
    """One path of the new segment; ``texts``: the strings of ``values`` once more, as arrays."""

    path: Path
    values: SortedValues
    texts: list[Bytes]
    ordinals: Int64
    codes: Int64
    present: Mask
    arrays: Mask
    long: Mask
    unknown: Mask
    limit: int


class _Merge:
    def __init__(self, sources: Sources) -> None:
        self._sources = [source for source, _ in sources]
        self.n = sum(len(chosen) for _, chosen in sources)
        self._places: list[Int64] = []  # by source and ordinal there, the ordinal here; -1: not taken
        start = 0
        for source, chosen in sources:
            place = np.full(len(source), -1, dtype=np.int64)
            place[chosen] = np.arange(start, start + len(chosen))
            self._places.append(place)
            start += len(chosen)
        self._spilled = [self._here(i, source.spilled()) for i, source in enumerate(self._sources)]
        self.spilled = np.zeros(self.n, dtype=np.bool_)
        for spilled in self._spilled:
            self.spilled[spilled] = True

    def paths(self) -> list[Path]:
        """The paths to be written; those of the fewest bodies are left out when there are too many."""
        paths = list(dict.fromkeys(path for source in self._sources for path in source.paths()))
        if len(paths) <= MAX_PATHS:
            return paths
        rows: dict[Path, list[Int64]] = {path: [] for path in paths}
        for i, source in enumerate(self._sources):
            for path in source.paths():
                column = source.column(path)
                rows[path] += [self._here(i, column.present), self._here(i, column.unknown)]
        paths.sort(key=lambda path: -sum(map(len, rows[path])))
        for path in paths[MAX_PATHS:]:
            for some in rows[path]:
                self.spilled[some] = True
        return paths[:MAX_PATHS]

    def vectors(self) -> dict[int, Mask]:
        """By field id, which bodies have a vector."""
        out: dict[int, Mask] = {}
        for source, place in zip(self._sources, self._places, strict=True):
            for field_id, has in source.vectors().items():
                out.setdefault(field_id, np.zeros(self.n, dtype=np.bool_))[place[has & (place >= 0)]] = True
        return out

    def path(self, path: Path) -> _Merged | None:
        """One path; None when no body that was taken has anything there."""
        columns: list[Column] = []
        ordinals, codes = [], []
        sets = {name: np.zeros(self.n, dtype=np.bool_) for name in ("present", "arrays", "long", "unknown")}
        for i, source in enumerate(self._sources):
            if path not in source.paths():
                sets["unknown"][self._spilled[i]] = True
                continue
            column = source.column(path)
            there = self._places[i][column.ordinals]
            columns.append(column)
            ordinals.append(there[there >= 0])
            codes.append(column.codes[there >= 0])
            for name, mask in sets.items():
                mask[self._here(i, getattr(column, name))] = True
        if not sets["present"].any() and not sets["unknown"].any():
            return None
        values, texts, tables, limit = _merged_values(columns, codes)
        all_ordinals = np.concatenate(ordinals)
        all_codes = np.concatenate([table[some] for table, some in zip(tables, codes, strict=True)])
        out = all_codes < 0  # left out now: too many long strings
        sets["long"][all_ordinals[out]] = True
        return _Merged(path, values, texts, all_ordinals[~out], all_codes[~out], **sets, limit=limit)

    def _here(self, source: int, ordinals: UInt32) -> Int64:
        """Ordinals of a source as they are here, of what was taken."""
        there = self._places[source][ordinals]
        return there[there >= 0]


def _merged_values(
    columns: Sequence[Column], codes: Sequence[Int64]
) -> tuple[SortedValues, list[Bytes], list[Int64], int]:
    """The values in use, in order; their strings as arrays; by column a table from its codes (-1: none); the limit."""
    used = []
    for column, some in zip(columns, codes, strict=True):
        mask = np.zeros(len(column.values), dtype=np.bool_)
        mask[some] = True
        used.append(mask)
    tables = [np.full(len(mask), -1, dtype=np.int64) for mask in used]
    constants = sorted(
        {
            constant
            for column, mask in zip(columns, used, strict=True)
            for at, constant in enumerate(column.values.constants)
            if mask[at]
        }
    )
    nearest, left, integers, number_places = [], [], [], []
    texts, text_places = [], []
    limit = min(column.limit for column in columns)
    for column, mask, table in zip(columns, used, tables, strict=True):
        values = column.values
        for i, constant in enumerate(values.constants):
            if mask[i]:
                table[i] = constants.index(constant)
        here = np.flatnonzero(mask[len(values.constants) : values.first_text])
        nearest.append(values.nearest[here])
        left.append(np.zeros(len(here), dtype=np.int16) if values.left is None else values.left[here])
        integers.append(np.ones(len(here), dtype=np.bool_) if values.integers is None else values.integers[here])
        number_places.append(here + len(values.constants))
        strings = np.flatnonzero(mask[values.first_text :])
        texts.append(values.texts.unpacked()[strings])
        text_places.append(strings + values.first_text)
    long = [np.strings.str_len(some) > SHORT_BYTES for some in texts]
    if sum(int(np.count_nonzero(some)) for some in long) > MAX_LONG_STRINGS:
        texts = [some[~which] for some, which in zip(texts, long, strict=True)]
        text_places = [some[~which] for some, which in zip(text_places, long, strict=True)]
        limit = min(limit, SHORT_BYTES)
    numbers, number_codes = _sorted_numbers(np.concatenate(nearest), np.concatenate(left), np.concatenate(integers))
    pieces, text_codes = _sorted_texts(texts)
    _fill(tables, number_places, number_codes + len(constants))
    _fill(tables, text_places, text_codes + len(constants) + len(numbers[0]))
    values = SortedValues(tuple(constants), *numbers, PackedTexts.of(*pieces), times_of(pieces))
    return values, pieces, tables, limit


def _fill(tables: Sequence[Int64], places: Sequence[Int64], codes: Int64) -> None:
    """Put codes, those of all tables end to end, into the tables."""
    at = 0
    for table, some in zip(tables, places, strict=True):
        table[some] = codes[at : at + len(some)]
        at += len(some)


def _sorted_numbers(
    nearest: NDArray[np.float64], left: NDArray[np.int16], integers: Mask
) -> tuple[tuple[NDArray[np.float64], NDArray[np.int16] | None, Mask | None], Int64]:
    """Distinct numbers in order (see SortedValues), and by number given its place."""
    order = sorted_numbers(nearest, left, integers)
    nearest, left, integers = nearest[order], left[order], integers[order]
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (nearest[1:] != nearest[:-1]) | (left[1:] != left[:-1]) | (integers[1:] != integers[:-1])
    codes = np.empty(len(order), dtype=np.int64)
    codes[order] = np.cumsum(new) - 1
    nearest, left, integers = nearest[new], left[new], integers[new]
    return (nearest, left if left.any() else None, None if integers.all() else integers), codes


def _distinct(texts: Bytes) -> tuple[Bytes, Int64]:
    """Distinct strings in order, and by string given its place. Sorted runs are merged, without the GIL."""
    order = np.argsort(texts, kind="stable")
    texts = texts[order]
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = texts[1:] != texts[:-1]
    codes = np.empty(len(order), dtype=np.int64)
    codes[order] = np.cumsum(new) - 1
    return texts[new], codes


def _sorted_texts(texts: Sequence[Bytes]) -> tuple[list[Bytes], Int64]:
    """Distinct strings in order, in pieces; and by string given its place.

    Long ones are sorted apart: one of them would make the array of all of them as wide as itself.
    """
    if max(some.dtype.itemsize for some in texts) <= SHORT_BYTES:
        distinct, codes = _distinct(np.concatenate(texts))
        return [distinct], codes
    is_long = [np.strings.str_len(some) > SHORT_BYTES for some in texts]
    narrow = f"S{SHORT_BYTES}"
    short, short_codes = _distinct(
        np.concatenate([some[~which].astype(narrow) for some, which in zip(texts, is_long, strict=True)])
    )
    long, long_codes = _distinct(np.concatenate([some[which] for some, which in zip(texts, is_long, strict=True)]))
    # A long string comes after its own beginning: how many short ones are before it, that beginning tells.
    before = np.searchsorted(short, long.astype(narrow), side="right")
    long_places = before + np.arange(len(long))
    short_places = np.arange(len(short)) + np.searchsorted(before, np.arange(len(short)), side="right")
    which = np.concatenate(is_long)
    codes = np.empty(len(which), dtype=np.int64)
    codes[~which], codes[which] = short_places[short_codes], long_places[long_codes]
    pieces = []
    for start in range(0, len(short) + len(long), PIECE):
        end = min(start + PIECE, len(short) + len(long))
        low, high = np.searchsorted(short_places, (start, end))
        low_long, high_long = np.searchsorted(long_places, (start, end))
        piece = np.empty(end - start, dtype=long.dtype if high_long > low_long else narrow)
        piece[short_places[low:high] - start] = short[low:high]
        piece[long_places[low_long:high_long] - start] = long[low_long:high_long]
        pieces.append(piece)
    return pieces, codes


def _put(file: FileWriter, merged: _Merged, n: int) -> dict[str, Any]:
    """Write one path; returns what the document says of it."""
    values, times = merged.values, merged.values.times
    k = len(values)
    about: dict[str, Any] = {
        "path": list(merged.path),
        "limit": merged.limit,
        "constants": list(values.constants),
        "nearest": file.put(values.nearest),
        "left": None if values.left is None else file.put(values.left),
        "integers": "all" if values.integers is None else file.put_rows(values.integers),
        "offsets": file.put(values.texts.offsets),
        "blob": file.put(values.texts.blob),
        "times": None,
    }
    if times is not None:
        about["times"] = {
            "seconds": file.put(times.seconds),
            "nanos": None if times.nanos is None else file.put(times.nanos.astype(np.int32)),
            "first": times.first,
            "order": None if times.order is None else file.put(times.order.astype(np.uint32)),
        }
    entered = np.zeros(n, dtype=np.bool_)
    entered[merged.ordinals] = True
    width = np.min_scalar_type(k)
    m = len(merged.ordinals)
    dense = m == np.count_nonzero(entered) and n * width.itemsize <= 4 * (m + k + 1)
    if dense:
        codes = np.zeros(n, dtype=width)
        codes[merged.ordinals] = merged.codes + 1
        about["codes"] = file.put(codes)
    else:
        pairs = merged.codes.astype(np.uint64) * np.uint64(max(n, 1)) + merged.ordinals.astype(np.uint64)
        pairs.sort()
        starts = np.zeros(k + 1, dtype=np.uint32)
        np.cumsum(np.bincount(merged.codes, minlength=k), out=starts[1:])
        about["starts"] = file.put(starts)
        about["ordinals"] = file.put((pairs % np.uint64(max(n, 1))).astype(np.uint32))
    derived = dense and bool(np.array_equal(entered, merged.present))
    about["present"] = "entries" if derived else file.put_rows(merged.present)
    for name, mask in (("arrays", merged.arrays), ("long", merged.long), ("unknown", merged.unknown)):
        about[name] = file.put_rows(mask)
    return about


def _put_order(file: FileWriter, ids: PackedTexts) -> Any:
    """Write the order of ids; None where sorting them would take too much memory."""
    sizes = np.diff(ids.offsets.astype(np.int64))
    if len(ids) * int(sizes.max(initial=0)) > ID_ORDER_BYTES:
        return None
    # numpy takes a NUL at the end for padding, so lengths decide among those it finds equal
    return file.put(np.lexsort((sizes, ids.unpacked())).astype(np.uint32))
