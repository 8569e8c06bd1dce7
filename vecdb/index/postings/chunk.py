"""The texts of a write taken apart once, before they are queued: which text holds which term, and how often."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vecdb.index.analysis.contract import TakesApart
from vecdb.index.contract import Mask
from vecdb.index.packed import PackedTerms, UInt64
from vecdb.index.postings.contract import UInt32
from vecdb.model.point import Int64

PIECE = 1 << 20
"""Characters that are taken apart at once, but for a text that has more: some 100 MB while it lasts, and 100 ms."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Postings of a column of texts, some of which may be missing.

    ``present`` bool ``[n]``: which rows have a text. ``terms``: distinct, in no order, with their
    ``hashes``.
    Term i is held by the rows ``ordinals[starts[i]:starts[i + 1]]`` (uint32, ascending), by each ``frequencies`` times
    (uint32); ``starts`` is int64, one more than terms. ``lengths`` uint32 ``[n]``: terms of a row with repetitions, 0
    where there is no text.
    """

    present: Mask
    terms: PackedTerms
    hashes: UInt64
    starts: Int64
    ordinals: UInt32
    frequencies: UInt32
    lengths: UInt32

    def __len__(self) -> int:
        return len(self.present)


def pieces(texts: Sequence[str | None] | Sequence[bytes | None]) -> Iterator[tuple[int, int]]:
    """Where to cut a long column, so that each piece, from the first number up to the second, has about PIECE."""
    start = size = 0
    for i, text in enumerate(texts, 1):
        size += len(text or "")
        if size >= PIECE:
            yield start, i
            start, size = i, 0
    if start < len(texts):
        yield start, len(texts)


def analyzed(texts: Sequence[str | None] | Sequence[bytes | None], analyzer: TakesApart) -> Chunk:
    """Take a column of texts, or of sparse vectors, apart.

    No call holds the GIL longer than a millisecond or two. While it lasts it takes about 100 bytes for a character.
    """
    present = np.fromiter((text is not None for text in texts), dtype=np.bool_, count=len(texts))
    column = analyzer.column([text or "" for text in texts])
    return Chunk(present, column.terms, column.hashes, column.starts, column.rows, column.counts, column.lengths)
