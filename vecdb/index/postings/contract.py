"""What the engine asks of the postings of one text field in one segment, growing or sealed.

Texts are numbered by ordinal 0..n-1, and their terms never change. Nothing here says which texts are dead: who counts
and scores strikes them out. Terms are compared by their UTF-8 bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vecdb.model.point import Int64

UInt32 = NDArray[np.uint32]
Counts = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Posting:
    """The texts that hold one term: ``ordinals`` uint32 ``[m]``, ascending, and how often each does, ``[m]``, >= 1."""

    ordinals: UInt32
    frequencies: Counts


@dataclass(frozen=True, slots=True)
class TermTable:
    """All terms of some texts, ascending by bytes, and the postings of each one after another.

    Term i is ``blob[offsets[i]:offsets[i + 1]]`` (uint8), its postings ``starts[i]:starts[i + 1]`` of ``ordinals`` and
    ``frequencies``; ``offsets`` and ``starts`` are int64, one more than terms.
    """

    offsets: Int64
    blob: NDArray[np.uint8]
    starts: Int64
    ordinals: UInt32
    frequencies: Counts


class Postings(Protocol):
    """The postings of the texts of one field in one segment. Any thread may call them."""

    def __len__(self) -> int: ...

    @property
    def lengths(self) -> UInt32:
        """By ordinal, how many terms the text has, with repetitions; uint32 ``[n]``, not to be written to."""

    def find(self, terms: Sequence[str]) -> list[Posting | None]:
        """The postings of each term; None for one that no text holds."""

    def starting(self, prefix: str, most: int) -> list[str]:
        """The terms that begin with ``prefix``, ascending by bytes: at most ``most``."""

    def near(self, term: str, edits: int, most: int) -> list[tuple[str, int]]:
        """The terms within ``edits`` edits (of characters; two neighbours swapped are one) of ``term``, each with how
        many, the nearest first, then by bytes: at most ``most``."""

    def table(self) -> TermTable:
        """Everything, for a merge or a comparison."""

    def nbytes(self) -> tuple[int, int]:
        """(anonymous, mapped) bytes."""
