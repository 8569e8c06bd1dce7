"""Sorted distinct terms, found by their bytes, by how they begin and by what is nearly them.

A term is looked for between samples: the first eight bytes of every 64th term, which stay in memory where the
terms themselves lie in a file. What may be near is told by two columns, an *outline* of each term: how many characters
it has, and which it has, each as one of 32 bits. An edit brings in one character at most and takes out one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from vecdb.index.packed import WORD, PackedTerms, UInt8, UInt64
from vecdb.index.postings.contract import UInt32
from vecdb.index.postings.edits import characters, distances
from vecdb.model.point import Int64

STEP = 64
"""Terms from one sample to the next."""
LONGEST = 128
"""Characters of a term whose neighbours are looked for; a longer one is near itself only."""
_PIECE = 1 << 16  # terms outlined or compared at once: what lies between two passes stays in the cache
_BITS = np.uint32(32)


@dataclass(frozen=True, slots=True)
class Outlines:
    """Of each term: ``sizes`` uint8, its characters, 255 for 255 and more; ``letters`` uint32, a bit of each."""

    sizes: UInt8
    letters: UInt32

    @staticmethod
    def of(terms: PackedTerms) -> Outlines:
        """Those of some terms."""
        sizes, letters = np.zeros(len(terms), dtype=np.uint8), np.zeros(len(terms), dtype=np.uint32)
        for at in range(0, len(terms), _PIECE):
            piece = PackedTerms(terms.offsets[at : at + _PIECE + 1], terms.blob)
            data = piece.data()
            starts = (data & 0xC0) != 0x80
            firsts = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(starts)])
            firsts = firsts[piece.offsets.astype(np.int64) - int(piece.offsets[0])]
            counts = np.diff(firsts)
            sizes[at : at + _PIECE] = np.minimum(counts, 255)
            bits = _bits(characters(data.tobytes().decode()))
            some = counts > 0
            if some.any():
                letters[at : at + _PIECE][some] = np.bitwise_or.reduceat(bits, firsts[:-1][some])
        return Outlines(sizes, letters)

    def nbytes(self) -> int:
        return self.sizes.nbytes + self.letters.nbytes


def samples_of(terms: PackedTerms) -> UInt64:
    """The first eight bytes of every 64th term."""
    return terms.words(0, np.arange(0, len(terms), STEP))


class Lexicon:
    """Terms in the order of their bytes. Raises ValueError, or IndexError, where damaged bytes make no sense."""

    def __init__(self, terms: PackedTerms, samples: UInt64 | None = None, outlines: Outlines | None = None) -> None:
        self.terms = terms
        self._samples = samples_of(terms) if samples is None else samples
        self._outlines = outlines

    def __len__(self) -> int:
        return len(self.terms)

    def place(self, bound: bytes) -> int:
        """How many of the terms come before ``bound``."""
        word = int.from_bytes(bound[:WORD].ljust(WORD, b"\0"), "big")
        low = max(int(self._samples.searchsorted(np.uint64(word), "left")) - 1, 0) * STEP
        high = min(int(self._samples.searchsorted(np.uint64(word), "right")) * STEP, len(self))
        offsets, blob = memoryview(self.terms.offsets), memoryview(self.terms.blob)  # type: ignore[arg-type]
        while low < high:
            middle = (low + high) // 2
            if bytes(blob[offsets[middle] : offsets[middle + 1]]) < bound:
                low = middle + 1
            else:
                high = middle
        return low

    def find(self, term: str) -> int | None:
        """The place of a term; None where it is not."""
        wanted = term.encode()
        at = self.place(wanted)
        return at if at < len(self) and self.terms[at] == wanted else None

    def starting(self, prefix: str) -> tuple[int, int]:
        """The terms that begin with ``prefix``: from one place up to another."""
        begin = prefix.encode()
        # What follows all of them: no byte of UTF-8 is 0xff.
        return self.place(begin), self.place(begin + b"\xff")

    def near(self, term: str, edits: int) -> tuple[Int64, UInt8]:
        """The places of the terms within ``edits`` edits of ``term``, ascending, and how many edits each is away."""
        if len(term) > LONGEST or edits < 1:
            at = self.find(term)
            return np.array([] if at is None else [at], dtype=np.int64), np.zeros(at is not None, dtype=np.uint8)
        if self._outlines is None:
            self._outlines = Outlines.of(self.terms)
        wanted = characters(term)
        letters = np.bitwise_or.reduce(_bits(wanted), initial=np.uint32(0))
        places, found = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.uint8)]
        for at in range(0, len(self), _PIECE):
            sizes, has = self._outlines.sizes[at : at + _PIECE], self._outlines.letters[at : at + _PIECE]
            may = np.bitwise_count(has & ~letters) <= edits
            may &= np.bitwise_count(~has & letters) <= edits
            may &= (sizes >= len(term) - edits) & (sizes <= len(term) + edits)
            here = np.flatnonzero(may)
            sizes = sizes[here]
            for size in range(max(len(term) - edits, 1), len(term) + edits + 1):
                some = here[sizes == size] + at
                if len(some):
                    text = self.terms.take(some).blob.tobytes().decode()
                    away = distances(wanted, characters(text).reshape(len(some), size), edits)
                    places.append(some[away <= edits])
                    found.append(away[away <= edits])
        all_places = np.concatenate(places)
        order = np.argsort(all_places)
        return all_places[order], np.concatenate(found)[order]

    def nbytes(self) -> int:
        outlines = 0 if self._outlines is None else self._outlines.nbytes()
        return self.terms.nbytes() + self._samples.nbytes + outlines


def _bits(points: NDArray[np.uint32]) -> UInt32:
    """One of 32 bits for each code point: neighbours in an alphabet have different ones."""
    return cast(UInt32, np.left_shift(np.uint32(1), points % _BITS))
