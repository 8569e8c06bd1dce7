"""The terms of many texts at once, as columns: what is indexed, without an object for each time a term stands there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, count

import numpy as np
from numpy.typing import NDArray

from vecdb.index.packed import PackedTerms, UInt64, lengths_of
from vecdb.model.point import Int64

UInt32 = NDArray[np.uint32]

_SLICE = 2048  # strings looked up in one call, which holds the GIL: for 0.3 ms


@dataclass(frozen=True, slots=True)
class Column:
    """Which of n texts holds which term, and how often.

    ``terms``: distinct, in no order but in one process always the same, with their ``hashes``. Term i is held by the
    texts ``rows[starts[i]:starts[i + 1]]`` (uint32, ascending), by each ``counts`` times (uint32); ``starts`` is int64,
    one more than terms. ``lengths`` uint32 ``[n]``: the terms of each text with repetitions.
    """

    terms: PackedTerms
    hashes: UInt64
    starts: Int64
    rows: UInt32
    counts: UInt32
    lengths: UInt32

    @staticmethod
    def of(texts: Iterable[list[str]], n: int) -> Column:
        """The column of ``n`` texts whose terms are these."""
        occurrences = Occurrences(n)
        held = list(texts)
        terms = list(chain.from_iterable(held))
        occurrences.add_strings(terms, np.arange(len(terms)), np.repeat(np.arange(n), lengths_of(held)))
        return occurrences.column()


def new_codes() -> defaultdict[str, int]:
    """A table of terms that gives those it does not know the next number."""
    return defaultdict(count().__next__)


def numbered(codes_of: defaultdict[str, int], terms: Sequence[str]) -> Int64:
    """The number of each term; new ones are given one."""
    codes = np.empty(len(terms), dtype=np.int64)
    for at in range(0, len(terms), _SLICE):
        some = terms[at : at + _SLICE]
        codes[at : at + _SLICE] = np.fromiter(map(codes_of.__getitem__, some), dtype=np.int64, count=len(some))
    return codes


@dataclass(frozen=True, slots=True)
class Tally:
    """Pairs of a key and a row, counted: ``keys`` distinct and ascending, the rest as in Column."""

    keys: Int64
    starts: Int64
    rows: UInt32
    counts: UInt32

    @staticmethod
    def of(pairs: Int64, row_bits: int) -> Tally:
        """``pairs``: sorted, the row in the lowest ``row_bits``."""
        firsts = np.flatnonzero(_changes(pairs))
        counts = np.diff(firsts, append=len(pairs)).astype(np.uint32)
        pairs = pairs[firsts]
        rows = (pairs & ((1 << row_bits) - 1)).astype(np.uint32)
        pairs >>= row_bits
        starts = np.flatnonzero(_changes(pairs))
        return Tally(pairs[starts], np.append(starts, len(pairs)), rows, counts)


class Occurrences:
    """The terms that ``n`` texts fall into as they are met, and the tallies of what is counted elsewhere."""

    def __init__(self, n: int) -> None:
        self._n = n
        self.row_bits = n.bit_length()
        self._codes = new_codes()
        self._strings: list[tuple[Int64, Int64]] = []  # occurrences of strings, by codes, and their rows
        self._packed: list[tuple[PackedTerms, Int64, Int64]] = []  # terms; their occurrences, by place there, and rows
        self._tallies: list[tuple[PackedTerms, Tally]] = []
        self._lengths = np.zeros(n, dtype=np.int64)

    def add_strings(self, terms: Sequence[str], places: Int64, rows: Int64) -> None:
        """Occurrences of some terms, by their places there, each in the text of a row."""
        self._strings.append((numbered(self._codes, terms)[places], rows))
        self._lengths += np.bincount(rows, minlength=self._n)

    def add(self, terms: PackedTerms, places: Int64, rows: Int64) -> None:
        """The same of many, for which a string each would be too much."""
        self._packed.append((terms, places, rows))
        self._lengths += np.bincount(rows, minlength=self._n)

    def add_tally(self, terms: PackedTerms, tally: Tally) -> None:
        """The terms of the keys of a tally, none of which comes another way."""
        self._tallies.append((terms, tally))
        self._lengths += np.bincount(tally.rows, tally.counts, minlength=self._n).astype(np.int64)

    def column(self) -> Column:
        """Of all that was added."""
        terms = PackedTerms.of(list(self._codes))
        met, begin = self._strings, len(terms)
        for some, places, rows in self._packed:
            met.append((places + begin, rows))
            begin += len(some)
        if self._packed:
            terms = PackedTerms.joined([terms, *(some for some, _, _ in self._packed)])
            firsts, numbers, hashes = terms.distinct()
            terms = terms.take(firsts)
            met = [(numbers[places], rows) for places, rows in met]
        else:
            hashes = terms.hashes()
        pairs = [np.zeros(0, dtype=np.int64), *(places << self.row_bits | rows for places, rows in met)]
        all_pairs = np.concatenate(pairs)
        all_pairs.sort()
        tally = Tally.of(all_pairs, self.row_bits)
        tallies = [(terms.take(tally.keys), hashes[tally.keys], tally)]
        tallies += [(more, more.hashes(), tally) for more, tally in self._tallies]
        starts, at = [], 0
        for _, _, tally in tallies:
            starts.append(tally.starts[:-1] + at)
            at += len(tally.rows)
        return Column(
            PackedTerms.joined([terms for terms, _, _ in tallies]),
            np.concatenate([hashes for _, hashes, _ in tallies]),
            np.append(np.concatenate(starts), at),
            np.concatenate([tally.rows for _, _, tally in tallies]),
            np.concatenate([tally.counts for _, _, tally in tallies]),
            self._lengths.astype(np.uint32),
        )


def _changes(numbers: Int64) -> NDArray[np.bool_]:
    """Which numbers differ from the one before."""
    changes = np.ones(len(numbers), dtype=np.bool_)
    np.not_equal(numbers[1:], numbers[:-1], out=changes[1:])
    return changes
