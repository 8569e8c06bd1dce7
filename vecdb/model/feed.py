"""The change feed: what write batches did to the points of a collection, in order, and where in it one stands."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from vecdb.errors import InvalidArgument
from vecdb.model.hit import Point, points_in
from vecdb.model.point import FOR_EVER, DeleteIds, Int64, Points, Put, PutMode, Rows, VectorColumn
from vecdb.model.sparse import SparseColumn

NOW = "now"
OLDEST = "oldest"
PAGE_BYTES = 8 << 20
"""Of changes that are read, sent and held at once; a point alone may be larger."""


@dataclass(frozen=True, slots=True)
class FeedToken:
    """A place in the feed of one collection: after its write ``seq``. Its text is opaque to callers.

    ``database``: the identity of the data directory; ``collection``: the number there, which no name has again.
    """

    database: str
    collection: int
    seq: int

    def __str__(self) -> str:
        return f"{self.database}:{self.collection}:{self.seq}"

    @staticmethod
    def parse(text: str) -> FeedToken:
        """The inverse of ``str``. Raises InvalidArgument."""
        database, _, rest = text.partition(":")
        collection, _, seq = rest.partition(":")
        if not (database and _is_number(collection) and _is_number(seq)):
            raise InvalidArgument(
                "not a token of a change feed",
                field="after",
                expected=f"a token, {NOW!r} or {OLDEST!r}",
                received=repr(text)[:80],
            )
        return FeedToken(database, int(collection), int(seq))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 20


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """What one write batch did to the points, or a part of that.

    ``points``: those written, whole, as the batch left them; ``deleted``: ids of those that are gone. No id is in both,
    nor twice. ``seq`` is the version of the points, ``time`` when the batch was committed, by the clock of the source.
    ``token``: go on after this change; of a part that is not the ``last`` of its batch it leads back to the beginning
    of the batch, and what comes twice does no harm.

    ``columns`` are the points as columns; ``expires_at``: milliseconds since 1970, int64 ``[n]``, 0: never.
    """

    seq: int
    token: str
    time_ms: int
    columns: Points
    expires_at: Int64
    deleted: Sequence[str]
    last: bool = True

    @property
    def time(self) -> datetime:
        """When the batch was committed, UTC."""
        return datetime.fromtimestamp(self.time_ms / 1000, UTC)

    @property
    def points(self) -> list[Point]:
        """The points written."""
        return points_in(self.columns)

    @property
    def ids(self) -> list[str]:
        """Ids of all points that changed."""
        return [*self.columns.ids, *self.deleted]

    def operations(self) -> list[Put | DeleteIds]:
        """What ``write`` takes to do the same to another collection; to do it again changes nothing.

        A point that expires gets the time it has left by the clock here, a millisecond at least.
        """
        made: list[Put | DeleteIds] = []
        if len(self.columns):
            made.append(Put(PutMode.UPSERT, _rows(self.columns), ttl_ms=self._times_to_live()))
        if len(self.deleted):
            made.append(DeleteIds(self.deleted))
        return made

    def _times_to_live(self) -> list[int]:
        if not self.expires_at.any():
            return [FOR_EVER]
        left = np.maximum(self.expires_at - int(1000 * time.time()), 1)
        found: list[int] = np.where(self.expires_at == 0, FOR_EVER, left).tolist()
        return found

    def __repr__(self) -> str:
        part = "" if self.last else ", last=False"
        return f"Change(seq={self.seq}, points={len(self.columns)}, deleted={len(self.deleted)}{part})"


def _rows(points: Points) -> Rows:
    vectors: dict[str | None, VectorColumn] = dict((points.vectors or {}).items())
    sparse: dict[str | None, SparseColumn] = dict((points.sparse or {}).items())
    return Rows(points.ids, vectors, points.texts or {}, points.payloads, sparse=sparse)


@dataclass(frozen=True, slots=True)
class FeedRequest:
    """Changes after a place: a token, NOW or OLDEST.

    ``rows``: how many rows of the batch after the token were told before (FeedPage.rows). ``wait_s``: how long to wait
    for a change when there is none. ``max_bytes``: about how much to answer.
    """

    after: str
    rows: int = 0
    wait_s: float = 0.0
    max_bytes: int = PAGE_BYTES


@dataclass(frozen=True, slots=True)
class FeedPage:
    """``changes`` in order, and where to go on: after ``token``, of whose next batch ``rows`` rows were told.

    ``end``: that was all there is by now. A page that is not the end may hold no change.
    """

    changes: Sequence[Change]
    token: str
    rows: int
    end: bool
