"""What a collection says of itself: its description and its statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from vecdb.model.recall import Recall
from vecdb.model.schema import Schema
from vecdb.model.snapshot import Pin

Indexing = Literal["auto", "deferred"]
INDEXING: tuple[Indexing, ...] = get_args(Indexing)


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """Name, schema, indexing mode, creation time (milliseconds since 1970), live points, and aliases in order."""

    name: str
    schema: Schema
    indexing: Indexing
    created_at_ms: int
    points: int
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SegmentStats:
    """One segment: ``state`` is growing, frozen (waits, or is being indexed) or sealed.

    ``index`` is by vector field ``hnsw``, ``flat`` or ``none``; ``live`` and ``dead`` count rows. ``texts`` is by text
    field where its postings are: ``terms`` (a file), ``memory``, or ``none`` while they are not made. ``recall``:
    that of its graphs, by vector field, as far as it was measured.
    """

    segment: int
    state: str
    index: Mapping[str, str]
    live: int
    dead: int
    anonymous_bytes: int
    mapped_bytes: int
    disk_bytes: int
    texts: Mapping[str, str] = field(default_factory=dict)
    recall: Mapping[str, Recall] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CollectionStats:
    """Counts, bytes by purpose and the progress of indexing of one collection.

    ``live`` points; ``dead`` rows not yet taken out of segments. ``indexed`` of ``vectors`` live
    vectors are in graphs. ``insertions_per_row``: graph insertions since open divided by rows first
    indexed since open. ``longest_pause_ms``: longest graph save or load (all threads stand still).
    ``bytes``: anonymous, mapped, disk_index, disk_rows (estimate), unindexed, and of these postings.
    ``indexed_texts`` of ``texts`` live texts are indexed as their fields are declared now. ``recall``: by vector field
    that of all its graphs together, as far as it was measured in idle time. ``put_off``: the merge that is wanted and
    does not fit memory or disk, "" where there is none.
    """

    name: str
    live: int
    dead: int
    vectors: int
    indexed: int
    indexing: Indexing
    state: str
    seq: int
    bytes: Mapping[str, int]
    segments: Sequence[SegmentStats]
    insertions_per_row: float
    longest_pause_ms: float
    texts: int = 0
    indexed_texts: int = 0
    recall: Mapping[str, Recall] = field(default_factory=dict)
    put_off: str = ""


@dataclass(frozen=True, slots=True)
class DatabaseStats:
    """Process-wide numbers: resident and anonymous bytes, the store's memory and disk, collections.

    ``bytes``, beside those: ``building`` graphs that are made of new rows, ``admitted`` for merges and for collections
    that are being opened (an estimate of their peak), ``filter_cache``; ``limit`` of memory; space on the disk.
    ``pins``: states of the store that are kept, for snapshots under way. ``state``, ``read_only_reason``,
    ``state_since_ms`` and ``reopen_attempts`` are a DatabaseState.
    """

    collections: int
    open_collections: int
    commit: int
    read_only_reason: str | None
    bytes: Mapping[str, int]
    pins: Sequence[Pin] = ()
    state: str = "serving"
    state_since_ms: int = 0
    reopen_attempts: int = 0
