"""The terms of a growing segment, numbered as they come, without an object for each.

They lie end to end, with a hash each, and are found through a table of slots: the number of a term is in the slot that
the high bits of its hash name, or in the next ones behind that, before one that is empty (linear probing). Hashes only
say where to look: a term is found by its bytes. One thread adds; any thread reads, without a lock, since a slot that is
taken never changes, and a table that is outgrown is left behind as it is.
"""

from __future__ import annotations

import numpy as np

from vecdb.index.appended import Appended
from vecdb.index.packed import PackedTerms, UInt64
from vecdb.index.postings.contract import UInt32
from vecdb.model.point import Int64

NONE = np.uint32(2**32 - 1)
"""No number of any term."""
_FIRST_BITS = 4


class Vocabulary:
    """Terms and their numbers, from 0."""

    def __init__(self) -> None:
        self._hashes: Appended[np.uint64] = Appended(np.uint64)
        self._blob: Appended[np.uint8] = Appended(np.uint8)
        self._offsets: Appended[np.int64] = Appended(np.int64)
        self._offsets.extend(np.zeros(1, dtype=np.int64))
        self._slots = _empty(_FIRST_BITS)

    def __len__(self) -> int:
        return self._offsets.n - 1

    @property
    def terms(self) -> PackedTerms:
        """All of them, by number."""
        offsets = self._offsets.view()  # first: the bytes they name are there
        return PackedTerms(offsets, self._blob.view())

    def find(self, terms: PackedTerms) -> UInt32:
        """The number of each term, NONE for one that is not here."""
        return self._looked_up(terms, terms.hashes())[0]

    def numbered(self, terms: PackedTerms, hashes: UInt64) -> UInt32:
        """The number of each of some different terms; new ones are given one."""
        numbers, places = self._looked_up(terms, hashes)
        new = np.flatnonzero(numbers == NONE)
        if len(new):
            known = len(self)
            numbers[new] = np.arange(known, known + len(new), dtype=np.uint32)
            self._add(terms.take(new), hashes[new], places[new])
        return numbers

    def nbytes(self) -> int:
        """Bytes that are in use."""
        columns = (self._hashes.view(), self._blob.view(), self._offsets.view(), self._slots)
        return sum(column.nbytes for column in columns)

    def _looked_up(self, terms: PackedTerms, hashes: UInt64) -> tuple[UInt32, Int64]:
        """The number of each term, or NONE; and the slot where it is, or the empty one where it would be."""
        slots = self._slots
        numbers = np.full(len(terms), NONE, dtype=np.uint32)
        places = _first_places(hashes, slots)
        left = np.arange(len(terms))
        while len(left):
            found = slots[places[left]]
            taken = found != NONE
            left, found = left[taken], found[taken]
            # Asked for after the slots: what these name is there.
            alike = self._hashes.view()[found] == hashes[left]
            here = np.flatnonzero(alike)
            alike[here] = terms.same(left[here], self.terms, found[here].astype(np.int64))
            numbers[left[alike]] = found[alike]
            left = left[~alike]
            places[left] = (places[left] + 1) % len(slots)
        return numbers, places

    def _add(self, terms: PackedTerms, hashes: UInt64, places: Int64) -> None:
        """Add new terms, which belong in these slots or behind them. What readers reach first is written last."""
        known = len(self)
        self._blob.extend(terms.data())
        self._hashes.extend(hashes)
        self._offsets.extend(terms.offsets[1:] - terms.offsets[0] + self._offsets.view()[-1])
        if 2 * len(self) <= len(self._slots):
            _enter(self._slots, np.arange(known, len(self), dtype=np.uint32), places)
            return
        slots = _empty((4 * len(self)).bit_length() - 1)
        _enter(slots, np.arange(len(self), dtype=np.uint32), _first_places(self._hashes.view(), slots))
        self._slots = slots


def _empty(bits: int) -> UInt32:
    """A table of 2**bits slots."""
    return np.full(1 << bits, NONE, dtype=np.uint32)


def _first_places(hashes: UInt64, slots: UInt32) -> Int64:
    """The slots where terms of these hashes are looked for first, ascending as the hashes are."""
    return (hashes >> np.uint64(64 - (len(slots).bit_length() - 1))).astype(np.int64)


def _enter(slots: UInt32, numbers: UInt32, places: Int64) -> None:
    """Put each number into its slot, or into the next that is empty."""
    while len(numbers):
        free = slots[places] == NONE
        slots[places[free]] = numbers[free]  # of several for one slot, one stays
        lost = slots[places] != numbers
        numbers, places = numbers[lost], (places[lost] + 1) % len(slots)
