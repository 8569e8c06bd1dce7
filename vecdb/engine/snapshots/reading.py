"""Read archives, and believe them nothing: every part is checked against its checksum, its neighbours and the manifest.

What an archive holds is handed out as it comes, before the manifest was seen: whoever uses it must not show it to
anybody until the reading has ended well. A chain is a whole archive and those that go on from it, each from the one
before; what must be known of one to judge the next is a few bits a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vecdb.engine import catalog
from vecdb.engine.collection import Entry
from vecdb.engine.segment import UInt64
from vecdb.engine.snapshots.answers import Answers, Expected
from vecdb.engine.snapshots.rowset import RowSet
from vecdb.errors import DataLoss, FailedPrecondition
from vecdb.model.point import Float32
from vecdb.model.snapshot import SnapshotSummary
from vecdb.storage import archive, codec, summary
from vecdb.storage.codec import NO_ROW, Body
from vecdb.storage.members import MemberReader

_ORDER = ("living", "bodies", "queries", "vectors", "answers")
_OF_FIELDS = ("queries", "vectors", "answers")


@dataclass(slots=True)
class Archived:
    """A collection of an archive.

    While it is read it fills: ``living`` rows; ``holders``, by vector field the rows that have a vector, and ``slots``
    that have one stored, both with those of the archives before; and ``expected``, by field what a search of the
    sampled vectors should find.
    """

    entry: Entry
    aliases: tuple[str, ...]
    seq: int
    next_row: int
    first_row: int
    expiring: bool
    living: RowSet
    holders: dict[int, RowSet]
    slots: dict[int, RowSet]
    expected: dict[int, Expected]

    @property
    def number(self) -> int:
        """Its number where it was archived."""
        return self.entry.number

    def vectors(self) -> dict[str, int]:
        """How many vectors its living rows have, by field."""
        called = self.entry.fields.vectors
        return {name: self.holders[number].both(self.living).count() for name, number in called.items()}


@dataclass(frozen=True, slots=True)
class Bodies:
    """Some rows of a collection: as they are stored, and decoded."""

    collection: Archived
    rows: UInt64
    values: Sequence[bytes]
    bodies: Sequence[Body]


@dataclass(frozen=True, slots=True)
class Vectors:
    """Some vectors of a field, float32 ``[n, dim]``, and the rows they are stored under."""

    collection: Archived
    field: int
    rows: UInt64
    vectors: Float32


@dataclass(frozen=True, slots=True)
class Begun:
    """What the archive says that it holds; the rows come after it."""

    collections: Sequence[Archived]


Part = Begun | Bodies | Vectors


class Chain:
    """Reads archives one after another, each of which goes on from the one before."""

    def __init__(self) -> None:
        self.summaries: list[SnapshotSummary] = []
        self.collections: dict[int, Archived] = {}
        """Those of the archive being read, or read last."""

    def read(self, archive: Iterable[bytes]) -> Iterator[Part]:
        """The parts of the next archive. Raises DataLoss, FormatTooNew, FailedPrecondition."""
        members = MemberReader()
        reading: _Reading | None = None
        for chunk in archive:
            for name, data in members.feed(chunk):
                if reading is None:
                    reading = _Reading(self._begin(name, data), self.collections)
                    yield Begun(list(self.collections.values()))
                else:
                    yield from reading.part(name, data)
        members.finish()
        if reading is None:
            raise DataLoss("the archive is empty")
        self.summaries.append(reading.summary(members.nbytes))

    def _begin(self, name: str, data: bytes) -> Mapping[str, Any]:
        """Take up the header of the next archive, and return it."""
        if name != summary.HEADER:
            raise DataLoss("this is no archive of vecdb", expected=summary.HEADER, received=name)
        header = archive.opened_document(name, data)
        summary.refuse_newer(header)
        before = self.collections
        try:
            self._refuse_gap(header)
            found = [_archived(one, before) for one in header["collections"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataLoss(f"{name} does not say what the archive holds: {error!r}") from error
        self.collections = {one.number: one for one in found}
        return header

    def _refuse_gap(self, header: Mapping[str, Any]) -> None:
        """Raise FailedPrecondition when the archive does not go on from the one before."""
        expected, base = "a whole archive", header["base"]
        received = "a whole archive" if base is None else f"one that goes on from commit {base['commit']}"
        received += f" of database {header['database']}"
        if self.summaries:
            last = self.summaries[-1]
            expected = f"one that goes on from commit {last.commit} of database {last.database}"
            if base is not None and (header["database"], base["commit"]) == (last.database, last.commit):
                return
        elif base is None:
            return
        raise FailedPrecondition(
            "the archives do not follow each other",
            field=f"archives[{len(self.summaries)}]",
            expected=expected,
            received=received,
        )


def _archived(said: Mapping[str, Any], before: Mapping[int, Archived]) -> Archived:
    number, bound = int(said["number"]), int(said["next_row"])
    value = codec.encode_json(int(said["catalog_version"]), dict(said["catalog"]))
    entry = catalog.decode(number, value)
    base = before.get(number) if said["first_row"] else None
    if said["first_row"] and (base is None or base.next_row != said["first_row"] or bound < base.next_row):
        raise FailedPrecondition(
            f"the archive before does not hold what collection {said['name']!r} goes on from",
            expected=f"row {said['first_row']}",
            received="nothing" if base is None else f"row {base.next_row}",
        )
    fields = entry.shape.vectors()
    holders = {} if base is None else {n: rows.grown(bound) for n, rows in base.holders.items() if n in fields}
    slots = {} if base is None else {n: rows.grown(bound) for n, rows in base.slots.items() if n in fields}
    return Archived(
        entry,
        tuple(str(alias) for alias in said["aliases"]),
        int(said["seq"]),
        bound,
        int(said["first_row"]),
        bool(said["expiring"]),
        RowSet(bound) if base is None else base.living.grown(bound),
        {number: holders.get(number, RowSet(bound)) for number in fields},
        {number: slots.get(number, RowSet(bound)) for number in fields},
        {} if base is None else {n: expected for n, expected in base.expected.items() if n in fields},
    )


class _Reading:
    """One archive while its parts come by."""

    def __init__(self, header: Mapping[str, Any], collections: Mapping[int, Archived]) -> None:
        self._header = header
        self._collections = collections
        self._parts: list[list[Any]] = []
        self._waiting = list(collections.values())
        self._one: _Collected | None = None
        self._manifest: Mapping[str, Any] | None = None

    def part(self, name: str, data: bytes) -> Iterator[Part]:
        """What the next member holds, checked."""
        if self._manifest is not None:
            raise DataLoss(f"{name} comes after {summary.MANIFEST}, which is the last part")
        if name == summary.MANIFEST:
            self._end(archive.opened_document(name, data))
            return
        part = archive.PartName.of(name)
        if part is None or part.number != len(self._parts) + 1 or part.collection not in self._collections:
            raise DataLoss(f"part {len(self._parts) + 1} of the archive is missing", received=name)
        payload = archive.opened(name, data)
        self._parts.append([name, len(data), archive.digest(data)])
        while self._one is None or self._one.number != part.collection:
            self._next(name)
        yield from self._one.part(name, part, payload)

    def summary(self, nbytes: int) -> SnapshotSummary:
        """What it was, once it was read to its end. Raises DataLoss."""
        if self._manifest is None:
            raise DataLoss("the archive ends without its last part", expected=summary.MANIFEST, received="its end")
        return summary.summary(self._header, self._manifest, nbytes)

    def _next(self, name: str) -> None:
        """Go on to the next collection; ``name`` is the part that is not of this one any more."""
        if self._one is not None:
            self._one.end(name)
        if not self._waiting:
            raise DataLoss(f"{name} is out of order")
        self._one = _Collected(self._waiting.pop(0))

    def _end(self, manifest: Mapping[str, Any]) -> None:
        name = summary.MANIFEST
        if manifest.get("snapshot") != self._header["xxh3_128"]:
            raise DataLoss(f"{name} is of another archive than {summary.HEADER}")
        told = manifest.get("parts")
        if told != self._parts:
            expected = f"{len(told)} parts" if isinstance(told, list) else "a list of parts"
            raise DataLoss(f"{name} names other parts", expected=expected, received=f"{len(self._parts)}")
        while self._waiting:
            self._next(name)
        if self._one is not None:
            self._one.end(name)
        found = {number: one.living.count() for number, one in self._collections.items()}
        try:
            points = {int(one["number"]): int(one["points"]) for one in manifest["collections"]}
        except (KeyError, TypeError, ValueError) as error:
            raise DataLoss(f"{name} does not say what the archive holds: {error!r}") from error
        if points != found:
            raise DataLoss(f"{name} counts other points", expected=str(points), received=str(found))
        self._manifest = manifest


class _Collected:
    """The parts of one collection."""

    def __init__(self, collection: Archived) -> None:
        self.number = collection.number
        self._about = collection
        self._fields = collection.entry.shape.vectors()
        self._kind = _ORDER[0]
        self._row = collection.first_row  # the next body's row is at least this
        self._slots = dict.fromkeys(self._fields, collection.first_row)
        self._told: RowSet | None = None  # of an archive that goes on from another, which rows live
        self._used = {number: RowSet(collection.next_row) for number in self._fields}
        self._asked: dict[int, UInt64] = {}
        self._answers: dict[int, Answers] = {}

    def part(self, name: str, part: archive.PartName, payload: bytes) -> Iterator[Part]:
        """What a part holds."""
        field, of_field = part.field, part.kind in _OF_FIELDS
        if part.kind not in _ORDER or of_field != (field is not None) or (of_field and field not in self._fields):
            raise DataLoss(f"{name} is of no kind that there is")
        if _ORDER.index(part.kind) < _ORDER.index(self._kind):
            raise DataLoss(f"{name} is out of order")
        self._kind = part.kind
        if field is None:
            if part.kind == "living":
                self._told = RowSet.decode(name, payload, self._about.next_row)
            else:
                yield self._bodies(name, payload)
        elif part.kind == "answers":
            self._compare(name, field, payload)
        else:
            rows, vectors = archive.decode_vectors(name, payload, self._fields[field].dim)
            if part.kind == "vectors":
                yield self._vectors(name, field, rows, vectors)
            else:
                self._asked[field] = rows
                self._answers[field] = Answers(self._fields[field].metric, vectors)

    def end(self, name: str) -> None:
        """Judge it all; ``name`` is the part that comes after it."""
        about = self._about
        if about.first_row and self._told is None:
            raise DataLoss(f"the rows that live are missing before {name}")
        if self._told is not None:
            if (lost := self._told.without(about.living).first()) is not None:
                raise DataLoss(f"row {lost} of collection {about.entry.name!r} is missing before {name}")
            about.living = self._told
        for number, used in self._used.items():
            if (slot := used.without(about.slots[number]).first()) is not None:
                raise DataLoss(f"vector {slot} of field {number} of {about.entry.name!r} is missing before {name}")
        if self._answers:
            raise DataLoss(f"the answers of collection {about.entry.name!r} are missing before {name}")

    def _bodies(self, name: str, payload: bytes) -> Bodies:
        rows, values = archive.decode_bodies(name, payload)
        self._row = self._ascending(name, rows, self._row)
        try:
            bodies = [codec.decode_body(value) for value in values]
        except DataLoss as error:
            raise DataLoss(f"{name} is damaged: {error}") from error
        self._about.living.add(rows)
        held: dict[int, list[int]] = {number: [] for number in self._fields}
        slots: dict[int, list[int]] = {number: [] for number in self._fields}
        for row, body in zip(rows.tolist(), bodies, strict=True):
            for number, slot in body.slots.items():
                if number in held:
                    held[number].append(row)
                    slots[number].append(row if slot == NO_ROW else slot)
        for number in self._fields:
            self._about.holders[number].add(np.array(held[number], np.uint64))
            used = np.array(slots[number], np.uint64)
            if len(used) and int(used.max()) > int(rows[-1]):
                raise DataLoss(f"{name} tells of vectors of rows to come")
            self._used[number].add(used)
        return Bodies(self._about, rows, values, bodies)

    def _vectors(self, name: str, number: int, rows: UInt64, vectors: Float32) -> Vectors:
        self._slots[number] = self._ascending(name, rows, self._slots[number])
        if not self._used[number].has(rows).all():
            raise DataLoss(f"{name} holds vectors that no point has")
        self._about.slots[number].add(rows)
        if number not in self._answers:
            raise DataLoss(f"the queries are missing before {name}")
        self._answers[number].add(rows, vectors)
        return Vectors(self._about, number, rows, vectors)

    def _compare(self, name: str, number: int, payload: bytes) -> None:
        rows, scores = archive.decode_answers(name, payload)
        found = self._answers.pop(number, None)
        if found is None or not found.alike(rows, scores):
            raise DataLoss(f"{name} tells of other nearest neighbours than the vectors have")
        self._about.expected[number] = found.expected(self._asked[number]).before(self._about.expected.get(number))

    def _ascending(self, name: str, rows: UInt64, least: int) -> int:
        """The row after the last of ``rows``, which ascend from ``least`` on. Raises DataLoss."""
        if not len(rows):
            raise DataLoss(f"{name} is empty")
        if int(rows[0]) < least or int(rows[-1]) >= self._about.next_row or np.any(rows[1:] <= rows[:-1]):
            raise DataLoss(
                f"{name} holds rows in no order", expected=f"rows {least}..{self._about.next_row - 1}, ascending"
            )
        return int(rows[-1]) + 1
