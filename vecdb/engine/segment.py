"""Segments: rows of a collection in columns, growing or finished.

A segment has *bodies* (rows, sequence numbers, ids) and, for each vector field, a *part*: vectors by
ordinal, each under the row it was written with (its *slot*). For most rows body and slot are the
same row; an edit that leaves a vector alone makes a new body which *adopts* the old row's slot, so
that no vector is ever inserted into a graph twice. A text field's part is the same, with postings
instead of vectors: no text is analyzed twice. The text itself is in the body of whichever row owns
the slot. Parts are numbered as slots are in bodies: vector fields by their number, text fields by
TEXT | number.

Liveness is stamped, not copied: ``died[ordinal]`` is the sequence number of the write that killed a
row, ALIVE until then. A reader at sequence S takes a row as alive if it died after S. Stamps are
written only by the thread that publishes views (under the database's publish lock), always before the
view that makes them count, so readers need no lock: a stamp they can see early belongs to a later S.

A body with a time to live has its end in ``expires``. It lives, in this sense, until a write kills it (the sweep of
maintenance does, some time later), but no view shows it from that moment on: see View.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vecdb.engine.recall import PartRecall
from vecdb.engine.text_index import TextIndex
from vecdb.index.analysis.contract import Identity
from vecdb.index.columns.contract import Columns
from vecdb.index.contract import Mask, VectorIndex
from vecdb.index.packed import WORD, PackedTerms
from vecdb.index.postings.contract import Postings
from vecdb.model.point import MAX_ID_BYTES, Float32, Int64

UInt64 = NDArray[np.uint64]

ALIVE = np.uint64(2**64 - 1)
NEVER = 2**63 - 1
"""The moment at which a point without an end expires, in milliseconds since 1970."""


class IdColumn(Protocol):
    """The ids of a segment's bodies, by ordinal."""

    def take(self, ordinals: Int64) -> list[str]:
        """The ids at ``ordinals``, in that order."""

    def first(self, ordinals: Int64, most: int) -> Int64:
        """Those of ``ordinals`` whose ids are the ``most`` first ones by bytes, in any order."""

    def nbytes(self) -> tuple[int, int]:
        """(anonymous, mapped) bytes."""


class ListIds:
    """Ids in a Python list that only grows; a shorter view of it stays valid."""

    def __init__(self, ids: list[str]) -> None:
        self._ids = ids

    def take(self, ordinals: Int64) -> list[str]:
        ids = self._ids
        return [ids[i] for i in ordinals.tolist()]

    def first(self, ordinals: Int64, most: int) -> Int64:
        return _first(self, ordinals, most)

    def nbytes(self) -> tuple[int, int]:
        return 100 * len(self._ids), 0


class PackedIds:
    """Ids end to end in one blob, ``offsets`` (uint64, one more than ids) telling where each begins."""

    def __init__(self, offsets: UInt64, blob: NDArray[np.uint8]) -> None:
        self._offsets = offsets
        self._blob = memoryview(blob)  # type: ignore[arg-type]

    def take(self, ordinals: Int64) -> list[str]:
        blob = self._blob
        starts = self._offsets[ordinals].tolist()
        ends = self._offsets[ordinals + 1].tolist()
        return [str(blob[a:b], "utf-8") for a, b in zip(starts, ends, strict=True)]

    def first(self, ordinals: Int64, most: int) -> Int64:
        """As IdColumn says; no id becomes a string before it has been compared by its bytes, eight at a time."""
        terms = PackedTerms(self._offsets, np.frombuffer(self._blob, dtype=np.uint8))
        found: list[Int64] = []
        for at in range(0, MAX_ID_BYTES, WORD):
            if len(ordinals) <= most:
                break
            words = terms.words(at, ordinals)
            last = np.partition(words, most - 1)[most - 1]
            found.append(ordinals[words < last])
            most -= len(found[-1])
            ordinals = ordinals[words == last]
        return np.concatenate([*found, _first(self, ordinals, most)])

    def nbytes(self) -> tuple[int, int]:
        return 0, int(self._offsets.nbytes) + self._blob.nbytes


@dataclass(slots=True)
class Part:
    """The vectors, or the texts, of one field in a segment.

    ``slots`` (uint64, by ordinal) is ascending, or ``order`` is the permutation that sorts it.
    ``owners`` is None while every slot belongs to the row of its own number; else it gives by ordinal
    the newest row that has it. ``same_rows``: ordinal i here is ordinal i of the bodies.

    Exactly one of ``vectors`` (prepared, float32 ``[n, dim]``), ``index`` and ``text`` is set; ``squares`` are the
    squared norms of ``vectors``, where the metric wants them. ``terms``: how many terms the texts that no write has
    killed have together, kept up by kills; None while nobody counted (publisher only). ``recall``: what was measured of
    the graph (set by the builder's thread).
    """

    slots: UInt64
    died: UInt64
    same_rows: bool
    vectors: Float32 | None = None
    squares: Float32 | None = None
    index: VectorIndex | None = None
    order: Int64 | None = None
    owners: UInt64 | None = None
    dead: int = 0
    text: TextIndex | None = None
    terms: int | None = None
    recall: PartRecall | None = None
    _adoptions: int = 0
    _moved: tuple[int, Int64] | None = None
    _own: tuple[Int64, Mask] | None = None

    def __len__(self) -> int:
        return len(self.slots)

    def find(self, slots: UInt64) -> tuple[Int64, Mask]:
        """Ordinals of ``slots`` and whether each is here."""
        return find_sorted(self.slots, self.order, slots)

    @property
    def postings(self) -> Postings | None:
        """The postings of a text field; None where they are not known yet, and of a vector field."""
        return None if self.text is None else self.text.upto(len(self))

    @property
    def analyzer(self) -> Identity | None:
        """What the postings were made by; None where there are none."""
        return None if self.text is None else self.text.analyzer

    def count_terms(self) -> int | None:
        """``terms``, counted if nobody has; None where the postings are not known (publisher only)."""
        if self.terms is None and (postings := self.postings) is not None:
            self.terms = int(postings.lengths[self.died == ALIVE].sum(dtype=np.int64))
        return self.terms

    def take(self, ordinals: Int64) -> Float32:
        """Prepared vectors at ``ordinals``, float32 ``[len, dim]``."""
        if self.index is not None:
            return self.index.vectors(ordinals)
        assert self.vectors is not None
        return self.vectors[ordinals]

    def alive(self, seq: int) -> Mask | None:
        """Which slots live at ``seq``; None when all do."""
        if self.dead == 0:
            return None
        return self.died > np.uint64(seq)

    def owner_rows(self, ordinals: Int64) -> UInt64:
        """The newest row that has each vector; it may be newer than a reader's view."""
        return (self.slots if self.owners is None else self.owners)[ordinals]

    def kill(self, ordinals: Int64, seq: int) -> None:
        """Stamp slots dead as of ``seq`` (publisher only)."""
        self.died[ordinals] = np.uint64(seq)
        self.dead += len(ordinals)
        if self.terms is not None and len(ordinals) and (postings := self.postings) is not None:
            self.terms -= int(postings.lengths[ordinals].sum(dtype=np.int64))

    def adopt(self, ordinals: Int64, rows: UInt64) -> None:
        """Record new owners (publisher only). A reader of an older view walks back from the new row."""
        if self.owners is None:
            self.owners = np.array(self.slots, dtype=np.uint64)
        self.owners[ordinals] = rows
        self._adoptions += 1

    def own_bodies(self, segment: Segment) -> tuple[Int64, Mask]:
        """For each slot the ordinal of the body of its number in ``segment`` (the part's), and whether there is one."""
        if self._own is None:  # two threads may both look; they find the same
            self._own = segment.find(self.slots)
        return self._own

    def moved(self) -> Int64:
        """Ordinals of slots that a row other than that of their slot has; int64, ascending, not to be written to."""
        if self.owners is None:
            return np.zeros(0, dtype=np.int64)
        adoptions, kept = self._adoptions, self._moved  # counted before the look: a later adoption makes it old
        if kept is None or kept[0] != adoptions:
            kept = self._moved = (adoptions, np.flatnonzero(self.owners != self.slots))
        return kept[1]


@dataclass(slots=True)
class Segment:
    """Bodies and parts that share a row interval. ``rows`` is ascending; ``died`` is by ordinal.

    ``columns``: what filters ask, of the bodies whether dead or alive; None where there are none.
    ``expires`` (int64 milliseconds since 1970, by ordinal; NEVER: no end) is None where no body has an end. No
    living one expires before ``earliest``; kills leave it as it is, the sweep finds it anew. ``rebuilt``: by vector
    field the recall for which all was inserted anew; once is enough. ``damaged``: its files cannot be used, its rows
    were read from the truth, and it is not built again yet.
    """

    number: int
    state: str
    rows: UInt64
    seqs: UInt64
    ids: IdColumn
    died: UInt64
    parts: dict[int, Part]
    first_row: int
    end_row: int
    dead: int = 0
    disk_bytes: int = 0
    files: dict[str, tuple[int, str]] = field(default_factory=dict)
    columns: Columns | None = None
    expires: Int64 | None = None
    earliest: int = NEVER
    rebuilt: Mapping[int, float] = field(default_factory=dict)
    damaged: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    def find(self, rows: UInt64) -> tuple[Int64, Mask]:
        """Ordinals of ``rows`` and whether each is here."""
        return find_sorted(self.rows, None, rows)

    def alive(self, seq: int) -> Mask | None:
        """Which bodies live at ``seq``; None when all do."""
        if self.dead == 0:
            return None
        return self.died > np.uint64(seq)

    def has_of(self, field_id: int) -> bool:
        """Whether there are vectors of a field, in memory or in files."""
        return field_id in self.parts or any(_is_of(name, field_id) for name in self.files)

    def without(self, field_id: int) -> Segment:
        """The same bodies and stamps without the vectors of a field; this one stays, for older views."""
        files = {name: about for name, about in self.files.items() if not _is_of(name, field_id)}
        return replace(
            self,
            parts={f: part for f, part in self.parts.items() if f != field_id},
            disk_bytes=sum(size for size, _ in files.values()),
            files=files,
        )

    def kill(self, ordinals: Int64, seq: int) -> None:
        """Stamp bodies dead as of ``seq`` (publisher only)."""
        self.died[ordinals] = np.uint64(seq)
        self.dead += len(ordinals)

    def expired(self, now_ms: int, seq: int) -> Mask | None:
        """Which of the bodies that live at ``seq`` have expired; None when none has."""
        if self.expires is None:
            return None
        mask: Mask = (self.expires <= now_ms) & (self.died > np.uint64(seq))
        return mask if mask.any() else None

    def find_earliest(self) -> None:
        """Set ``earliest`` by what lives now (publisher only)."""
        if self.expires is not None:
            self.earliest = int(self.expires[self.died == ALIVE].min(initial=NEVER))

    def nbytes(self) -> tuple[int, int]:
        """(anonymous, mapped) bytes of everything here."""
        anonymous, mapped = self.ids.nbytes()
        if self.columns is not None:
            more = self.columns.nbytes()
            anonymous, mapped = anonymous + more[0], mapped + more[1]
        arrays: list[NDArray[Any]] = [self.rows, self.seqs, self.died]
        if self.expires is not None:
            arrays.append(self.expires)
        for part in self.parts.values():
            arrays += [
                a for a in (part.slots, part.died, part.order, part.owners, part.vectors, part.squares) if a is not None
            ]
            for held in (part.index, part.text):
                if held is not None:
                    more = held.nbytes()
                    anonymous, mapped = anonymous + more[0], mapped + more[1]
        for array in {id(a): a for a in arrays}.values():
            if _is_mapped(array):
                mapped += array.nbytes
            else:
                anonymous += array.nbytes
        return anonymous, mapped


def _first(ids: IdColumn, ordinals: Int64, most: int) -> Int64:
    """As IdColumn.first, by the ids themselves."""
    if len(ordinals) <= most:
        return ordinals
    pairs = heapq.nsmallest(most, zip(ids.take(ordinals), ordinals.tolist(), strict=True))
    return np.array([ordinal for _, ordinal in pairs], dtype=np.int64)


def _is_of(name: str, field_id: int) -> bool:
    """Whether a segment's file of that name is of a vector field."""
    return name.startswith(f"{field_id}.")


def _is_mapped(array: Any) -> bool:
    """Whether an array, or what it is a view of, is a map of a file."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


def find_sorted(values: UInt64, order: Int64 | None, wanted: UInt64) -> tuple[Int64, Mask]:
    """Positions of ``wanted`` in ``values`` (ascending, or sorted by ``order``), and whether each is there."""
    if len(values) == 0:
        return np.zeros(len(wanted), dtype=np.int64), np.zeros(len(wanted), dtype=np.bool_)
    at = np.searchsorted(values, wanted, sorter=order)
    inside = np.minimum(at, len(values) - 1)
    ordinals = inside.astype(np.int64) if order is None else order[inside]
    return ordinals, (at < len(values)) & (values[ordinals] == wanted)
