"""The postings that a search by words reads, made from the bodies where they are not known.

Postings come with the rows or with a sealed file; where they do not (engine/text_index.py), the first who needs them
reads the texts from the bodies of the rows that own them, and the segment keeps what was made. A segment's postings
stay those of one analyzer until maintenance makes them anew, so whoever asks for them is given the analyzer with them.
Sparse vectors have postings as texts do, and what takes them apart is always the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vecdb.engine.body_columns import ReadBodies
from vecdb.engine.segment import Part
from vecdb.engine.text_index import TextIndex
from vecdb.engine.view import TextCounts, View
from vecdb.errors import DataLoss, DeadlineExceeded, FailedPrecondition, InvalidArgument
from vecdb.index.analysis.analyzer import identity_of, made_by
from vecdb.index.analysis.contract import Analyzer, Identity, TakesApart
from vecdb.index.postings import weights
from vecdb.index.postings.chunk import analyzed, pieces
from vecdb.index.postings.contract import Postings
from vecdb.index.postings.growing import GrowingPostings, Share
from vecdb.model.context import CallContext
from vecdb.model.schema import SparseField, TextField
from vecdb.storage import codec
from vecdb.storage.codec import TEXT

READ_ROWS = 256
"""Bodies read at once, when postings are made of them."""


def identity(field: TextField | SparseField) -> Identity:
    """What the postings of a field are to be made by. Raises InvalidArgument."""
    if isinstance(field, SparseField):
        return weights.IDENTITY
    return identity_of(field.analyzer, field.options)


def maker(by: Identity) -> TakesApart:
    """What makes postings by an identity. Raises InvalidArgument, FailedPrecondition."""
    return weights.WEIGHTS if by == weights.IDENTITY else made_by(by)


def is_indexed(field: TextField | SparseField) -> bool:
    """Whether a field is to have postings."""
    return isinstance(field, SparseField) or field.keywords


def indexed_alike(one: TextField | SparseField, other: TextField | SparseField) -> bool:
    """Whether the postings made for one declaration of a field are those for another."""
    if isinstance(one, SparseField) or isinstance(other, SparseField):
        return True
    return (one.analyzer, dict(one.options), one.keywords) == (other.analyzer, dict(other.options), other.keywords)


def check_analyzers(fields: Mapping[str, TextField]) -> None:
    """Raise InvalidArgument, or FailedPrecondition, for a field whose analyzer cannot be made."""
    for field in fields.values():
        made_by(identity(field))


def analyzers_of(fields: Mapping[int, TextField | SparseField]) -> dict[int, TakesApart]:
    """By key, what takes apart the sparse vectors, and the texts of fields that are searched by keywords.

    A field whose analyzer cannot be made here (it was declared elsewhere) is left out: its searches say why.
    """
    found: dict[int, TakesApart] = {}
    for key, field in fields.items():
        if is_indexed(field):
            try:
                found[key] = maker(identity(field))
            except (InvalidArgument, FailedPrecondition, ImportError):
                continue
    return found


class Texts:
    """The text fields of one collection under one schema. Any thread may call it."""

    def __init__(
        self,
        read: ReadBodies,
        fields: Mapping[int, TextField | SparseField],
        analyzers: Mapping[int, TakesApart] | None = None,
    ) -> None:
        self._read = read
        self._fields = fields
        self._analyzers = analyzers_of(fields) if analyzers is None else analyzers

    @property
    def keys(self) -> Sequence[int]:
        """The text fields, by the keys of their slots."""
        return list(self._fields)

    def analyzer(self, key: int) -> TakesApart | None:
        """What analyzes a field; None where it is not searched by keywords, or its analyzer cannot be made here."""
        return self._analyzers.get(key)

    def of(self, context: CallContext, view: View, index: int, key: int) -> tuple[Postings, Analyzer]:
        """The postings of a text field in one segment of ``view``, and the analyzer they were made by.

        A call asks once for each segment: the next one may get postings by another analyzer. Ordinals are those of
        the segment's part; one without a part has no texts. Raises DeadlineExceeded while postings are made, DataLoss.
        """
        postings, by = self.postings(context, view, index, key)
        return postings, made_by(by)

    def postings(self, context: CallContext, view: View, index: int, key: int) -> tuple[Postings, Identity]:
        """As ``of``, also of sparse vectors."""
        part = view.segments[index].parts.get(key)
        if part is None or part.text is None or not len(part):
            return GrowingPostings().upto(0), identity(self._fields[key])
        text = part.text
        postings = text.upto(len(part))
        if postings is None:
            wait = context.remaining()
            if not text.making.acquire(timeout=-1 if wait is None else wait):
                raise DeadlineExceeded("the deadline passed while postings were made")
            try:
                self.make(part, text, key, view.seq, lambda: context.check("making postings"))
            finally:
                text.making.release()
            postings = text.upto(len(part))
        assert postings is not None and text.analyzer is not None
        return postings, text.analyzer

    def counts(self, context: CallContext, view: View, key: int) -> TextCounts:
        """The texts that live in ``view``, expired or not; making what is not known."""
        known = view.texts.get(key)
        if known is not None:
            return known
        texts = terms = 0
        for index, segment in enumerate(view.segments):
            part = segment.parts.get(key)
            if part is not None:
                lengths = self.postings(context, view, index, key)[0].lengths
                alive = part.alive(view.seq)
                living = lengths if alive is None else lengths[alive]
                texts, terms = texts + len(living), terms + int(living.sum(dtype=np.int64))
        return TextCounts(texts, terms)

    def complete(self, part: Part, key: int, seq: int, check: Callable[[], None]) -> TextIndex:
        """All postings of ``part`` by the field's own analyzer: those it has, or made now (see ``make``)."""
        by = self._analyzers[key].identity
        text = part.text
        if text is None or (text.known and text.analyzer != by):
            text = TextIndex()
        with text.making:
            self.make(part, text, key, seq, check)
        return text

    def make(self, part: Part, text: TextIndex, key: int, seq: int, check: Callable[[], None]) -> None:
        """Make what ``text`` lacks of the postings of ``part``, from the bodies (``text.making`` held).

        ``seq``: of a view that is held meanwhile; what is dead in it may be gone. ``check`` may raise, between pieces.
        """
        by = text.analyzer if text.known and text.analyzer is not None else identity(self._fields[key])
        analyzer = maker(by)
        for texts in self._pieces(part, text.known, key, seq, check):
            text.add([Share(analyzed(texts, analyzer))], len(texts), by)

    def _pieces(self, part: Part, start: int, key: int, seq: int, check: Callable[[], None]) -> Iterator[list[Any]]:
        """The texts of a part from ordinal ``start`` on, a piece at a time."""
        for first in range(start, len(part), READ_ROWS):
            texts = self.texts(part, np.arange(first, min(first + READ_ROWS, len(part)), dtype=np.int64), key, seq)
            for begin, end in pieces(texts):
                check()
                yield texts[begin:end]

    def texts(self, part: Part, ordinals: np.ndarray[tuple[int], np.dtype[np.int64]], key: int, seq: int) -> list[Any]:
        """The texts, or sparse vectors, at ordinals; "" for one that was dead at ``seq`` and is gone.

        Raises DataLoss.
        """
        rows = part.owner_rows(ordinals).tolist()
        out: list[str | bytes] = []
        for i, (row, raw) in enumerate(zip(rows, self._read(rows), strict=True)):
            text = None if raw is None else codec.decode_body(raw).written.get(key ^ TEXT)
            if text is None and part.died[ordinals[i]] > np.uint64(seq):
                raise DataLoss(f"row {row} has no text", field="texts", expected="a text", received="nothing")
            out.append(text or "")
        return out
