"""The one segment of a collection that takes new rows, and the rows as it takes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from vecdb.engine.segment import ALIVE, NEVER, ListIds, Part, Segment, UInt64
from vecdb.engine.text_index import NewTexts, TextIndex
from vecdb.index import metric
from vecdb.index.appended import Appended
from vecdb.index.columns.growing import GrowingColumns, NewColumns
from vecdb.model.point import Float32, Int64
from vecdb.model.schema import VectorField

_NO_ROWS = np.zeros(0, dtype=np.uint64)
_NO_TEXTS = NewTexts(_NO_ROWS)


@dataclass(frozen=True, slots=True)
class NewRows:
    """Rows as memory takes them: bodies (``rows`` ascending, with their ``seqs`` and ``ids``), and by field id
    (slots uint64 ``[n]`` ascending, prepared vectors float32 ``[n, dim]``). ``columns``: what filters may ask;
    None where columns are off. ``expires`` as in Segment. ``texts``: what is new in text fields, by their keys.
    """

    rows: UInt64
    seqs: UInt64
    ids: Sequence[str]
    vectors: dict[int, tuple[UInt64, Float32]]
    body_bytes: int
    columns: NewColumns | None
    expires: Int64 | None = None
    texts: Mapping[int, NewTexts] = field(default_factory=dict)


class _GrowingPart:
    """The slots of one field while they grow, with what is known of them; becomes a Part."""

    def __init__(self, same_rows: bool) -> None:
        self.slots = Appended(np.uint64)
        self._died = Appended(np.uint64)
        self._owners: UInt64 | None = None
        self._dead = 0
        self._same_rows = same_rows

    def _take(self, slots: UInt64) -> None:
        """Add slots above those that are here."""
        self.slots.extend(slots)
        self._died.extend(np.full(len(slots), ALIVE, dtype=np.uint64))
        if self._owners is not None:
            self._owners = np.concatenate([self._owners, slots])

    def _part(self) -> Part:
        return Part(
            slots=self.slots.view(),
            died=self._died.view(),
            same_rows=self._same_rows,
            owners=self._owners,
            dead=self._dead,
        )

    def take_back(self, part: Part) -> None:
        """Keep what stamps changed in a part handed out."""
        self._dead, self._owners = part.dead, part.owners


class _GrowingVectors(_GrowingPart):
    """The vectors of one field."""

    def __init__(self, field: VectorField, same_rows: bool = True) -> None:
        super().__init__(same_rows)
        self._vectors = Appended(np.float32, field.dim)
        self._squares = None if field.metric == "cosine" else Appended(np.float32)

    @property
    def vector_bytes(self) -> int:
        return self._vectors.view().nbytes

    def extend(self, rows: UInt64, slots: UInt64, vectors: Float32 | None) -> None:
        """Add what some new ``rows`` have here; ``vectors`` None: nothing."""
        self._same_rows = self._same_rows and np.array_equal(slots, rows)
        if vectors is None:
            return
        self._take(slots)
        self._vectors.extend(vectors)
        if self._squares is not None:
            self._squares.extend(metric.squares(vectors))

    def part(self) -> Part:
        part = self._part()
        part.vectors = self._vectors.view()
        part.squares = None if self._squares is None else self._squares.view()
        return part


class _GrowingTexts(_GrowingPart):
    """The texts of one field, which are in the bodies, and their postings as far as these are known."""

    def __init__(self, same_rows: bool = True) -> None:
        super().__init__(same_rows)
        self._index = TextIndex()
        self._terms: int | None = 0

    def extend(self, rows: UInt64, new: NewTexts) -> None:
        """Add what some new ``rows`` have here."""
        self._same_rows = self._same_rows and np.array_equal(new.slots, rows)
        if not len(new.slots):
            return
        known = self._index.offer(self.slots.n, new)
        self._take(new.slots)
        self._terms = self._terms + new.count_terms() if known and self._terms is not None else None

    def restore(self, rows: UInt64, slots: UInt64) -> None:
        """Take the slots of rows that were read again; nothing is known of their postings."""
        self._same_rows = np.array_equal(slots, rows)
        self._take(slots)
        self._terms = None if len(slots) else 0

    def part(self) -> Part:
        part = self._part()
        part.text, part.terms = self._index, self._terms
        return part

    def take_back(self, part: Part) -> None:
        super().take_back(part)
        self._terms = part.terms


class Growing:
    """The one segment of a collection that takes new rows. Only the publisher touches it.

    ``segment()`` gives what readers use: slices that later appends do not disturb. Appending may move
    a column; stamps then go to the moved one, and an older view misses only stamps later than itself.
    """

    def __init__(
        self,
        number: int,
        first_row: int,
        fields: Mapping[int, VectorField],
        texts: Iterable[int] = (),
        columns: bool = True,
    ) -> None:
        self.number = number
        self.first_row = first_row
        self._rows = Appended(np.uint64)
        self._seqs = Appended(np.uint64)
        self._died = Appended(np.uint64)
        self._ids: list[str] = []
        self._columns = GrowingColumns() if columns else None
        self._expires: Appended[np.int64] | None = None  # from the first body that has an end
        self._earliest = NEVER
        self._vectors = {field_id: _GrowingVectors(field) for field_id, field in fields.items()}
        self._texts = {key: _GrowingTexts() for key in texts}
        self._dead = 0
        self.body_bytes = 0
        self._segment: Segment | None = None

    def __len__(self) -> int:
        return self._rows.n

    @property
    def empty(self) -> bool:
        """No body and no slot; a slot may be here without a body, when a later row has adopted it."""
        return not self._rows.n and not any(part.slots.n for part in self._parts.values())

    @property
    def vector_bytes(self) -> int:
        """Bytes of vectors held (float32)."""
        return sum(part.vector_bytes for part in self._vectors.values())

    @property
    def _parts(self) -> dict[int, _GrowingPart]:
        return {**self._vectors, **self._texts}

    def append(self, new: NewRows) -> None:
        """Add rows; they and their slots are above all that is here."""
        self._keep()
        self._take_expiry(new)
        self._rows.extend(new.rows)
        self._seqs.extend(new.seqs)
        self._died.extend(np.full(len(new.rows), ALIVE, dtype=np.uint64))
        self._ids.extend(new.ids)
        if new.columns is None:
            self._columns = None  # switched off, or on just now: what does not know every row knows nothing
        elif self._columns is not None:
            self._columns.append(new.columns, len(new.rows))
        for field_id, vectors in self._vectors.items():
            vectors.extend(new.rows, *new.vectors.get(field_id, (_NO_ROWS, None)))
        for key, texts in self._texts.items():
            texts.extend(new.rows, new.texts.get(key, _NO_TEXTS))
        self.body_bytes += new.body_bytes

    def reshape(self, fields: Mapping[int, VectorField], texts: Iterable[int]) -> None:
        """Let go of vectors of fields that are no more, and take what new fields get from now on."""
        self._keep()
        same = not len(self)
        kept, written = self._vectors, self._texts
        self._vectors = {f: kept[f] if f in kept else _GrowingVectors(field, same) for f, field in fields.items()}
        self._texts = {key: written[key] if key in written else _GrowingTexts(same) for key in texts}

    def restore_texts(self, key: int, slots: UInt64) -> None:
        """Take the slots (ascending) that rows read again have in a text field, which were appended without."""
        self._keep()
        self._texts[key].restore(self._rows.view(), slots)

    def _take_expiry(self, new: NewRows) -> None:
        """Before the rows themselves are taken."""
        if new.expires is not None and self._expires is None:
            self._expires = Appended(np.int64)
            self._expires.extend(np.full(self._rows.n, NEVER, dtype=np.int64))
        if self._expires is not None:
            expires = np.full(len(new.rows), NEVER, dtype=np.int64) if new.expires is None else new.expires
            self._expires.extend(expires)
            self._earliest = min(self._earliest, int(expires.min(initial=NEVER)))

    def segment(self) -> Segment:
        """The rows so far as an immutable-but-for-stamps segment; the same object until something is appended."""
        if self._segment is None:
            columns = (self._rows, *(part.slots for part in self._parts.values()))
            ids, seqs = ListIds(self._ids), self._seqs.view()
            last = max((int(column.view()[-1]) for column in columns if column.n), default=self.first_row - 1)
            self._segment = Segment(
                number=self.number,
                state="growing",
                rows=self._rows.view(),
                seqs=seqs,
                ids=ids,
                died=self._died.view(),
                parts={
                    **{field_id: vectors.part() for field_id, vectors in self._vectors.items()},
                    **{key: texts.part() for key, texts in self._texts.items()},
                },
                first_row=self.first_row,
                end_row=last + 1,
                dead=self._dead,
                columns=None if self._columns is None else self._columns.upto(self._rows.n, ids, seqs),
                expires=None if self._expires is None else self._expires.view(),
                earliest=self._earliest,
            )
        return self._segment

    def _keep(self) -> None:
        """Take back what stamps changed in the segment handed out, and start a new one."""
        if self._segment is None:
            return
        self._dead, self._earliest = self._segment.dead, self._segment.earliest
        parts = self._parts
        for field_id, part in self._segment.parts.items():
            parts[field_id].take_back(part)
        self._segment = None


def expiries(moments: Sequence[int]) -> Int64 | None:
    """The column ``expires`` of what bodies say (0: never); None when none of them has an end."""
    if not any(moments):
        return None
    found = np.array(moments, dtype=np.int64)
    found[found == 0] = NEVER
    return found
