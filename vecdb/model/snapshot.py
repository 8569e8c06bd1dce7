"""Snapshots: what an archive holds, what restoring one made, and what is held while one is taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SnapshotBase:
    """What an earlier archive of a database held, for one that holds only what came after it.

    ``database``: the identity of the database, 32 hex digits. ``collections``: by number the first row that the archive
    had not seen.
    """

    database: str
    commit: int
    collections: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class SnapshotCollection:
    """One collection as an archive holds it.

    ``points`` and ``vectors`` (by field name) count what the collection had, also where the archive holds only the part
    that came after its base. ``token``: where its changes go on, ``<database>:<number>:<seq>``.
    """

    name: str
    number: int
    points: int
    vectors: Mapping[str, int]
    token: str
    aliases: Sequence[str]
    next_row: int


@dataclass(frozen=True, slots=True)
class SnapshotSummary:
    """What an archive says of itself. ``base_commit``: that of the archive it goes on from, None where it is whole.

    ``parts`` and ``nbytes`` are of the archive; ``creator`` is the release that wrote it, ``format`` the archive's own.
    """

    format: int
    creator: str
    database: str
    commit: int
    created_at_ms: int
    base_commit: int | None
    collections: tuple[SnapshotCollection, ...]
    parts: int
    nbytes: int

    def as_base(self) -> SnapshotBase:
        """What a snapshot is told that is to hold only what came after this one."""
        return SnapshotBase(self.database, self.commit, {one.number: one.next_row for one in self.collections})


@dataclass(frozen=True, slots=True)
class RestoredCollection:
    """A collection as it was made, or would be: ``was`` is its name in the archive.

    ``recall``: by vector field, the share of the exact nearest neighbours of the archive's sampled vectors that a
    search finds now (recall@10); empty after a dry run, and without a field that has no vectors.
    """

    name: str
    was: str
    points: int
    vectors: Mapping[str, int]
    token: str
    recall: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What a restore made, or, after a ``dry_run``, would make."""

    collections: tuple[RestoredCollection, ...]
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Pin:
    """A state of the store that is kept for a reader: nothing deleted since gives its space back until it is let go.

    ``purpose``: for whom, ``commit``: as of which, ``since_ms``: since when (milliseconds since 1970).
    """

    id: int
    purpose: str
    commit: int
    since_ms: int
