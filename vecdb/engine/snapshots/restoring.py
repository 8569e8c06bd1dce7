"""Make collections of archives: rows first, under numbers that stand for nothing yet, then all names at once.

    mark       fresh numbers, written as dropped ones (``x`` keys), so that a crash leaves what the next open purges
    rows       bodies with their pointers, vectors, in slices of at most 64 rows, never through the committer's queue;
               row numbers are those of the archive
    prune      of a chain: what the last archive says is dead goes, and the vectors that no point uses any more
    publish    between commits, one batch: catalog entries, heads, aliases, minus the ``x`` keys; then one sync

No manifest is written: rows without one have no sealed segment, and are indexed as after any load. Nothing needs the
predecessors that bodies name: a reader walks back only from rows that its view has not reached, and no view is older
than these rows. What went wrong before the batch is purged at once, or at the next open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from vecdb.engine import catalog
from vecdb.engine.collection import Entry
from vecdb.engine.snapshots.answers import Answers
from vecdb.engine.snapshots.reading import Archived, Begun, Bodies, Chain, Vectors
from vecdb.engine.snapshots.recall import stored_vectors
from vecdb.engine.snapshots.rowset import RowSet
from vecdb.errors import CollectionNotFound, FailedPrecondition, InvalidArgument
from vecdb.failpoint import hit
from vecdb.model.feed import FeedToken
from vecdb.model.schema import named
from vecdb.storage import codec, keys
from vecdb.storage.codec import NO_ROW, Body, Head
from vecdb.storage.kv import KV, Batch, portions, write_patiently

SLICE_ROWS = 64
SLICE_BYTES = 1 << 20


class Naming(NamedTuple):
    """What a collection will be called."""

    name: str
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Restored:
    """A collection whose rows are there: its entry under its new name and number, and what it was."""

    entry: Entry
    head: Head
    naming: Naming
    was: Archived
    token: str

    def fill(self, batch: Batch, commit: int) -> None:
        """Put it in the catalog."""
        number = self.entry.number
        batch.put(keys.catalog(number), catalog.encode(self.entry))
        batch.put(keys.head(number), codec.encode_head(replace(self.head, commit=commit)))
        for alias in self.naming.aliases:
            batch.put(keys.alias(alias), codec.encode_alias(number))
        batch.delete(keys.dropped(number))


class Restoring:
    """Reads archives into a store. ``claim`` gives fresh numbers, marked as dropped ones, durably.

    ``collections``: names in the archives to take, None: all; one that was renamed between two of them is taken by both
    names. ``rename``: by its name in the last archive, another. ``check`` is called now and then, and may raise. With
    ``dry_run`` all is read and nothing is written.
    """

    def __init__(
        self,
        kv: KV,
        claim: Callable[[int], list[int]],
        collections: Iterable[str] | None,
        rename: Mapping[str, str],
        check: Callable[[], None],
        dry_run: bool,
    ) -> None:
        self._kv = kv
        self._claim = claim
        self._wanted = None if collections is None else list(collections)
        self._rename = rename
        self._check = check
        self._dry_run = dry_run
        self._chain = Chain()
        self._numbers: dict[int, int] = {}  # by number in the archives
        self._called: set[tuple[str, int]] = set()  # names that were wanted and met, and whose
        self.claimed: list[int] = []

    def read(self, archive: Iterable[bytes], last: Callable[[Sequence[Naming]], None] | None) -> None:
        """Write the rows of the next archive.

        ``last``: it is known to be the last. It is told what collections will be called, before anything is written,
        and may refuse.
        """
        for part in self._chain.read(archive):
            self._check()
            if isinstance(part, Begun):
                self._called.update((one.entry.name, one.number) for one in self._chosen())
                if last is not None:
                    self._refuse_missing()
                    last([self._naming(one) for one in self._chosen()])
                self._begin()
            elif not self._dry_run and (number := self._numbers.get(part.collection.number)) is not None:
                self._write(number, part)

    def finish(self) -> list[Restored]:
        """What is to be published: what the last archive holds. Raises CollectionNotFound for a name it has not."""
        if not self._chain.summaries:
            raise InvalidArgument("nothing to restore", field="archives", expected="an archive", received="none")
        self._refuse_missing()
        chosen = self._chosen()
        if not self._dry_run:
            hit("restore.before_prune")
            for one in chosen:
                if one.first_row:
                    _Pruning(self._kv, self._numbers[one.number], one, self._check).run()
        return [self._restored(one) for one in chosen]

    def _refuse_missing(self) -> None:
        """Raise CollectionNotFound for a name of no collection that is taken, now or in an archive before."""
        chosen = {one.entry.name: one for one in self._chosen()}
        taken = {one.number for one in chosen.values()}
        called = {name for name, number in self._called if number in taken}
        for field, names, there in (
            ("collections", self._wanted or (), called),
            ("rename", self._rename, chosen.keys()),
        ):
            for name in names:
                if name not in there:
                    raise CollectionNotFound(
                        "the archive has no such collection, or it is not taken",
                        field=field,
                        expected=named(chosen),
                        received=repr(name),
                    )

    def _begin(self) -> None:
        """Give the collections of an archive numbers: a fresh one where it holds all of it."""
        chosen = self._chosen()
        for one in chosen:
            if one.first_row and one.number not in self._numbers:
                raise FailedPrecondition(
                    "the archive goes on from a collection that had another name; ask for it by both",
                    field="collections",
                    received=repr(one.entry.name),
                )
        fresh = [one.number for one in chosen if not one.first_row]
        numbers = [0] * len(fresh)
        if fresh and not self._dry_run:
            numbers = self._claim(len(fresh))
            self.claimed += numbers
        there = {one.number for one in chosen}
        self._numbers = {was: number for was, number in self._numbers.items() if was in there}
        self._numbers.update(zip(fresh, numbers, strict=True))

    def _chosen(self) -> list[Archived]:
        """What is wanted of the archive read last."""
        there = self._chain.collections.values()
        return [one for one in there if self._wanted is None or one.entry.name in self._wanted]

    def _naming(self, one: Archived) -> Naming:
        was = one.entry.name
        return Naming(self._rename.get(was, was), () if was in self._rename else one.aliases)

    def _restored(self, one: Archived) -> Restored:
        naming, shape = self._naming(one), replace(one.entry.shape, dropping=())
        entry = replace(one.entry, number=self._numbers[one.number], name=naming.name, shape=shape)
        head = Head(one.seq, one.next_row, 0, one.living.count(), one.expiring)
        token = str(FeedToken(self._chain.summaries[-1].database, one.number, one.seq))
        return Restored(entry, head, naming, one, token)

    def _write(self, number: int, part: Bodies | Vectors) -> None:
        hit("restore.before_part")
        pairs = _bodies(number, part) if isinstance(part, Bodies) else _vectors(number, part)
        for keys_, values in portions(pairs, SLICE_ROWS, SLICE_BYTES):
            write_patiently(self._kv, lambda k=keys_, v=values: _puts(self._kv, k, v))  # type: ignore[misc]
            hit("restore.after_slice")


def _bodies(number: int, part: Bodies) -> Iterator[tuple[bytes, bytes]]:
    for row, value, body in zip(part.rows.tolist(), part.values, part.bodies, strict=True):
        yield keys.body(number, row), value
        yield keys.pointer(number, body.id), _pointer(row, body)


def _vectors(number: int, part: Vectors) -> Iterator[tuple[bytes, bytes]]:
    size = 4 * part.vectors.shape[1]
    data = part.vectors.astype("<f4", copy=False).tobytes()
    for i, row in enumerate(part.rows.tolist()):
        yield keys.vector(number, row, part.field), data[i * size : (i + 1) * size]


def _pointer(row: int, body: Body) -> bytes:
    adopted = any(slot != NO_ROW for slot in body.slots.values())
    return codec.encode_pointer(row, body.seq, adopted=adopted, expires=body.expires_at > 0)


def _puts(kv: KV, found: Sequence[bytes], values: Sequence[bytes]) -> Batch:
    batch = kv.batch()
    for key, value in zip(found, values, strict=True):
        batch.put(key, value)
    return batch


class _Pruning:
    """Deletes of a collection read from a chain what the last archive does not have any more.

    What searches should find is found on the way: an archive that goes on from another tells of its own vectors only.
    """

    def __init__(self, kv: KV, number: int, one: Archived, check: Callable[[], None]) -> None:
        self._kv = kv
        self._number = number
        self._one = one
        self._check = check
        self._fields = one.entry.shape.vectors()
        self._used = {field: RowSet(one.next_row) for field in self._fields}

    def run(self) -> None:
        """See the class."""
        self._prune_bodies()
        asked, answers = {}, {}
        for field, expected in self._one.expected.items():
            rows = expected.rows[self._used[field].has(expected.rows)]
            about = self._fields[field]
            asked[field], vectors = stored_vectors(self._kv, self._number, field, about.dim, rows)
            answers[field] = Answers(about.metric, vectors)
        self._prune_vectors(answers)
        self._one.expected = {field: answers[field].expected(rows) for field, rows in asked.items()}

    def _prune_bodies(self) -> None:
        number, end = self._number, self._one.next_row
        for some, values in self._scan(keys.body(number, 0), keys.body(number, end)):
            rows = keys.body_rows(some)
            lives = self._one.living.has(rows)
            gone = [some[i] for i in np.flatnonzero(~lives).tolist()]
            for row, alive, value in zip(rows.tolist(), lives.tolist(), values, strict=True):
                if alive:
                    self._note_slots(row, value)
                    continue
                pointer = keys.pointer(number, codec.decode_body(value).id)
                held = self._kv.get(pointer)
                if held is not None and codec.decode_pointer(held).row == row:
                    gone.append(pointer)
            self._delete(gone)

    def _note_slots(self, row: int, value: bytes) -> None:
        for field, slot in codec.body_slots(value):
            if field in self._used:
                self._used[field].add(np.array([row if slot == NO_ROW else slot], np.uint64))

    def _prune_vectors(self, answers: Mapping[int, Answers]) -> None:
        number, end = self._number, self._one.next_row
        for some, values in self._scan(keys.vector_from(number, 0), keys.vector_from(number, end)):
            rows, fields = keys.vector_rows_fields(some)
            kept = np.zeros(len(rows), np.bool_)
            for field, used in self._used.items():
                chosen = np.flatnonzero((fields == field) & used.has(rows))
                kept[chosen] = True
                if field in answers and len(chosen):
                    data = np.frombuffer(b"".join(values[i] for i in chosen.tolist()), "<f4")
                    answers[field].add(rows[chosen], data.reshape(len(chosen), -1))
            self._delete([some[i] for i in np.flatnonzero(~kept).tolist()])

    def _scan(self, start: bytes, end: bytes) -> Iterator[tuple[list[bytes], list[bytes]]]:
        for some in portions(self._kv.scan(start, end)):
            self._check()
            yield some

    def _delete(self, gone: Sequence[bytes]) -> None:
        for start in range(0, len(gone), SLICE_ROWS):
            write_patiently(self._kv, lambda some=gone[start : start + SLICE_ROWS]: _deletes(self._kv, some))  # type: ignore[misc]
            hit("restore.after_pruned")


def _deletes(kv: KV, gone: Sequence[bytes]) -> Batch:
    batch = kv.batch()
    for key in gone:
        batch.delete(key)
    return batch
