"""The texts of a write taken apart once, before they are queued: which text holds which term, and how often."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from vecdb.index.analysis.contract import Analyzer
from vecdb.index.contract import Mask
from vecdb.index.postings.contract import UInt32
from vecdb.model.point import Int64

_SLICE = 4096  # terms numbered in one call, which holds the GIL: for 0.3 ms


def new_codes() -> defaultdict[str, int]:
    """A table of terms that gives those it does not know the next number."""
    return defaultdict(count().__next__)


def numbered(codes_of: defaultdict[str, int], terms: list[str]) -> Int64:
    """The number of each term; new ones are given one."""
    codes = np.empty(len(terms), dtype=np.int64)
    for at in range(0, len(terms), _SLICE):
        some = terms[at : at + _SLICE]
        codes[at : at + _SLICE] = np.fromiter(map(codes_of.__getitem__, some), dtype=np.int64, count=len(some))
    return codes


@dataclass(frozen=True, slots=True)
class Chunk:
    """Postings of a column of texts, some of which may be missing.

    ``present`` bool ``[n]``: which rows have a text. ``terms``: the distinct ones, in the order in which they come.
    Term i is held by the rows ``ordinals[starts[i]:starts[i + 1]]`` (uint32, ascending), by each ``frequencies`` times
    (uint32); ``starts`` is int64, one more than terms. ``lengths`` uint32 ``[n]``: terms of a row with repetitions, 0
    where there is no text.
    """

    present: Mask
    terms: list[str]
    starts: Int64
    ordinals: UInt32
    frequencies: UInt32
    lengths: UInt32

    def __len__(self) -> int:
        return len(self.present)


def analyzed(texts: Sequence[str | None], analyzer: Analyzer) -> Chunk:
    """Take a column of texts apart, one text after another."""
    n = len(texts)
    codes_of = new_codes()
    pieces: list[Int64] = []
    lengths = np.zeros(n, dtype=np.uint32)
    for row, text in enumerate(texts):
        if not text:
            continue
        terms = analyzer.terms(text)
        lengths[row] = len(terms)
        pieces.append(numbered(codes_of, terms))
    present = np.fromiter((text is not None for text in texts), dtype=np.bool_, count=n)
    codes = np.concatenate([np.zeros(0, dtype=np.int64), *pieces])
    pairs = codes * max(n, 1) + np.repeat(np.arange(n), lengths)
    pairs.sort()
    firsts = np.flatnonzero(np.diff(pairs, prepend=-1))
    frequencies = np.diff(firsts, append=len(pairs)).astype(np.uint32)
    holders, ordinals = np.divmod(pairs[firsts], max(n, 1))
    starts = np.searchsorted(holders, np.arange(len(codes_of) + 1))
    return Chunk(present, list(codes_of), starts, ordinals.astype(np.uint32), frequencies, lengths)
