"""Points and the operations that write them, in columns."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from vecdb.model.filter import Filter, Path
from vecdb.model.sparse import SparseColumn

MAX_ID_BYTES = 512
FOR_EVER = -1
"""A time to live without an end, whatever the collection's own is."""

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class VectorColumn:
    """The vectors of one field for some rows of a batch.

    ``data`` is float32 ``[n, dim]``. ``rows`` (int64 ``[n]``, ascending) are the positions in the
    batch of the rows that carry a vector; None: every row does, in order.
    """

    data: Float32
    rows: Int64 | None = None

    def cut(self, start: int, stop: int) -> VectorColumn:
        """The vectors of the rows from ``start`` up to ``stop``, as a column of those rows alone."""
        if self.rows is None:
            return VectorColumn(self.data[start:stop])
        low, high = np.searchsorted(self.rows, (start, stop))
        return VectorColumn(self.data[low:high], self.rows[low:high] - start)

    def at(self, positions: Int64) -> VectorColumn:
        """The vectors of the rows at ``positions``, different ones, as a column of those rows in that order."""
        if self.rows is None:
            return VectorColumn(self.data[positions])
        carried = np.flatnonzero(np.isin(positions, self.rows))
        return VectorColumn(self.data[np.searchsorted(self.rows, positions[carried])], carried)


@dataclass(frozen=True, slots=True)
class Rows:
    """Points in parallel columns; all columns have the length of ``ids``.

    A text of None, a payload of None, or a field left out means "not given". Payloads are JSON
    objects as bytes. ``models`` states, by vector field, the embedding model the vectors came from. The vector field
    None is the collection's default, the field None of ``sparse`` its only one.
    """

    ids: Sequence[str]
    vectors: Mapping[str | None, VectorColumn] = field(default_factory=dict)
    texts: Mapping[str, Sequence[str | None]] = field(default_factory=dict)
    payloads: Sequence[bytes | None] | None = None
    models: Mapping[str | None, str] = field(default_factory=dict)
    sparse: Mapping[str | None, SparseColumn] = field(default_factory=dict)

    def cut(self, start: int, stop: int) -> Rows:
        """The rows from ``start`` up to ``stop``."""
        return Rows(
            ids=self.ids[start:stop],
            vectors={name: column.cut(start, stop) for name, column in self.vectors.items()},
            texts={name: texts[start:stop] for name, texts in self.texts.items()},
            payloads=None if self.payloads is None else self.payloads[start:stop],
            models=self.models,
            sparse={name: column.cut(start, stop) for name, column in self.sparse.items()},
        )


class PutMode(enum.IntEnum):
    """UPSERT replaces the whole point, INSERT refuses an existing id, UPDATE changes what is given."""

    UPSERT = 1
    INSERT = 2
    UPDATE = 3


class PayloadMode(enum.IntEnum):
    """What a payload given to an update does: MERGE puts its top-level keys in, REPLACE takes the place of the old."""

    MERGE = 1
    REPLACE = 2


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold of every point that an operation names, as earlier operations of the batch left it.

    ``absent``: it does not exist; ``exists``: it does; ``filter``: it does and matches. ``versions``: its version, one
    for all or one for each, 0 for a point that does not exist; empty: whichever. Else the whole batch is refused with
    ConditionFailed.
    """

    absent: bool = False
    exists: bool = False
    versions: Sequence[int] = ()
    filter: Filter | None = None

    def cut(self, start: int, stop: int) -> Condition:
        """The condition on the rows from ``start`` up to ``stop``."""
        return replace(self, versions=cut_column(self.versions, start, stop))


@dataclass(frozen=True, slots=True)
class Put:
    """Write points. An UPDATE skips ids that do not exist; WriteResult.count tells how many did.

    ``payload_mode`` and ``unset`` (values taken out of the payload that is there, first) are for an UPDATE. ``ttl_ms``:
    milliseconds from the commit after which a point is gone, one for all or one for each; FOR_EVER: never; 0, or
    empty: the collection's own, and an UPDATE leaves it as it is.
    """

    mode: PutMode
    rows: Rows
    payload_mode: PayloadMode = PayloadMode.REPLACE
    unset: Sequence[Path] = ()
    ttl_ms: Sequence[int] = ()
    condition: Condition | None = None

    def cut(self, start: int, stop: int) -> Put:
        """The same for the rows from ``start`` up to ``stop``."""
        condition = None if self.condition is None else self.condition.cut(start, stop)
        ttl_ms = cut_column(self.ttl_ms, start, stop)
        return replace(self, rows=self.rows.cut(start, stop), ttl_ms=ttl_ms, condition=condition)


@dataclass(frozen=True, slots=True)
class DeleteIds:
    """Delete points by id; ids that do not exist are skipped and not counted."""

    ids: Sequence[str]
    condition: Condition | None = None

    def cut(self, start: int, stop: int) -> DeleteIds:
        """The same for the ids from ``start`` up to ``stop``."""
        return DeleteIds(self.ids[start:stop], None if self.condition is None else self.condition.cut(start, stop))


@dataclass(frozen=True, slots=True)
class DeleteWhere:
    """Delete every point that matches, as earlier operations of the batch left it."""

    filter: Filter


@dataclass(frozen=True, slots=True)
class UpdateWhere:
    """Change the payload (a JSON object) or the time to live of every point that matches; see Put."""

    filter: Filter
    payload: bytes | None = None
    payload_mode: PayloadMode = PayloadMode.REPLACE
    unset: Sequence[Path] = ()
    ttl_ms: int = 0


@dataclass(frozen=True, slots=True)
class Clear:
    """Delete every point (of the scope) in the collection."""


Operation = Put | DeleteIds | DeleteWhere | UpdateWhere | Clear


@dataclass(frozen=True, slots=True)
class WriteBatch:
    """Operations applied in order, atomically, under one sequence number.

    ``durability`` None takes the server's default; "fsync" survives power loss, "os" a killed process.
    """

    operations: Sequence[Operation]
    durability: str | None = None


@dataclass(frozen=True, slots=True)
class WriteResult:
    """``seq``: opaque token of the write (a read may carry it); ``count``: points written or deleted."""

    seq: int
    count: int


@dataclass(frozen=True, slots=True)
class Select:
    """Which parts of a point an answer carries; ``vectors``: sparse ones, too."""

    payload: bool = True
    texts: bool = True
    vectors: bool = False


@dataclass(frozen=True, slots=True)
class Points:
    """Points read back, in columns of equal length; ``versions`` uint64 ``[n]``.

    A column that was not selected is None. ``payloads`` are JSON bytes, None where none was given.
    ``vectors[field]`` is a VectorColumn of the original float32 values; ``sparse`` is selected with it.
    """

    ids: list[str]
    versions: NDArray[np.uint64]
    payloads: list[bytes | None] | None = None
    texts: dict[str, list[str | None]] | None = None
    vectors: dict[str, VectorColumn] | None = None
    sparse: dict[str, SparseColumn] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def cut(self, start: int, stop: int) -> Points:
        """The points from ``start`` up to ``stop``."""
        return Points(
            ids=self.ids[start:stop],
            versions=self.versions[start:stop],
            payloads=None if self.payloads is None else self.payloads[start:stop],
            texts=None if self.texts is None else {name: texts[start:stop] for name, texts in self.texts.items()},
            vectors=None
            if self.vectors is None
            else {name: column.cut(start, stop) for name, column in self.vectors.items()},
            sparse=None
            if self.sparse is None
            else {name: column.cut(start, stop) for name, column in self.sparse.items()},
        )

    def at(self, positions: Int64) -> Points:
        """The points at ``positions``, different ones, in that order."""
        chosen = positions.tolist()
        return Points(
            ids=[self.ids[i] for i in chosen],
            versions=self.versions[positions],
            payloads=None if self.payloads is None else [self.payloads[i] for i in chosen],
            texts=None
            if self.texts is None
            else {name: [texts[i] for i in chosen] for name, texts in self.texts.items()},
            vectors=None
            if self.vectors is None
            else {name: column.at(positions) for name, column in self.vectors.items()},
            sparse=None
            if self.sparse is None
            else {name: column.at(positions) for name, column in self.sparse.items()},
        )


def cut_column(values: Sequence[int], start: int, stop: int) -> Sequence[int]:
    """Of one number for all rows, or one for each, those of the rows from ``start`` up to ``stop``."""
    return values if len(values) <= 1 else values[start:stop]
