"""What is counted of the texts of a field: those that live in a view and lie in its scope, over all segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb.index import bm25
from vecdb.index.analysis.contract import Analyzer
from vecdb.index.contract import Mask
from vecdb.index.postings.contract import Posting, Postings, UInt32
from vecdb.model.point import Int64

_LONG = np.iinfo(np.uint32).max


@dataclass(frozen=True)
class Source:
    """The texts of one field in one segment, and their places among the documents of a search.

    ``counted``: which of them live, and lie in the scope; ``allowed``: which may be answered (None: all); none is
    allowed that is not counted. The text at an ordinal is document ``base`` + ordinal, or where the texts of several
    fields meet in documents ``documents[ordinal]`` (int64; of texts that are not allowed it says nothing).
    """

    postings: Postings
    analyzer: Analyzer
    base: int
    counted: Mask | None = None
    allowed: Mask | None = None
    documents: Int64 | None = None

    @cached_property
    def shortest(self) -> int:
        """Terms of the shortest of all the texts."""
        return int(self.postings.lengths.min(initial=_LONG))

    @cached_property
    def texts_by_document(self) -> Int64:
        """The inverse of ``documents``, of texts that are allowed: an ordinal, or -1."""
        assert self.documents is not None
        ordinals = np.arange(len(self.documents)) if self.allowed is None else np.flatnonzero(self.allowed)
        documents = self.documents.take(ordinals)
        out = np.full(int(documents.max(initial=-1)) + 2, -1, dtype=np.int64)  # the last: of all documents beyond
        out[documents] = ordinals
        return out


@dataclass(frozen=True, slots=True)
class Totals:
    """How many ``texts`` are counted, and how many ``terms`` they have together."""

    texts: int
    terms: int

    @property
    def mean_length(self) -> float:
        """Terms of a text; 1 where none has any, and nothing is scored."""
        return self.terms / self.texts if self.terms else 1.0


@dataclass(frozen=True, slots=True)
class Field:
    """A text field in a search: its sources by segment, what is counted in it, and how it is scored."""

    name: str
    sources: tuple[Source, ...]
    totals: Totals
    boost: float = 1.0
    by: bm25.Parameters = bm25.DEFAULTS


def totals(sources: Sequence[Source]) -> Totals:
    """What is counted in some sources, text by text."""
    texts = terms = 0
    for source in sources:
        lengths = source.postings.lengths
        if source.counted is None:
            texts += len(lengths)
            terms += int(lengths.sum(dtype=np.int64))
        else:
            texts += int(np.count_nonzero(source.counted))
            terms += int(lengths.sum(dtype=np.int64, where=source.counted))
    return Totals(texts, terms)


@dataclass(frozen=True)
class Held:
    """The texts of a source that hold a group of terms: ``ordinals`` uint32 ``[m]``, ascending, and how often each
    does, ``[m]``, > 0: an integer, or a sum of shares.
    """

    ordinals: UInt32
    frequencies: NDArray[Any]

    @cached_property
    def places(self) -> Int64:
        """``ordinals`` as numpy indexes by: four times as fast where it is done twice."""
        return self.ordinals.astype(np.int64)


NOWHERE = Held(np.zeros(0, dtype=np.uint32), np.zeros(0, dtype=np.uint8))


def holding(held: Held, source: Source) -> int:
    """How many of the counted texts of a source hold a group."""
    if source.counted is None:
        return len(held.ordinals)
    return int(np.count_nonzero(source.counted.take(held.places)))


def united(found: Sequence[tuple[Posting | None, float]], texts: int) -> Held:
    """Where a source of so many texts holds a group, of whose terms it has these postings, by these shares.

    Frequencies are sums of frequencies times shares, which are powers of a half: exact in any order.
    """
    held = [(posting, share) for posting, share in found if posting is not None]
    if not held:
        return NOWHERE
    if len(held) == 1 and held[0][1] == 1.0:
        return Held(held[0][0].ordinals, held[0][0].frequencies)
    if 8 * sum(len(posting.ordinals) for posting, _ in held) > texts:
        is_whole = all(share == 1.0 for _, share in held)
        sums: NDArray[Any] = np.zeros(texts, dtype=np.uint32 if is_whole else np.float64)
        for posting, share in held:
            sums[posting.ordinals] += posting.frequencies if share == 1.0 else share * posting.frequencies
        dense = np.flatnonzero(sums > 0)
        return Held(dense.astype(np.uint32), sums[dense])
    ordinals, which = np.unique(np.concatenate([posting.ordinals for posting, _ in held]), return_inverse=True)
    weights = np.concatenate([share * posting.frequencies for posting, share in held])
    return Held(ordinals, np.bincount(which, weights=weights, minlength=len(ordinals)))
