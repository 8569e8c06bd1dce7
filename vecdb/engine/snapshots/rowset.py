"""A set of rows of a collection, one bit for each row the collection ever had."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from vecdb.engine.segment import UInt64
from vecdb.errors import DataLoss

_PIECE_BYTES = 1 << 20


class RowSet:
    """Some of the rows 0..``bound``; which, is in ``bits``, uint8, the first row the highest bit of the first byte."""

    def __init__(self, bound: int, bits: NDArray[np.uint8] | None = None) -> None:
        self.bound = bound
        self._bits = np.zeros((bound + 7) // 8, np.uint8) if bits is None else bits

    def add(self, rows: UInt64) -> None:
        """Put rows below the bound in."""
        np.bitwise_or.at(self._bits, rows >> np.uint64(3), _bit(rows))

    def has(self, rows: UInt64) -> NDArray[np.bool_]:
        """For each row whether it is in, bool ``[n]``; a row beyond the bound is not."""
        inside = rows < self.bound
        found = np.zeros(len(rows), np.bool_)
        some = rows[inside]
        found[inside] = (self._bits[some >> np.uint64(3)] & _bit(some)) != 0
        return found

    def count(self) -> int:
        """How many rows are in."""
        return int(np.bitwise_count(self._bits).sum(dtype=np.int64))

    def since(self, first: int) -> RowSet:
        """Those of the rows from ``first`` on."""
        bits = self._bits.copy()
        bits[: first // 8] = 0
        bits[first // 8 : first // 8 + 1] &= 0xFF >> first % 8
        return RowSet(self.bound, bits)

    def both(self, other: RowSet) -> RowSet:
        """The rows that are in this and in the other."""
        n = min(len(self._bits), len(other._bits))
        return RowSet(min(self.bound, other.bound), self._bits[:n] & other._bits[:n])

    def without(self, other: RowSet) -> RowSet:
        """The rows that are not in the other."""
        bits, n = self._bits.copy(), min(len(self._bits), len(other._bits))
        bits[:n] &= ~other._bits[:n]
        return RowSet(self.bound, bits)

    def grown(self, bound: int) -> RowSet:
        """The same rows with a higher bound."""
        bits = np.zeros((bound + 7) // 8, np.uint8)
        bits[: len(self._bits)] = self._bits
        return RowSet(bound, bits)

    def first(self) -> int | None:
        """The lowest row that is in."""
        filled = np.flatnonzero(self._bits)
        return None if not len(filled) else 8 * int(filled[0]) + int(np.unpackbits(self._bits[filled[:1]]).argmax())

    def sample(self, n: int, seed: int) -> UInt64:
        """``n`` of the rows, or all if they are fewer, ascending; the same for the same seed."""
        there = self.count()
        chosen = np.sort(np.random.default_rng(seed).choice(there, min(n, there), replace=False))
        found, before = [], 0
        for start in range(0, len(self._bits), _PIECE_BYTES):
            rows = np.flatnonzero(np.unpackbits(self._bits[start : start + _PIECE_BYTES]))
            here = chosen[(chosen >= before) & (chosen < before + len(rows))] - before
            found.append((rows[here] + 8 * start).astype(np.uint64))
            before += len(rows)
        return np.concatenate(found) if found else np.zeros(0, np.uint64)

    def encode(self) -> bytes:
        """The bits, compressed."""
        return zlib.compress(self._bits.tobytes(), 1)

    @staticmethod
    def decode(name: str, payload: bytes, bound: int) -> RowSet:
        """The inverse of ``encode``. Raises DataLoss by the part's name."""
        size = (bound + 7) // 8
        try:
            unpacking = zlib.decompressobj()
            raw = unpacking.decompress(payload, size + 1)
        except zlib.error as error:
            raise DataLoss(f"{name} is damaged: {error}") from error
        if len(raw) != size or not unpacking.eof:
            raise DataLoss(f"{name} has another size", expected=f"{size} bytes", received=str(len(raw)))
        return RowSet(bound, np.frombuffer(raw, np.uint8).copy())


def _bit(rows: UInt64) -> NDArray[np.uint8]:
    return np.uint8(128) >> (rows & np.uint64(7)).astype(np.uint8)
