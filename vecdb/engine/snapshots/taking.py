"""Write an archive: everything is read from one kept state, and nothing is held but the part that is being filled.

For each collection: which rows live, from the pointers; their bodies; then the vectors that these use, which are those
of living rows and those that living rows have adopted of dead ones. What the archive should hold is counted before it
is written, so that a damaged truth makes no archive.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from vecdb.engine import catalog
from vecdb.engine.collection import Entry
from vecdb.engine.segment import UInt64
from vecdb.engine.snapshots.answers import QUERIES, Answers
from vecdb.engine.snapshots.rowset import RowSet
from vecdb.errors import DataLoss
from vecdb.model.snapshot import SnapshotBase
from vecdb.model.version import VERSION
from vecdb.storage import archive, codec, keys, summary
from vecdb.storage.codec import NO_ROW, Head
from vecdb.storage.kv import Reader, portions
from vecdb.storage.members import END, written

PART_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """A collection as it is archived: what the catalog and its head say of it, and from which row on."""

    entry: Entry
    head: Head
    aliases: tuple[str, ...]
    first_row: int  # what comes before is in the base


@dataclass(frozen=True, slots=True)
class Origin:
    """Where and when: identity and commit of the database, milliseconds since 1970, and the archive to go on from."""

    database: str
    commit: int
    created_at_ms: int
    base: SnapshotBase | None


def archived(state: Reader, origin: Origin, sources: Sequence[Source], check: Callable[[], None]) -> Iterator[bytes]:
    """The archive, in pieces of at most a part's size. ``check`` is called now and then, and may raise.

    Raises DataLoss when the rows are not what the pointers tell.
    """
    return _Archive(state, origin, check).pieces(sources)


@dataclass(slots=True)
class _Filling:
    """A part that is being filled."""

    rows: list[UInt64] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)

    def add(self, rows: UInt64, values: list[bytes]) -> int:
        """Put more in; returns its bytes."""
        if values:
            self.rows.append(rows)
            self.values += values
        return rows.nbytes + sum(map(len, values))

    def take(self) -> tuple[UInt64, list[bytes]]:
        """What is in it, and begin another."""
        rows, values = np.concatenate(self.rows), self.values
        self.rows, self.values = [], []
        return rows, values


class _Archive:
    def __init__(self, state: Reader, origin: Origin, check: Callable[[], None]) -> None:
        self._state = state
        self._origin = origin
        self._check = check
        self._mtime_s = origin.created_at_ms // 1000
        self._parts: list[tuple[str, int, str]] = []

    def pieces(self, sources: Sequence[Source]) -> Iterator[bytes]:
        """The whole archive."""
        header = archive.sealed_document(self._header(sources))
        yield from written(summary.HEADER, header, self._mtime_s)
        counted: list[dict[str, Any]] = []
        for source in sources:
            counted.append((yield from _Collected(self, source).pieces()))
        manifest = {"snapshot": archive.seal(header), "parts": self._parts, "collections": counted}
        yield from written(summary.MANIFEST, archive.sealed_document(manifest), self._mtime_s)
        yield END

    def part(self, number: int, kind: str, field: int | None, payload: bytes) -> Iterator[bytes]:
        """A part, noted for the manifest."""
        name = str(archive.PartName(number, len(self._parts) + 1, kind, field))
        data = archive.sealed(payload)
        self._parts.append((name, len(data), archive.digest(data)))
        yield from written(name, data, self._mtime_s)

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[list[bytes], list[bytes]]]:
        """Keys and values of the kept state, some at a time."""
        for some in portions(self._state.scan(start, end)):
            self._check()
            yield some

    def values(self, wanted: Sequence[bytes]) -> list[bytes | None]:
        """The values of some keys."""
        return self._state.get_many(wanted)

    def _header(self, sources: Sequence[Source]) -> dict[str, Any]:
        base = self._origin.base
        return {
            "format": summary.FORMAT,
            "creator": f"vecdb {VERSION}",
            "database": self._origin.database,
            "commit": self._origin.commit,
            "created_at_ms": self._origin.created_at_ms,
            "base": None if base is None else {"commit": base.commit},
            "collections": [_description(source) for source in sources],
        }


def _description(source: Source) -> dict[str, Any]:
    entry, head = source.entry, source.head
    value = catalog.encode(entry)
    return {
        "name": entry.name,
        "number": entry.number,
        "aliases": list(source.aliases),
        "seq": head.seq,
        "next_row": head.next_row,
        "first_row": source.first_row,
        "expiring": head.expiring,
        "catalog_version": value[0],
        "catalog": orjson.loads(value[1:]),
    }


class _Collected:
    """What is archived of one collection."""

    def __init__(self, into: _Archive, source: Source) -> None:
        self._into = into
        self._number = source.entry.number
        self._name = source.entry.name
        self._first, self._end = source.first_row, source.head.next_row
        self._fields = source.entry.shape.vectors()
        self._called: Mapping[int, str] = {n: name for name, n in source.entry.fields.vectors.items()}
        self._living = RowSet(self._end)
        self._used = {number: RowSet(self._end) for number in self._fields}

    def pieces(self) -> Generator[bytes, None, dict[str, Any]]:
        """Its parts; returns its entry in the manifest."""
        self._find_living()
        if self._first:
            yield from self._part("living", self._living.encode())
        yield from self._bodies()
        answers: dict[int, Answers] = {}
        for number in self._fields:
            rows, values = self._sampled(number)
            if len(rows):
                payload = archive.encode_vectors(rows, values)
                vectors = archive.decode_vectors("", payload, self._fields[number].dim)[1]
                answers[number] = Answers(self._fields[number].metric, vectors)
                yield from self._part("queries", payload, number)
        yield from self._vectors(answers)
        for number, found in answers.items():
            yield from self._part("answers", archive.encode_answers(found.rows, found.scores), number)
        return {
            "number": self._number,
            "points": self._living.count(),
            "vectors": {self._called[n]: used.since(self._first).count() for n, used in self._used.items()},
        }

    def _find_living(self) -> None:
        start, end = keys.pointer_prefix(self._number), keys.pointer_prefix(self._number + 1)
        for _, values in self._into.scan(start, end):
            rows = codec.living_rows(values)
            if int(rows.max(initial=0)) >= self._end and len(rows):
                raise self._damaged(f"a pointer tells of row {int(rows.max())}, beyond the counter {self._end}")
            self._living.add(rows)

    def _bodies(self) -> Iterator[bytes]:
        filling, held, found = _Filling(), 0, 0
        start, end = keys.body(self._number, self._first), keys.body(self._number, self._end)
        for some, values in self._into.scan(start, end):
            rows = keys.body_rows(some)
            lives = self._living.has(rows)
            taken = [values[i] for i in np.flatnonzero(lives).tolist()]
            self._note_slots(rows[lives], taken)
            found += len(taken)
            held += filling.add(rows[lives], taken)
            if held >= PART_BYTES:
                yield from self._part("bodies", archive.encode_bodies(*filling.take()))
                held = 0
        if filling.values:
            yield from self._part("bodies", archive.encode_bodies(*filling.take()))
        if found != (wanted := self._living.since(self._first).count()):
            raise self._damaged(f"{wanted - found} of {wanted} points have no body")

    def _note_slots(self, rows: UInt64, values: Sequence[bytes]) -> None:
        slots: dict[int, list[int]] = {number: [] for number in self._fields}
        for row, value in zip(rows.tolist(), values, strict=True):
            for number, slot in codec.body_slots(value):
                if number in slots:  # not that of a text, nor of a field that was dropped
                    slots[number].append(row if slot == NO_ROW else slot)
        for number, some in slots.items():
            self._used[number].add(np.array(some, np.uint64))

    def _sampled(self, number: int) -> tuple[UInt64, list[bytes]]:
        """Vectors of a field that are asked for: some of those in the archive."""
        rows = self._used[number].since(self._first).sample(QUERIES, seed=number)
        found = self._into.values([keys.vector(self._number, row, number) for row in rows.tolist()])
        return rows, [self._fitting(number, value) for value in found]

    def _fitting(self, number: int, value: bytes | None) -> bytes:
        wanted = 4 * self._fields[number].dim
        if value is None or len(value) != wanted:
            has = "none" if value is None else f"one of {len(value)} bytes"
            raise self._damaged(f"a point should have a vector of {wanted} bytes in field {number} and has {has}")
        return value

    def _vectors(self, answers: Mapping[int, Answers]) -> Iterator[bytes]:
        filling = {number: _Filling() for number in self._fields}
        found = dict.fromkeys(self._fields, 0)
        held = 0
        start, end = keys.vector_from(self._number, self._first), keys.vector_from(self._number, self._end)
        for some, values in self._into.scan(start, end):
            rows, numbers = keys.vector_rows_fields(some)
            for number, part in filling.items():
                chosen = np.flatnonzero(numbers == number)
                chosen = chosen[self._used[number].has(rows[chosen])]
                taken = [self._fitting(number, values[i]) for i in chosen.tolist()]
                found[number] += len(taken)
                held += part.add(rows[chosen], taken)
            if held >= PART_BYTES:
                yield from self._flush(filling, answers)
                held = 0
        yield from self._flush(filling, answers)
        for number, used in self._used.items():
            if found[number] != (wanted := used.since(self._first).count()):
                raise self._damaged(f"{wanted - found[number]} of {wanted} vectors of field {number} are missing")

    def _flush(self, filling: Mapping[int, _Filling], answers: Mapping[int, Answers]) -> Iterator[bytes]:
        for number, part in filling.items():
            if part.values:
                rows, values = part.take()
                payload = archive.encode_vectors(rows, values)
                answers[number].add(rows, archive.decode_vectors("", payload, self._fields[number].dim)[1])
                yield from self._part("vectors", payload, number)

    def _part(self, kind: str, payload: bytes, field: int | None = None) -> Iterator[bytes]:
        return self._into.part(self._number, kind, field, payload)

    def _damaged(self, what: str) -> DataLoss:
        return DataLoss(f"collection {self._name!r} cannot be archived, for it is damaged: {what}")
