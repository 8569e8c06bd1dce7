"""What the engine asks of the columns of one segment, growing or sealed.

Columns hold what bodies hold, by ordinal, and bodies never change: nothing here is ever stale, and nothing
here says which bodies are dead. What columns leave out (long strings, too many paths, texts) they say they
do not know, and it is verified from the bodies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vecdb.index.columns.flatten import UInt32
from vecdb.index.columns.values import SortedValues
from vecdb.index.contract import Mask
from vecdb.model.filter import Filter, Path, Scalar
from vecdb.model.point import Int64

UInt64 = NDArray[np.uint64]
Bounds = tuple[Mask, Mask]
"""(surely, possibly), bool by ordinal: what matches without doubt, and what is not ruled out. The same object
twice where the answer is exact."""


class Values(Protocol):
    """Distinct scalars in their total order: null, false, true, numbers exactly (1 before 1.0, which stay
    two), strings by their UTF-8 bytes. A value's place is its code."""

    def __len__(self) -> int: ...

    def __getitem__(self, code: int) -> Scalar: ...

    def take(self, codes: Int64) -> list[Scalar]:
        """The values with these codes."""


@dataclass(frozen=True, slots=True)
class Entries:
    """Every value at a path: ordinals of bodies int64 ``[m]``, ascending, beside ``codes`` int64 ``[m]`` in ``values``.

    A body with an array has an entry for each different element. ``unknown`` (int64, ascending): bodies
    whose values at the path are not all here.
    """

    ordinals: Int64
    codes: Int64
    values: Values
    unknown: Int64


@dataclass(frozen=True, slots=True)
class Column:
    """What a merge takes of one path: entries as in Entries, in any order, and ordinals of bodies.

    ``present``: anything lies there; ``arrays``: an array does; ``long``: a string that is left out, of more than
    ``limit`` bytes or with a NUL; ``unknown``: not all values are known.
    """

    ordinals: UInt32
    codes: Int64
    values: SortedValues
    present: UInt32
    arrays: UInt32
    long: UInt32
    unknown: UInt32
    limit: int


class Columns(Protocol):
    """The columns of the bodies of one segment, by ordinal. Any thread may call them."""

    def __len__(self) -> int: ...

    def bounds(self, filter: Filter, fields: Mapping[str, int]) -> Bounds:
        """Which bodies match; ``fields`` numbers the vector fields by name. Masks are the caller's to change.

        ``$text`` is never answered here. Bodies that are possible but not sure have to be judged themselves.
        """

    def entries(self, path: Path) -> Entries:
        """What lies at ``path``, for counting and ordering."""

    def nbytes(self) -> tuple[int, int]:
        """(anonymous, mapped) bytes."""

    # -- what a merge reads

    def paths(self) -> Sequence[Path]:
        """The paths that have a column."""

    def column(self, path: Path) -> Column:
        """What one of them holds."""

    def spilled(self) -> UInt32:
        """Ordinals of bodies with paths that have no column."""

    def vectors(self) -> Mapping[int, Mask]:
        """By field id, which bodies have a vector."""


class Ids(Protocol):
    """The ids of a segment's bodies, by ordinal."""

    def take(self, ordinals: Int64) -> Sequence[str]:
        """The ids at ``ordinals``."""
