"""Postings of the segment that takes new texts: blocks of a few writes, each sorted by term, merged as they grow.

One thread appends (the publisher); any thread reads, without a lock. Terms are numbered as they come. Each append
makes a block; neighbours of similar size become one, so a posting is moved a few times and a lookup meets few blocks.
Blocks never change: who holds a view keeps those it was made with, and what came later lies beyond its ordinals.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vecdb.index.appended import Appended
from vecdb.index.contract import Mask
from vecdb.index.packed import PackedTerms, UInt64
from vecdb.index.postings.chunk import Chunk
from vecdb.index.postings.contract import Counts, Posting, TermTable, UInt32
from vecdb.index.postings.lexicon import Lexicon
from vecdb.index.postings.vocabulary import Vocabulary
from vecdb.index.ranges import gathered, ordering
from vecdb.model.point import Int64

MAX_BLOCK = 1 << 19
"""Postings of a block that is made of others: merging so many takes the publisher about 10 ms."""


@dataclass(frozen=True, slots=True)
class Share:
    """Rows of a chunk that became new texts: ``positions`` there (None: all that have a text), ascending, and which of
    the new ``texts`` they are (None: the first ones, in order)."""

    chunk: Chunk
    positions: Int64 | None = None
    texts: Int64 | None = None


@dataclass(frozen=True, slots=True)
class _Block:
    """Postings by code of term, ascending: as in Chunk, by ordinals of the segment. ``end``: above all of these."""

    codes: UInt32
    starts: NDArray[np.integer]
    ordinals: UInt32
    frequencies: Counts
    end: int

    def nbytes(self) -> int:
        return self.codes.nbytes + self.starts.nbytes + self.ordinals.nbytes + self.frequencies.nbytes


class GrowingPostings:
    """The postings of a growing segment; ``upto`` shows those of its first texts."""

    def __init__(self) -> None:
        self.vocabulary = Vocabulary()  # its numbers are the codes
        self.first: Appended[np.uint32] = Appended(np.uint32)  # by code, the first text that holds the term
        self.lengths: Appended[np.uint32] = Appended(np.uint32)
        self.blocks: tuple[_Block, ...] = ()
        self.lexicons: tuple[_Numbered, ...] = ()  # of terms in the order of codes, made by readers
        self.lock = threading.Lock()  # of readers that make them

    def append(self, shares: Sequence[Share], n: int) -> None:
        """Add ``n`` texts; each is a row of one of the ``shares`` (the publisher)."""
        start = self.lengths.n
        lengths = np.zeros(n, dtype=np.uint32)
        taken = [_taken(share, lengths) for share in shares]
        block = self._block(taken, start)
        if len(block.codes):
            first = block.ordinals[block.starts[:-1]]
            self.first.extend(first[block.codes.searchsorted(np.uint32(self.first.n)) :])
            self.blocks = _with(self.blocks, block)
        self.lengths.extend(lengths)

    def upto(self, n: int) -> PostingsSoFar:
        """The postings of the first ``n`` texts."""
        return PostingsSoFar(self, n)

    def nbytes(self) -> int:
        """Anonymous bytes, about."""
        lexicons = sum(lexicon.nbytes() for lexicon in self.lexicons)
        arrays = self.first.view().nbytes + self.lengths.view().nbytes + sum(block.nbytes() for block in self.blocks)
        return arrays + lexicons + self.vocabulary.nbytes()

    def _block(self, taken: Sequence[_Taken], start: int) -> _Block:
        """The block of what was taken of each share, as texts from ``start`` on. Gives new terms their codes."""
        codes = [self.vocabulary.numbered(one.terms, one.hashes) for one in taken]
        counts = [np.diff(one.starts) for one in taken]
        ends = [int(one.texts.max(initial=-1)) + 1 for one in taken]
        ordered = all(one.is_ordered for one in taken) and all(
            int(one.texts.min(initial=end)) >= end
            for one, end in zip(taken[1:], np.maximum.accumulate(ends), strict=False)
        )
        all_codes = np.concatenate([np.zeros(0, dtype=np.uint32), *codes])
        all_counts = np.concatenate([np.zeros(0, dtype=np.int64), *counts])
        texts = np.concatenate([np.zeros(0, dtype=np.uint32), *(one.texts for one in taken)]).astype(np.uint32)
        frequencies = np.concatenate([np.zeros(0, dtype=np.uint32), *(one.frequencies for one in taken)])
        if not ordered:
            all_codes = np.repeat(all_codes, all_counts)
            order = np.lexsort((texts, all_codes))
            all_codes, texts, frequencies = all_codes[order], texts[order], frequencies[order]
            all_counts = np.ones(len(all_codes), dtype=np.int64)
        narrow = frequencies.astype(np.min_scalar_type(int(frequencies.max(initial=1))))
        return _by_code(all_codes, all_counts, texts + np.uint32(start), narrow, start + max(ends, default=0))


class PostingsSoFar:
    """The postings of the first ``n`` texts of a growing segment (see Postings)."""

    def __init__(self, growing: GrowingPostings, n: int) -> None:
        self._growing = growing
        self._n = n
        self._blocks = growing.blocks
        self._lengths = growing.lengths.view()[:n]
        self._first = growing.first.view()

    def __len__(self) -> int:
        return self._n

    @property
    def lengths(self) -> UInt32:
        return self._lengths

    def find(self, terms: Sequence[str]) -> list[Posting | None]:
        codes = self._growing.vocabulary.find(PackedTerms.of(list(terms)))
        found: list[list[Posting]] = [[] for _ in terms]
        for block in self._blocks:
            places = block.codes.searchsorted(codes)
            here = np.flatnonzero(block.codes[np.minimum(places, len(block.codes) - 1)] == codes)
            for i, place in zip(here.tolist(), places[here].tolist(), strict=True):
                posting = _posting(block, place, self._n)
                if len(posting.ordinals):
                    found[i].append(posting)
        return [_joined(postings) for postings in found]

    def starting(self, prefix: str, most: int) -> list[str]:
        out: list[str] = []
        for lexicon in self._lexicons():
            low, high = lexicon.sorted.starting(prefix)
            codes = lexicon.codes[low:high]
            out += self._growing.vocabulary.terms.strings(codes[self._visible(codes)][:most])
        return sorted(out)[:most]

    def near(self, term: str, edits: int, most: int) -> list[tuple[str, int]]:
        out: list[tuple[int, str]] = []
        for lexicon in self._lexicons():
            places, away = lexicon.sorted.near(term, edits)
            codes = lexicon.codes[places]
            visible = np.flatnonzero(self._visible(codes))
            nearest = visible[np.argsort(away[visible], kind="stable")[:most]]
            terms = self._growing.vocabulary.terms.strings(codes[nearest])
            out += zip(away[nearest].tolist(), terms, strict=True)
        return [(other, distance) for distance, other in sorted(out)[:most]]

    def table(self) -> TermTable:
        codes = np.concatenate([np.zeros(0, dtype=np.uint32), *(block.codes for block in self._blocks)])
        counts = np.concatenate([np.zeros(0, dtype=np.int64), *(np.diff(block.starts) for block in self._blocks)])
        ordinals = np.concatenate([np.zeros(0, dtype=np.uint32), *(block.ordinals for block in self._blocks)])
        frequencies = np.concatenate([np.zeros(0, dtype=np.uint8), *(block.frequencies for block in self._blocks)])
        if any(block.end > self._n for block in self._blocks):
            codes = np.repeat(codes, counts)
            seen = ordinals < self._n
            codes, ordinals, frequencies = codes[seen], ordinals[seen], frequencies[seen]
            counts = np.ones(len(codes), dtype=np.int64)
        # Terms in the order of bytes, and by code its place there
        visible = np.flatnonzero(self._first < self._n)
        terms = self._growing.vocabulary.terms.take(visible)
        order, _ = terms.order()
        place = np.zeros(len(self._first), dtype=np.uint32)
        place[visible[order]] = np.arange(len(order))
        block = _by_code(place[codes], counts, ordinals, frequencies, self._n)
        terms = terms.take(order)
        return TermTable(
            terms.offsets.astype(np.int64), terms.blob, block.starts.astype(np.int64), block.ordinals, block.frequencies
        )

    def nbytes(self) -> tuple[int, int]:
        return self._growing.nbytes(), 0

    def _visible(self, codes: Int64) -> Mask:
        """Which of the terms stand in a text of this view."""
        known = codes < len(self._first)
        known[known] = self._first[codes[known]] < self._n
        return known

    def _lexicons(self) -> tuple[_Numbered, ...]:
        """Sorted terms, of all that there are when first asked; readers of later views add theirs."""
        growing = self._growing
        with growing.lock:
            lexicons = growing.lexicons
            if sum(len(lexicon.codes) for lexicon in lexicons) < len(self._first):
                growing.lexicons = lexicons = _extended(lexicons, growing, len(self._first))
        return lexicons


@dataclass(frozen=True, slots=True)
class _Numbered:
    """Terms that follow each other in the order of codes, sorted: ``codes`` int64, by place."""

    sorted: Lexicon
    codes: Int64

    def nbytes(self) -> int:
        return self.sorted.nbytes() + self.codes.nbytes


def _extended(lexicons: tuple[_Numbered, ...], growing: GrowingPostings, end: int) -> tuple[_Numbered, ...]:
    """With the terms up to ``end``: those that follow the lexicons, and neighbours of similar size, sorted anew."""
    kept = list(lexicons)
    begin = sum(len(lexicon.codes) for lexicon in kept)
    while kept and 2 * (end - begin) >= len(kept[-1].codes):
        begin -= len(kept.pop().codes)
    every = growing.vocabulary.terms
    terms = PackedTerms(every.offsets[begin : end + 1], every.blob)
    order, _ = terms.order()
    return (*kept, _Numbered(Lexicon(terms.take(order)), order + begin))


@dataclass(frozen=True, slots=True)
class _Taken:
    """What a share gives: as Chunk, of its texts alone; ``is_ordered``: the texts of every term ascend."""

    terms: PackedTerms
    hashes: UInt64
    starts: Int64
    texts: Int64
    frequencies: UInt32
    is_ordered: bool


def _taken(share: Share, lengths: UInt32) -> _Taken:
    """The postings of a share; fills the lengths of its texts."""
    chunk = share.chunk
    positions = np.flatnonzero(chunk.present) if share.positions is None else share.positions
    texts = np.arange(len(positions)) if share.texts is None else share.texts
    lengths[texts] = chunk.lengths[positions]
    place = np.full(len(chunk), -1, dtype=np.int64)
    place[positions] = texts
    is_ordered = bool(np.all(texts[1:] > texts[:-1]))
    there = place[chunk.ordinals]
    kept = there >= 0
    if kept.all():
        return _Taken(chunk.terms, chunk.hashes, chunk.starts, there, chunk.frequencies, is_ordered)
    before = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(kept)])[chunk.starts]
    held = np.flatnonzero(np.diff(before))
    starts = np.append(before[held], before[-1])
    return _Taken(chunk.terms.take(held), chunk.hashes[held], starts, there[kept], chunk.frequencies[kept], is_ordered)


def _by_code(codes: UInt32, counts: Int64, ordinals: UInt32, frequencies: Counts, end: int) -> _Block:
    """A block of groups of postings, ``counts[i]`` of the term ``codes[i]``; groups of one term become one."""
    order = ordering(codes)
    begins = np.cumsum(counts) - counts
    codes, counts = codes[order], counts[order]
    begins = begins[order]
    firsts = np.flatnonzero(np.diff(codes.astype(np.int64), prepend=-1))
    starts = np.append((np.cumsum(counts) - counts)[firsts], len(ordinals))
    if len(ordinals) < 2**31:
        starts = starts.astype(np.int32)
    of_terms, times = gathered(ordinals, begins, counts), gathered(frequencies, begins, counts)
    return _Block(codes[firsts], starts, of_terms, times, end)


def _with(blocks: tuple[_Block, ...], block: _Block) -> tuple[_Block, ...]:
    """The blocks and a new one, as few as the geometric rule allows: each is larger than all behind it together."""
    first, total = len(blocks), len(block.ordinals)
    while first and len(blocks[first - 1].ordinals) <= total:
        size = len(blocks[first - 1].ordinals)
        if total + size > MAX_BLOCK:
            break
        total += size
        first -= 1
    if first == len(blocks):
        return (*blocks, block)
    merged = (*blocks[first:], block)
    return (
        *blocks[:first],
        _by_code(
            np.concatenate([one.codes for one in merged]),
            np.concatenate([np.diff(one.starts) for one in merged]),
            np.concatenate([one.ordinals for one in merged]),
            np.concatenate([one.frequencies for one in merged]),
            block.end,
        ),
    )


def _posting(block: _Block, place: int, n: int) -> Posting:
    """The postings of one term of a block, of texts below ``n``."""
    begin, end = int(block.starts[place]), int(block.starts[place + 1])
    ordinals = block.ordinals[begin:end]
    if block.end > n:
        end = begin + int(ordinals.searchsorted(np.uint32(n)))
        ordinals = block.ordinals[begin:end]
    return Posting(ordinals, block.frequencies[begin:end])


def _joined(postings: list[Posting]) -> Posting | None:
    """Postings that follow each other in ordinals, as one."""
    if len(postings) < 2:
        return postings[0] if postings else None
    return Posting(
        np.concatenate([posting.ordinals for posting in postings]),
        np.concatenate([posting.frequencies for posting in postings]),
    )
