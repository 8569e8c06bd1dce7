"""The texts of a write taken apart once, before they are queued: which text holds which term, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vecdb.index.analysis.contract import TakesApart
from vecdb.index.contract import Mask
from vecdb.index.postings.contract import UInt32
from vecdb.model.point import Int64


@dataclass(frozen=True, slots=True)
class Chunk:
    """Postings of a column of texts, some of which may be missing.

    ``present`` bool ``[n]``: which rows have a text. ``terms``: distinct, in no order.
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


def analyzed(texts: Sequence[str | None] | Sequence[bytes | None], analyzer: TakesApart) -> Chunk:
    """Take a column of texts, or of sparse vectors, apart.

    No call holds the GIL longer than a millisecond or two. While it lasts it takes about 100 bytes for a character.
    """
    present = np.fromiter((text is not None for text in texts), dtype=np.bool_, count=len(texts))
    column = analyzer.column([text or "" for text in texts])
    return Chunk(present, column.terms, column.starts, column.rows, column.counts, column.lengths)
