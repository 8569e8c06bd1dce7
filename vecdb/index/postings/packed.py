"""Terms end to end, as they lie in a file: taken, sorted and compared without an object for each."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vecdb.index.contract import Mask
from vecdb.index.ranges import spread
from vecdb.model.point import Int64

UInt8 = NDArray[np.uint8]
UInt64 = NDArray[np.uint64]

WORD = 8
"""Bytes that are compared at once."""
_MAX_ROUNDS = 32  # words of equal terms; what is still equal then is left to Python
_KEPT = np.array([~np.uint64(0) << np.uint64(8 * (WORD - size)) if size else 0 for size in range(WORD + 1)], np.uint64)


@dataclass(frozen=True, slots=True)
class PackedTerms:
    """UTF-8 strings: ``blob`` uint8 from ``offsets[i]`` to ``offsets[i + 1]``; ``offsets`` may be of any integers."""

    offsets: NDArray[np.integer]
    blob: UInt8

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @staticmethod
    def of(terms: list[str]) -> PackedTerms:
        """These terms, in this order."""
        encoded = [term.encode() for term in terms]
        offsets = np.zeros(len(terms) + 1, dtype=np.int64)
        np.cumsum(np.fromiter(map(len, encoded), dtype=np.int64, count=len(terms)), out=offsets[1:])
        return PackedTerms(offsets, np.frombuffer(b"".join(encoded), dtype=np.uint8))

    @staticmethod
    def joined(parts: list[PackedTerms]) -> PackedTerms:
        """The terms of all, one part after another."""
        sizes = np.concatenate([np.zeros(1, dtype=np.int64), *(part.sizes() for part in parts)])
        return PackedTerms(
            np.cumsum(sizes), np.concatenate([np.zeros(0, dtype=np.uint8), *(part.data() for part in parts)])
        )

    def data(self) -> UInt8:
        """The bytes of the terms, without what lies before and behind them."""
        return self.blob[int(self.offsets[0]) : int(self.offsets[-1])]

    def sizes(self) -> Int64:
        """How many bytes each term has."""
        offsets = self.offsets.astype(np.int64)
        return offsets[1:] - offsets[:-1]

    def __getitem__(self, at: int) -> bytes:
        return self.blob[int(self.offsets[at]) : int(self.offsets[at + 1])].tobytes()

    def take(self, which: Int64) -> PackedTerms:
        """The terms at these places, each once. Raises ValueError where damaged offsets make no sense."""
        begins = self.offsets[which].astype(np.int64)
        sizes = self.offsets[which + 1].astype(np.int64) - begins
        offsets = np.zeros(len(which) + 1, dtype=np.int64)
        np.cumsum(sizes, out=offsets[1:])
        if int(sizes.min(initial=0)) < 0 or int(offsets[-1]) > len(self.blob):
            raise ValueError("the offsets of terms do not ascend")
        return PackedTerms(offsets, self.blob[spread(begins, sizes)])

    def strings(self, which: Int64) -> list[str]:
        """The terms at these places. Raises UnicodeDecodeError, a ValueError, for bytes that are no UTF-8."""
        begins, ends = self.offsets[which].tolist(), self.offsets[which + 1].tolist()
        blob = memoryview(self.blob)  # type: ignore[arg-type]
        return [str(blob[a:b], "utf-8") for a, b in zip(begins, ends, strict=True)]

    def words(self, at: int = 0, which: Int64 | None = None) -> UInt64:
        """Bytes ``at`` to ``at + 8`` of the terms (at some places), as one number each: the first byte is the highest.

        What a term has no bytes for is 0.
        """
        begins = (self.offsets[:-1] if which is None else self.offsets[which]).astype(np.int64) + at
        ends = (self.offsets[1:] if which is None else self.offsets[which + 1]).astype(np.int64)
        blob = self.blob
        if len(blob) < WORD:
            blob = np.concatenate([blob, np.zeros(WORD - len(blob), dtype=np.uint8)])
        # Eight bytes from each place on; those that would reach over the end are taken before it, and shifted.
        every = np.ndarray((len(blob) - WORD + 1,), dtype=">u8", buffer=blob, strides=(1,))
        places = np.minimum(begins, len(every) - 1)
        words = every[places].astype(np.uint64)
        words <<= (8 * np.minimum(begins - places, WORD)).astype(np.uint64)
        words &= _KEPT[np.clip(ends - begins, 0, WORD)]
        return words

    def order(self) -> tuple[Int64, Mask]:
        """The places of the terms in the order of their bytes, equal ones as they stand; and which of the terms, in
        that order, differ from the one before.

        Sorted by eight bytes, then what these leave equal by the next; runs that are sorted already cost little, and
        numpy lets go of the GIL.
        """
        sizes = self.sizes()
        words, clipped = self.words(), np.minimum(sizes, WORD).astype(np.uint8)
        order = np.lexsort((clipped, words))
        new = np.ones(len(order), dtype=np.bool_)
        words, clipped = words[order], clipped[order]
        new[1:] = (words[1:] != words[:-1]) | (clipped[1:] != clipped[:-1])
        at = WORD
        while True:
            tied = ~new
            tied[:-1] |= tied[1:]
            tied &= sizes[order] >= at
            places = np.flatnonzero(tied)
            rows = order[places]
            if not np.any(sizes[rows] > at):
                return order, new
            groups = np.cumsum(new, dtype=np.int64)[places]
            if at >= _MAX_ROUNDS * WORD:
                self._order_rest(places, groups, order, new)
                return order, new
            words, clipped = self.words(at, rows), np.minimum(sizes[rows] - at, WORD).astype(np.uint8)
            inner = np.lexsort((clipped, words, groups))
            order[places] = rows[inner]
            words, clipped = words[inner], clipped[inner]
            differ = (words[1:] != words[:-1]) | (clipped[1:] != clipped[:-1])
            new[places[1:][differ]] = True
            at += WORD

    def _order_rest(self, places: Int64, groups: Int64, order: Int64, new: Mask) -> None:
        """Order what is at ``places`` of ``order`` within its groups, a term at a time."""
        found = [(group, self[row], row) for group, row in zip(groups.tolist(), order[places].tolist(), strict=True)]
        found.sort()
        order[places] = [row for _, _, row in found]
        new[places[1:]] |= [one[1] != other[1] for one, other in pairwise(found)]

    def nbytes(self) -> int:
        return self.offsets.nbytes + self.blob.nbytes
