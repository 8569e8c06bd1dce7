"""Terms end to end, as they lie in a file: taken, sorted, hashed and compared without an object for each."""

from __future__ import annotations

import secrets
from collections.abc import Sequence, Sized
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vecdb.index.contract import Mask
from vecdb.index.ranges import gathered
from vecdb.model.point import Int64

UInt8 = NDArray[np.uint8]
UInt64 = NDArray[np.uint64]

WORD = 8
"""Bytes that are compared at once."""
_MAX_ROUNDS = 32  # words of equal terms; what is still equal then is left to Python
_SLICE = 1 << 14  # strings measured in one call, which holds the GIL: for 0.3 ms
_SEED = np.uint64(secrets.randbits(64))  # of this process: nobody can write terms whose hashes meet
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, 2**64 over the golden ratio (Knuth's multiplicative hash)
_HALF = np.uint64(32)
_HASHED_WORDS = 2  # of a term; what is longer is left to Python, which hashes with a secret of its own
_FEW = 32  # terms: so few are compared faster one by one
_KEPT = np.array([~np.uint64(0) << np.uint64(8 * (WORD - size)) if size else 0 for size in range(WORD + 1)], np.uint64)


@dataclass(frozen=True, slots=True)
class PackedTerms:
    """UTF-8 strings: ``blob`` uint8 from ``offsets[i]`` to ``offsets[i + 1]``; ``offsets`` may be of any integers."""

    offsets: NDArray[np.integer]
    blob: UInt8

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @staticmethod
    def of(terms: Sequence[str]) -> PackedTerms:
        """These terms, in this order."""
        return PackedTerms.encoded([term.encode() for term in terms])

    @staticmethod
    def encoded(terms: Sequence[bytes]) -> PackedTerms:
        """These terms, which are UTF-8 already."""
        return PackedTerms.cut(np.frombuffer(b"".join(terms), dtype=np.uint8), lengths_of(terms))

    @staticmethod
    def cut(blob: UInt8, sizes: Int64) -> PackedTerms:
        """The terms that lie end to end in ``blob``, of so many bytes each."""
        offsets = np.zeros(len(sizes) + 1, dtype=np.int64)
        np.cumsum(sizes, out=offsets[1:])
        return PackedTerms(offsets, blob)

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
        return PackedTerms(offsets, gathered(self.blob, begins, sizes))

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

    def hashes(self) -> UInt64:
        """A hash of each term, in this process alone; its high bits are as good as its low ones."""
        sizes = self.sizes()
        hashes = _mixed(sizes.astype(np.uint64) ^ _SEED, self.words())
        at = WORD
        while len(rows := np.flatnonzero(sizes > at)):
            if at >= _HASHED_WORDS * WORD:
                rest = [hash(self[row]) & (2**64 - 1) for row in rows.tolist()]
                hashes[rows] = _mixed(hashes[rows], np.array(rest, dtype=np.uint64))
                break
            hashes[rows] = _mixed(hashes[rows], self.words(at, rows))
            at += WORD
        return hashes

    def same(self, which: Int64, others: PackedTerms, of_others: Int64) -> Mask:
        """Whether the terms at some places are those at as many places of ``others``, whose hashes are theirs.

        Of terms of one size up to eight bytes no two have one hash: it is all of their bytes, stirred.
        """
        begins, ends = self.offsets[which], self.offsets[which + 1]
        sizes = (ends - begins).astype(np.int64)
        same: Mask = sizes == others.offsets[of_others + 1] - others.offsets[of_others]
        left, at = np.flatnonzero(same & (sizes > WORD)), 0
        while len(left):
            if len(left) < _FEW or at >= _MAX_ROUNDS * WORD:
                pairs = zip(which[left].tolist(), of_others[left].tolist(), strict=True)
                same[left] = [self[one] == others[other] for one, other in pairs]
                break
            same[left] = self.words(at, which[left]) == others.words(at, of_others[left])
            at += WORD
            left = left[same[left] & (sizes[left] > at)]
        return same

    def distinct(self) -> tuple[Int64, Int64, UInt64]:
        """The places of the different terms, in the order of their hashes; of every term, which of these it is; and the
        hashes of these. The order is the same in one process.
        """
        hashes = self.hashes()
        order = np.argsort(hashes)
        ordered = hashes[order]
        new = np.ones(len(order), dtype=np.bool_)
        np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
        again = np.flatnonzero(~new)
        if not self.same(order[again], self, order[again - 1]).all():
            order, new = self.order()
        numbers = np.empty(len(order), dtype=np.int64)
        numbers[order] = np.cumsum(new) - 1
        firsts = order[new]
        return firsts, numbers, hashes[firsts]

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


def lengths_of(strings: Sequence[Sized]) -> Int64:
    """The length of each."""
    lengths = np.empty(len(strings), dtype=np.int64)
    for at in range(0, len(strings), _SLICE):
        some = strings[at : at + _SLICE]
        lengths[at : at + _SLICE] = np.fromiter(map(len, some), dtype=np.int64, count=len(some))
    return lengths


def _mixed(hashes: UInt64, words: UInt64) -> UInt64:
    """Hashes of what had some hashes so far, and goes on with ``words``."""
    hashes = hashes ^ words
    hashes *= _FACTOR
    hashes ^= hashes >> _HALF
    return hashes
