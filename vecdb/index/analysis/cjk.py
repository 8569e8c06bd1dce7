"""The terms of runs of Han and kana by arithmetic on code points: strings are made of distinct terms only.

They are those that ``LanguageAnalyzer`` makes of such a run one by one: every two neighbours, every Han character,
every dictionary word of a run of Han. Of the words those of two and three characters are numbers like the rest.
"""

from __future__ import annotations

from functools import cache
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from vecdb.index.analysis import dictionary
from vecdb.index.analysis.column import Occurrences, Tally
from vecdb.index.analysis.scripts import HAN
from vecdb.index.contract import Mask
from vecdb.index.packed import PackedTerms, lengths_of
from vecdb.model.point import Int64

_KEY_BITS = 62
_LONGER = np.array([0x80, 0x800, 0x10000], dtype=np.uint32)  # from here on a character has a byte more in UTF-8


class CjkRuns:
    """Runs of Han and kana, each of one text, gathered until all are there."""

    def __init__(self, stop_words: frozenset[str]) -> None:
        self._stop_words = stop_words
        self._runs: list[str] = []
        self._rows: list[int] = []

    def add(self, row: int, runs: list[str]) -> None:
        """More runs of one text, folded."""
        self._runs += runs
        self._rows += [row] * len(runs)

    def into(self, occurrences: Occurrences) -> None:
        """Add their terms."""
        if not self._runs:
            return
        points = np.frombuffer("".join(self._runs).encode("utf-32-le"), dtype="<u4")
        sizes = lengths_of(self._runs)
        rows = np.repeat(np.array(self._rows, dtype=np.int64), sizes)
        firsts = np.cumsum(sizes) - sizes
        lasts = firsts + sizes - 1
        is_han = _han()[points]
        grams = _Grams(points, rows, occurrences.row_bits)
        is_single = is_han.copy()
        is_single[firsts[sizes == 1]] = True  # whatever it is, there is nothing else to find it by
        grams.add(1, np.flatnonzero(is_single))
        has_next = np.ones(len(points), dtype=np.bool_)
        has_next[lasts] = False
        grams.add(2, np.flatnonzero(has_next))
        words, lengths, places = self._words(np.logical_and.reduceat(is_han, firsts), sizes)
        grams.add(2, places[lengths == 2])
        if grams.have_room:
            grams.add(3, places[lengths == 3])
        rest = np.flatnonzero(lengths > (3 if grams.have_room else 2))
        occurrences.add_strings([words[i] for i in rest.tolist()], np.arange(len(rest)), rows[places[rest]])
        occurrences.add_tally(*grams.counted())

    def _words(self, is_chinese: Mask, sizes: Int64) -> tuple[list[str], Int64, Int64]:
        """The words of the runs that are Han and what stands between them, their lengths, and where each begins.

        A stop word has length 0, what stands between runs 1.
        """
        runs = self._runs if is_chinese.all() else list(compress(self._runs, is_chinese.tolist()))
        words = dictionary.words_of_many(runs)
        lengths = lengths_of(words)
        places = np.cumsum(lengths) - lengths
        # A break after each run
        place_of = np.insert(np.flatnonzero(np.repeat(is_chinese, sizes)), np.cumsum(sizes[is_chinese]), -1)
        if self._stop_words:
            lengths[[i for i in np.flatnonzero(lengths > 1).tolist() if words[i] in self._stop_words]] = 0
        return words, lengths, place_of[places]


class _Grams:
    """One, two or three neighbouring characters as one number, with the row that has them.

    A character counts among those that occur, from 1: ``ab`` is ``a * base + b``, and so no two lengths give one number
    and shorter ones come first.
    """

    def __init__(self, points: NDArray[np.uint32], rows: Int64, row_bits: int) -> None:
        occurs = np.zeros(int(points.max()) + 1, dtype=np.bool_)
        occurs[points] = True
        self._alphabet = np.flatnonzero(occurs).astype(np.uint32)
        number = np.empty(len(occurs), dtype=np.int64)
        number[self._alphabet] = np.arange(1, len(self._alphabet) + 1)
        self._numbers = number[points]
        self._base = len(self._alphabet) + 1
        self._rows, self._row_bits = rows, row_bits
        self._pairs: dict[int, list[Int64]] = {1: [], 2: [], 3: []}
        self.have_room = 3 * self._base.bit_length() + row_bits <= _KEY_BITS

    def add(self, size: int, places: Int64) -> None:
        """The grams of ``size`` characters that begin at these places; three where they ``have_room``."""
        keys = self._numbers[places]
        for further in range(1, size):
            keys *= self._base
            keys += self._numbers[places + further]
        keys <<= self._row_bits
        keys |= self._rows[places]
        self._pairs[size].append(keys)

    def counted(self) -> tuple[PackedTerms, Tally]:
        """The grams, and their tally."""
        sorted_by_size = []
        for pairs in self._pairs.values():
            of_size = np.concatenate([np.zeros(0, dtype=np.int64), *pairs])
            of_size.sort()
            sorted_by_size.append(of_size)
        tally = Tally.of(np.concatenate(sorted_by_size), self._row_bits)
        ends = np.searchsorted(tally.keys, [self._base, self._base**2 + self._base]).tolist()
        sizes = zip((1, 2, 3), (0, *ends), (*ends, len(tally.keys)), strict=True)
        return PackedTerms.joined([self._terms(tally.keys[begin:end], size) for size, begin, end in sizes]), tally

    def _terms(self, keys: Int64, size: int) -> PackedTerms:
        numbers = np.empty((len(keys), size), dtype=np.int64)
        for at in range(size - 1, -1, -1):
            keys, numbers[:, at] = np.divmod(keys, self._base)
        points = self._alphabet[numbers - 1]
        text = points.astype("<u4").tobytes().decode("utf-32-le").encode()
        sizes = size + np.searchsorted(_LONGER, points, "right").sum(axis=1)
        return PackedTerms.cut(np.frombuffer(text, dtype=np.uint8), sizes)


@cache
def _han() -> Mask:
    """By code point, whether it is a Han character."""
    codes = [ord(character) for character in HAN]
    is_han = np.zeros(max(codes) + 1, dtype=np.bool_)
    at = 0
    while at < len(HAN):
        is_range = HAN[at + 1 : at + 2] == "-"
        is_han[codes[at] : codes[at + 2 if is_range else at] + 1] = True
        at += 3 if is_range else 1
    return is_han
