"""The file of a graph: hnswlib's own format, with rows that equal another added.

Little-endian, no padding; everything up to the copies is written by hnswlib's ``save_index``:

====== ======= ===================== =====================================================
offset type    field                 value
====== ======= ===================== =====================================================
0      uint64  offset_level0         0
8      uint64  max_elements          capacity when saved
16     uint64  count                 rows, copies included
24     uint64  size_per_element      label_offset + 8
32     uint64  label_offset          offset_data + 4 · dim
40     uint64  offset_data           4 + 4 · max_m0: the links of layer 0 come first
48     int32   max_level             highest layer
52     uint32  entry                 position of the entry point
56     uint64  max_m                 links of a row in an upper layer
64     uint64  max_m0                links of a row in layer 0, 2 · m
72     uint64  m
80     float64 mult                  1 / ln m
88     uint64  ef_construction
96     bytes   rows                  count × (links of layer 0, vector float32, label uint64)
then   bytes   upper layers          count × (uint32 length, links)
====== ======= ===================== =====================================================

Links are a uint32 whose low half is their number, then room for max_m0 positions, uint32 each. A label is our
ordinal; rows stand in the order of insertion, which with several threads is not the order of the labels.

A copy has 0 links, then in the place of the first link the position of the row it
equals and in that of the second COPY_MARK. To hnswlib it is a row to which no other leads.

Vectors are read in place from a map of this file, whose checksum the caller has verified: hnswlib itself loads
a damaged file without a word, or crashes.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from vecdb.errors import DataLoss
from vecdb.index.copies import Copies
from vecdb.model.point import Float32, Int64

COPY_MARK = 0xC0B1E5ED

_HEADER = struct.Struct("<QQQQQQiIQQQdQ")
_COPIES_AT_ONCE = 1_024  # records written in one step
_COPY_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Layout:
    """What the header of a saved graph says, checked against what the caller expects."""

    path: Path
    dim: int
    count: int
    row_bytes: int
    label_offset: int
    data_offset: int
    m: int
    ef_construction: int
    file_bytes: int

    @classmethod
    def read(cls, path: Path, dim: int, count: int) -> Layout:
        """Raises DataLoss when the file is no graph of ``count`` rows of ``dim`` dimensions."""
        with open(path, "rb") as file:
            head = file.read(_HEADER.size)
            file_bytes = os.fstat(file.fileno()).st_size
        if len(head) < _HEADER.size:
            raise DataLoss(
                f"{path.name} is too short for a graph",
                expected=f"a header of {_HEADER.size} bytes",
                received=f"{len(head)} bytes",
            )
        (level0, capacity, rows, row_bytes, label_offset, data_offset, _level, entry, max_m, max_m0, m, _mult, ef) = (
            _HEADER.unpack(head)
        )
        for name, expected, received in (
            ("offset of layer 0", 0, level0),
            ("count of rows", count, rows),
            ("links of layer 0", 2 * m, max_m0),
            ("links of upper layers", m, max_m),
            ("offset of the vector", 4 + 4 * max_m0, data_offset),
            ("offset of the label", data_offset + 4 * dim, label_offset),
            ("bytes of a row", label_offset + 8, row_bytes),
        ):
            if expected != received:
                raise DataLoss(
                    f"the header of {path.name} does not fit: {name}", expected=str(expected), received=str(received)
                )
        smallest = _HEADER.size + count * (row_bytes + 4)
        if capacity < count or (count and entry >= count) or file_bytes < smallest:
            raise DataLoss(
                f"{path.name} is cut short or its header is damaged",
                expected=f"at least {smallest} bytes",
                received=f"{file_bytes} bytes",
            )
        return cls(path, dim, count, row_bytes, label_offset, data_offset, m, ef, file_bytes)

    def map(self) -> Rows:
        """Map the file. Raises DataLoss when its labels are not the ordinals 0..count-1."""
        if self.count == 0:
            return Rows(np.empty((0, self.dim), np.float32), None, None, None)
        raw: Any = np.asarray(np.memmap(self.path, dtype=np.uint8, mode="r"))[_HEADER.size :]
        vectors = np.ndarray((self.count, self.dim), np.dtype("<f4"), raw, self.data_offset, (self.row_bytes, 4))
        labels = self._column(raw, "<u8", self.label_offset)
        if int(labels.max()) >= self.count:
            raise DataLoss(f"{self.path.name} holds a label beyond its rows", expected=f"below {self.count}")
        label = labels.astype(np.uint32)
        links, mark = self._column(raw, "<u2", 0), self._column(raw, "<u4", 8)
        copied = np.flatnonzero((links == 0) & (mark == COPY_MARK))
        copies = None
        if len(copied):
            firsts = self._column(raw, "<u4", 4)[copied]
            if int(firsts.max()) >= self.count:
                raise DataLoss(f"{self.path.name} holds a copy of no row", expected=f"below {self.count}")
            copies = Copies.of(label[copied].astype(np.int64), label[firsts].astype(np.int64))
        identity = np.arange(self.count, dtype=np.uint32)
        if np.array_equal(label, identity):
            return Rows(vectors, None, None, copies)
        position = np.full(self.count, self.count, np.uint32)
        position[label] = identity
        if int(position.max()) == self.count:
            raise DataLoss(f"{self.path.name} holds a label twice")
        return Rows(vectors, position, label, copies)

    def _column(self, rows: Any, dtype: str, offset: int) -> Any:
        """The number at ``offset`` of every row, ``[count]``; ``rows`` are the file's bytes from its first row on."""
        return np.ndarray((self.count,), np.dtype(dtype), rows, offset, (self.row_bytes,))


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a mapped file.

    ``vectors`` float32 ``[count, dim]`` in the order of the file, a read-only strided view of the map;
    ``position`` of an ordinal and ``ordinal`` of a position, uint32 ``[count]``, None where they are the
    identity; ``copies`` None where there are none.
    """

    vectors: Float32
    position: NDArray[np.uint32] | None
    ordinal: NDArray[np.uint32] | None
    copies: Copies | None

    @property
    def linked(self) -> int:
        """Rows that a walk can meet: all but the copies."""
        return len(self.vectors) - (0 if self.copies is None else len(self.copies.members))

    def take(self, ordinals: Int64) -> Float32:
        """The vectors of some ordinals, gathered (a copy)."""
        return self.vectors[ordinals if self.position is None else self.position[ordinals]]

    def firsts(self) -> Int64:
        """Ordinals that are no copies, int64 ``[linked]`` ascending."""
        keep = np.ones(len(self.vectors), np.bool_)
        if self.copies is not None:
            keep[self.copies.members] = False
        return np.flatnonzero(keep)

    def nbytes(self) -> int:
        """Anonymous bytes."""
        own = 0 if self.copies is None else self.copies.nbytes()
        return own + sum(array.nbytes for array in (self.position, self.ordinal) if array is not None)


@contextmanager
def scratch(path: Path) -> Iterator[tuple[str, BinaryIO]]:
    """The path of a file to save a graph to under the GIL, and the file, to be copied to disk without it.

    Anonymous memory where there is such a thing (Linux): the shortest way through ``save_index``. It costs the
    size of the file in memory meanwhile. Elsewhere a file beside ``path``.
    """
    if hasattr(os, "memfd_create"):
        with open(os.memfd_create("vecdb-graph"), "rb") as memory:
            yield f"/proc/self/fd/{memory.fileno()}", memory
        return
    aside = path.with_name(path.name + ".scratch")
    try:
        aside.touch()
        with open(aside, "rb") as file:
            yield str(aside), file
    finally:
        aside.unlink(missing_ok=True)


def write(saved: BinaryIO, path: Path, ordinals: Int64, firsts: Int64) -> None:
    """Copy a saved graph to ``path`` and fsync it, adding copies: rows ``ordinals`` that equal rows ``firsts``."""
    with open(path, "wb") as out:
        _write(saved, out, ordinals, firsts)
        out.flush()
        os.fsync(out.fileno())


def _write(saved: BinaryIO, out: BinaryIO, ordinals: Int64, firsts: Int64) -> None:
    head = list(_HEADER.unpack(saved.read(_HEADER.size)))
    linked, row_bytes, label_offset, data_offset = head[2], head[3], head[4], head[5]
    more = len(ordinals)
    head[2] += more
    head[1] = max(head[1], head[2])
    out.write(_HEADER.pack(*head))
    _copy(saved, out, linked * row_bytes)
    if more:
        raw = np.asarray(np.memmap(saved, dtype=np.uint8, mode="r"))
        rows = raw[_HEADER.size : _HEADER.size + linked * row_bytes].reshape(linked, row_bytes)
        labels = np.ascontiguousarray(rows[:, label_offset:]).view("<u8")[:, 0].astype(np.int64)
        by_label = np.argsort(labels)
        positions = by_label[np.searchsorted(labels[by_label], firsts)]
        for start in range(0, more, _COPIES_AT_ONCE):
            at = positions[start : start + _COPIES_AT_ONCE]
            records = np.zeros((len(at), row_bytes), np.uint8)
            records[:, 4:8] = at.astype("<u4")[:, None].view(np.uint8)
            records[:, 8:12] = np.full((len(at), 1), COPY_MARK, "<u4").view(np.uint8)
            records[:, data_offset:label_offset] = rows[at, data_offset:label_offset]
            records[:, label_offset:] = ordinals[start : start + _COPIES_AT_ONCE].astype("<u8")[:, None].view(np.uint8)
            out.write(records.data)
    saved.seek(_HEADER.size + linked * row_bytes)
    _copy(saved, out, None)
    out.write(bytes(4 * more))  # no upper layers


def _copy(source: BinaryIO, out: BinaryIO, size: int | None) -> None:
    """Copy ``size`` bytes, or all that are left; reading and writing release the GIL."""
    buffer = memoryview(bytearray(_COPY_BYTES))
    while size is None or size > 0:
        count = source.readinto(buffer if size is None else buffer[:size])  # type: ignore[attr-defined]
        if count == 0:
            break
        out.write(buffer[:count])
        size = None if size is None else size - count
