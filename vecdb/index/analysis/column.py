"""The terms of many texts at once, as columns: what is indexed, without an object for each time a term stands there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, count

import numpy as np
from numpy.typing import NDArray

from vecdb.index.ranges import spread
from vecdb.model.point import Int64

UInt32 = NDArray[np.uint32]

_SLICE = 2048  # strings looked up in one call, which holds the GIL: for 0.3 ms


@dataclass(frozen=True, slots=True)
class Column:
    """Which of n texts holds which term, and how often.

    ``terms``: distinct, in no order but always the same. Term i is held by the texts ``rows[starts[i]:starts[i + 1]]``
    (uint32, ascending), by each ``counts`` times (uint32); ``starts`` is int64, one more than terms. ``lengths`` uint32
    ``[n]``: the terms of each text with repetitions.
    """

    terms: list[str]
    starts: Int64
    rows: UInt32
    counts: UInt32
    lengths: UInt32

    @staticmethod
    def of(texts: Iterable[list[str]], n: int) -> Column:
        """The column of ``n`` texts whose terms are these."""
        occurrences = Occurrences(n, lambda terms: [(term,) for term in terms])
        for row, terms in enumerate(texts):
            occurrences.add(row, terms)
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


def lengths_of(strings: Sequence[Sequence[str]]) -> Int64:
    """The length of each."""
    lengths = np.empty(len(strings), dtype=np.int64)
    for at in range(0, len(strings), 8 * _SLICE):
        some = strings[at : at + 8 * _SLICE]
        lengths[at : at + 8 * _SLICE] = np.fromiter(map(len, some), dtype=np.int64, count=len(some))
    return lengths


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
    """What ``n`` texts fall into as it is met, and the tallies of what is counted elsewhere.

    ``terms_of``: the terms of each of some pieces of text, asked once for each different piece.
    """

    def __init__(self, n: int, terms_of: Callable[[list[str]], Sequence[Sequence[str]]]) -> None:
        self._n = n
        self._terms_of = terms_of
        self.row_bits = n.bit_length()
        self._pieces = new_codes()
        self._met: list[str] = []  # pieces that are not yet numbered
        self._taken: list[tuple[int, int]] = []  # by text, how many of them are its
        self._numbered: list[tuple[Int64, Int64]] = []  # pieces and their texts
        self._terms = new_codes()
        self._pairs: list[Int64] = []
        self._tallies: list[tuple[list[str], Tally]] = []
        self._lengths = np.zeros(n, dtype=np.int64)

    def add(self, row: int, pieces: Sequence[str]) -> None:
        """Pieces of one text."""
        self._met += pieces
        self._taken.append((row, len(pieces)))
        if len(self._met) >= _SLICE:
            self._number()

    def add_terms(self, rows: Int64, terms: Sequence[str]) -> None:
        """Terms, each of a text of its own."""
        self._add_pairs(numbered(self._terms, terms), rows)

    def _number(self) -> None:
        """Number the pieces that wait for it."""
        if self._taken:
            rows, sizes = np.array(self._taken, dtype=np.int64).T
            self._numbered.append((numbered(self._pieces, self._met), np.repeat(rows, sizes)))
            self._met, self._taken = [], []

    def _add_pairs(self, codes: Int64, rows: Int64) -> None:
        self._pairs.append(codes << self.row_bits | rows)
        self._lengths += np.bincount(rows, minlength=self._n)

    def add_tally(self, terms: list[str], tally: Tally) -> None:
        """The terms of the keys of a tally, none of which comes another way."""
        self._tallies.append((terms, tally))
        self._lengths += np.bincount(tally.rows, tally.counts, minlength=self._n).astype(np.int64)

    def column(self) -> Column:
        """Of all that was added."""
        self._number()
        pieces_met = list(self._pieces)
        codes, sizes = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
        for at in range(0, len(pieces_met), _SLICE):
            made = self._terms_of(pieces_met[at : at + _SLICE])
            sizes.append(lengths_of(made))
            codes.append(numbered(self._terms, list(chain.from_iterable(made))))
        all_codes, all_sizes = np.concatenate(codes), np.concatenate(sizes)
        begins = np.cumsum(all_sizes) - all_sizes
        for pieces, rows in self._numbered:
            some = all_sizes[pieces]
            self._add_pairs(all_codes[spread(begins[pieces], some)], np.repeat(rows, some))
        pairs = np.concatenate([np.zeros(0, dtype=np.int64), *self._pairs])
        pairs.sort()
        terms = list(self._terms)
        tallies = [Tally.of(pairs, self.row_bits)]
        for more, tally in self._tallies:
            terms += more
            tallies.append(tally)
        starts, at = [], 0
        for tally in tallies:
            starts.append(tally.starts[:-1] + at)
            at += len(tally.rows)
        return Column(
            terms,
            np.append(np.concatenate(starts), at),
            np.concatenate([tally.rows for tally in tallies]),
            np.concatenate([tally.counts for tally in tallies]),
            self._lengths.astype(np.uint32),
        )


def _changes(numbers: Int64) -> NDArray[np.bool_]:
    """Which numbers differ from the one before."""
    changes = np.ones(len(numbers), dtype=np.bool_)
    np.not_equal(numbers[1:], numbers[:-1], out=changes[1:])
    return changes
