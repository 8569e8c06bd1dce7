"""The values at a key, by segment: what points are ordered, counted and grouped by.

From the segment's columns; what those do not know, or where there are none, from the bodies. Bodies never change, so
what is made of them is kept. Liveness, scope and filter are not in it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from vecdb.engine.kept import Kept
from vecdb.engine.lookup import Lookup
from vecdb.engine.segment import Segment
from vecdb.index.columns.contract import Columns, Entries
from vecdb.index.columns.contract import Values as InOrder
from vecdb.index.columns.selector import Members
from vecdb.index.columns.values import SortedValues
from vecdb.model.filter import Attribute, Key, Path, Scalar
from vecdb.model.filter.matching import scalars_at
from vecdb.model.order import NUMBER, OrderBy, Place, rank
from vecdb.model.point import Int64
from vecdb.storage import codec

READ_ROWS = 1024
ID_BITS = 32  # of a key in an Order; a segment has fewer rows than 2^32
NARROW_IDS = 64  # bytes; longer ids are sorted by Python, which takes no room for what they lack


@dataclass(frozen=True, slots=True)
class Held:
    """The scalars at a key of one segment's bodies.

    A pair of ``ordinals`` (int64, ascending) and ``codes`` (int64) says that a body has ``values[code]``, each once.
    ``values`` stand in the order of ``rank``; 1 and 1.0 are two of them. ``size``: how many bodies there are.
    """

    ordinals: Int64
    codes: Int64
    values: InOrder
    size: int
    _ranks: list[Int64] = field(default_factory=list)

    def first(self, size: int) -> Held:
        """The same of the first bodies: those that an older view has."""
        if size == self.size:
            return self
        stop = int(np.searchsorted(self.ordinals, size))
        return Held(self.ordinals[:stop], self.codes[:stop], self.values, size, self._ranks)

    @property
    def ranks(self) -> Int64:
        """By code: equal numbers have equal ranks, from 0; one entry more, for how many ranks there are."""
        if not self._ranks:
            fresh = np.ones(len(self.values) + 1, dtype=np.int64)
            first, stop = (bisect_left(self.values, kind, key=_kind) for kind in (NUMBER, NUMBER + 1))
            numbers = self.values.take(np.arange(first, stop))
            fresh[first + 1 : stop] = [a != b for a, b in pairwise(numbers)]  # exact in Python, 64 bits and doubles
            self._ranks.append(np.cumsum(fresh) - 1)
        return self._ranks[0]

    def codes_of(self, value: Scalar) -> range:
        """The codes of the values that equal ``value`` (1 and 1.0 do)."""
        if isinstance(self.values, SortedValues):
            found = self.values.members(Members((value,)))
            return range(*found[0]) if found else range(0)
        first = self.place_of(value)
        return range(first, bisect_right(self.values, rank(value), lo=first, key=rank))

    def place_of(self, value: Scalar) -> int:
        """How many values come before ``value``."""
        return bisect_left(self.values, rank(value), key=rank)

    def of(self, ordinals: Int64) -> tuple[Int64, Int64]:
        """The values of some bodies: pairs of a position in ``ordinals`` and a code."""
        starts = np.searchsorted(self.ordinals, ordinals, side="left")
        counts = np.searchsorted(self.ordinals, ordinals, side="right") - starts
        ends = np.cumsum(counts)
        places = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(starts - (ends - counts), counts)
        return np.repeat(np.arange(len(ordinals)), counts), self.codes[places]

    def bodies(self, chosen: Any = None) -> Any:
        """Which bodies have a value, or one of those ``chosen`` (bool by code): bool by ordinal."""
        out = np.zeros(self.size, dtype=np.bool_)
        out[self.ordinals if chosen is None else self.ordinals[chosen[self.codes]]] = True
        return out


@dataclass(frozen=True, slots=True)
class IdOrder:
    """The bodies of a segment in the order of their ids: ``order`` (ordinals), and its inverse ``places``."""

    order: NDArray[np.int32]
    places: NDArray[np.int32]
    ids: _IdsInOrder

    def up_to(self, point_id: str) -> int:
        """How many ids are not after ``point_id``."""
        return bisect_right(self.ids, point_id)


@dataclass(frozen=True, slots=True)
class Order:
    """The bodies of a segment in an order by value, then id: ``ordinals``, and what they were sorted by.

    ``keys`` (int64, ascending) are the place of a value, with that of the id in the lower bits; bodies without a value
    have the last place.
    """

    by: OrderBy
    held: Held
    ids: IdOrder
    ordinals: NDArray[np.int32]
    keys: Int64

    def after(self, place: Place) -> int:
        """Where in ``ordinals`` that begins which comes after ``place``, of a point of any segment."""
        ranks = self.held.ranks
        last = int(ranks[-1])
        if not place.present:
            at, equal = last, True
        else:
            equal = len(self.held.codes_of(place.value)) > 0
            at = int(ranks[self.held.place_of(place.value)])
            if self.by.descending:
                at = last - 1 - at if equal else last - at
        key = (at << ID_BITS) + (self.ids.up_to(place.id) if equal else 0)
        return int(np.searchsorted(self.keys, key))

    def places(self, at: Int64) -> list[Place]:
        """The places of the points at positions in ``ordinals``."""
        last = int(self.held.ranks[-1])
        ranks = self.keys[at] >> ID_BITS
        missing = ranks == last
        if self.by.descending:
            ranks = last - 1 - ranks
        codes = np.searchsorted(self.held.ranks, np.unique(ranks[~missing]))
        value_of = dict(zip(self.held.ranks[codes].tolist(), self.held.values.take(codes), strict=True))
        ids = self.ids.ids.strings(self.keys[at] & ((1 << ID_BITS) - 1))
        return [
            Place(not none, None if none else value_of[found], point_id)
            for none, found, point_id in zip(missing.tolist(), ranks.tolist(), ids, strict=True)
        ]


class Values:
    """Held values, orders of ids and orders by value of one collection, kept so that no page sorts again.

    Thread rule: any thread may use it; two that want the same at once both make it.
    """

    def __init__(self, lookup: Lookup, kept: Kept) -> None:
        self._lookup = lookup
        self._kept = kept
        self._owner = kept.owner()

    def forget(self, segments: Collection[int]) -> None:
        """Let go of what was kept of segments, by their numbers, that are gone."""
        self._kept.forget(self._owner, segments)

    def at(self, segment: Segment, key: Key) -> Held:
        """The values at ``key`` of a segment's bodies."""
        if key is Attribute.ID:
            ids = self.ids(segment)
            return Held(np.arange(len(segment)), ids.places.astype(np.int64), ids.ids, len(segment))
        if key is Attribute.VERSION:
            versions, codes = np.unique(segment.seqs, return_inverse=True)
            return Held(np.arange(len(segment)), codes.astype(np.int64), _List(versions.tolist()), len(segment))
        assert isinstance(key, tuple)
        about = (self._owner, segment.number, "values", key)
        known: tuple[Held, _Read] | None = self._kept.get(*about)
        if known is not None and known[0].size >= len(segment):
            return known[0].first(len(segment))
        read = _Read()
        if segment.columns is not None:
            held = self._from_columns(segment, segment.columns.entries(key), key)
        else:
            if known is not None:
                read = known[1].copy()  # of nothing, if there still were columns then
            self._read(segment, key, np.arange(read.bodies, len(segment)), read.ordinals, read.scalars)
            read.bodies = len(segment)
            held = Held(np.array(read.ordinals, dtype=np.int64), *_coded(read.scalars), len(segment))
        if segment.state != "growing":  # no more rows come to join these
            read = _Read()
        self._kept.put(held.ordinals.nbytes + held.codes.nbytes, (held, read), *about)
        return held

    def some(self, segment: Segment, path: Path, ordinals: Int64) -> tuple[Int64, Int64, list[Scalar]]:
        """The values at ``path`` of a few bodies: pairs of a position in ``ordinals`` and a place in the values told.

        Reads no body but those of ``ordinals`` that columns do not know, all of them where the segment still grows.
        """
        left = np.arange(len(ordinals))
        positions, which, scalars = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), list[Scalar]()
        if segment.columns is not None and segment.state != "growing":
            entries = self._entries(segment, segment.columns, path)
            held = Held(entries.ordinals, entries.codes, entries.values, len(segment))
            unknown = np.isin(ordinals, entries.unknown)
            known, left = np.flatnonzero(~unknown), np.flatnonzero(unknown)
            at, codes = held.of(ordinals[known])
            distinct, which = np.unique(codes, return_inverse=True)
            positions, scalars = known[at], entries.values.take(distinct)
        if not len(left):
            return positions, which, scalars
        bodies, places = np.unique(ordinals[left], return_inverse=True)
        owners: list[int] = []
        read: list[Any] = []
        self._read(segment, path, bodies, owners, read)
        held = Held(np.array(owners, dtype=np.int64), np.arange(len(read)) + len(scalars), _List(read), len(segment))
        at, codes = held.of(bodies[places])
        return np.concatenate([positions, left[at]]), np.concatenate([which, codes]), [*scalars, *read]

    def _entries(self, segment: Segment, columns: Columns, path: Path) -> Entries:
        """The entries of a segment that does not grow, kept."""
        about = (self._owner, segment.number, "entries", path)
        known: Entries | None = self._kept.get(*about)
        if known is None:
            known = columns.entries(path)
            self._kept.put(known.ordinals.nbytes + known.codes.nbytes + known.unknown.nbytes, known, *about)
        return known

    def _from_columns(self, segment: Segment, entries: Entries, path: Path) -> Held:
        """What columns know; what they do not is read from the bodies."""
        if not len(entries.unknown):
            return Held(entries.ordinals, entries.codes, entries.values, len(segment))
        ordinals: list[int] = []
        scalars: list[Any] = []
        self._read(segment, path, entries.unknown, ordinals, scalars)
        known = ~np.isin(entries.ordinals, entries.unknown)
        codes, values = _coded([*entries.values.take(np.arange(len(entries.values))), *scalars])
        old, new = codes[: len(entries.values)], codes[len(entries.values) :]
        at = np.concatenate([entries.ordinals[known], np.array(ordinals, dtype=np.int64)])
        order = np.argsort(at, kind="stable")
        return Held(at[order], np.concatenate([old[entries.codes[known]], new])[order], values, len(segment))

    def ids(self, segment: Segment) -> IdOrder:
        """The order of a segment's ids."""
        about = (self._owner, segment.number, "ids")
        known: IdOrder | None = self._kept.get(*about)
        if known is None or len(known.order) != len(segment):
            order = _sorted_ids(segment).astype(np.int32)
            places = np.empty_like(order)
            places[order] = np.arange(len(order), dtype=np.int32)
            known = IdOrder(order, places, _IdsInOrder(segment, order))
            self._kept.put(order.nbytes + places.nbytes, known, *about)
        return known

    def order(self, segment: Segment, by: OrderBy) -> Order:
        """A segment's bodies in an order."""
        about = (self._owner, segment.number, "order", by.at, by.descending)
        known: Order | None = self._kept.get(*about)
        if known is None or len(known.ordinals) != len(segment):
            held, ids = self.at(segment, by.at), self.ids(segment)
            keys = (_firsts(held, by.descending) << ID_BITS) | ids.places
            ordinals = np.argsort(keys)
            known = Order(by, held, ids, ordinals.astype(np.int32), keys[ordinals])
            self._kept.put(known.ordinals.nbytes + known.keys.nbytes, known, *about)
        return known

    def _read(self, segment: Segment, path: Path, bodies: Int64, ordinals: list[int], scalars: list[Any]) -> None:
        """Append the scalars of ``bodies`` (ordinals), each once for a body."""
        for first in range(0, len(bodies), READ_ROWS):
            some = bodies[first : first + READ_ROWS]
            for ordinal, raw in zip(some.tolist(), self._lookup.raw_bodies(segment.rows[some].tolist()), strict=True):
                payload = None if raw is None else codec.decode_body(raw).payload
                if payload is not None:
                    found = {(type(s), s): s for s in scalars_at(orjson.loads(payload), path)}
                    ordinals += [ordinal] * len(found)
                    scalars += found.values()


@dataclass(slots=True)
class _Read:
    """The scalars that were read of the first ``bodies`` of a segment that grows, to be gone on with."""

    bodies: int = 0
    ordinals: list[int] = field(default_factory=list)
    scalars: list[Any] = field(default_factory=list)

    def copy(self) -> _Read:
        return _Read(self.bodies, list(self.ordinals), list(self.scalars))


class _IdsInOrder:
    """The ids of a segment in their order, each read when asked for."""

    def __init__(self, segment: Segment, order: NDArray[np.int32]) -> None:
        self._segment = segment
        self._order = order

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, at: int) -> str:
        return self._segment.ids.take(self._order[at : at + 1].astype(np.int64))[0]

    def take(self, places: Int64) -> list[Scalar]:
        return [*self.strings(places)]

    def strings(self, places: Int64) -> list[str]:
        return self._segment.ids.take(self._order[places].astype(np.int64))


class _List:
    """Values in a list."""

    def __init__(self, values: list[Any]) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, code: int) -> Scalar:
        value: Scalar = self._values[code]
        return value

    def take(self, codes: Int64) -> list[Scalar]:
        return [self._values[code] for code in codes.tolist()]


def _coded(scalars: list[Any]) -> tuple[Int64, InOrder]:
    """The code of each scalar, and the values that they are codes of."""
    distinct = {(type(s), s): s for s in scalars}
    values = sorted(distinct.values(), key=lambda value: (rank(value), isinstance(value, float)))
    code_of = {(type(value), value): code for code, value in enumerate(values)}
    codes = np.fromiter((code_of[type(s), s] for s in scalars), dtype=np.int64, count=len(scalars))
    return codes, _List(values)


def _kind(value: Scalar) -> int:
    return rank(value)[0]


def _firsts(held: Held, descending: bool) -> Int64:
    """By ordinal, the place of the value that comes first in a direction; one past the last where there is none."""
    last = int(held.ranks[-1])
    places = held.ranks[held.codes]
    if descending:
        places = last - 1 - places
    out = np.full(held.size, last, dtype=np.int64)
    np.minimum.at(out, held.ordinals, places)
    return out


def _sorted_ids(segment: Segment) -> Int64:
    """The ordinals of a segment in the order of id bytes."""
    ids = segment.ids.take(np.arange(len(segment)))
    encoded = [point_id.encode() for point_id in ids]
    if max(map(len, encoded), default=0) > NARROW_IDS:
        return np.array(sorted(range(len(ids)), key=encoded.__getitem__), dtype=np.int64)
    # Sorted without the GIL. numpy takes a zero byte at the end for padding, so lengths decide among equals.
    lengths = np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded))
    return np.lexsort((lengths, np.array(encoded, dtype=np.bytes_)))
