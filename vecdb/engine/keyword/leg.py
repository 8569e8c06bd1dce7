"""A leg of words at a view: the sources of its fields, one query after another, one order.

Where one field is searched, documents are its texts, and a hit becomes a body at the end. Where several are, documents
are bodies, so that what the fields say of one adds up.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vecdb.engine.allowed import owner_rows, vectors_of
from vecdb.engine.keyword import language
from vecdb.engine.keyword.asking import clauses_of, searched
from vecdb.engine.keyword.counting import Field, Source, Totals, totals
from vecdb.engine.keyword.highlighting import Highlighter
from vecdb.engine.keyword.matching import Asked, asked
from vecdb.engine.keyword.phrases import Verifier
from vecdb.engine.lookup import Lookup
from vecdb.engine.matcher import Matcher, Verified
from vecdb.engine.prepare import FieldIds
from vecdb.engine.ranked import Narrowing, Ranked, by_score_and_id, by_segment, first_and_ties, in_order, owners
from vecdb.engine.segment import Part, UInt64
from vecdb.engine.texts import Texts
from vecdb.engine.view import View
from vecdb.errors import InvalidArgument
from vecdb.index import bm25
from vecdb.index.contract import Mask
from vecdb.model.context import CallContext
from vecdb.model.filter import both
from vecdb.model.keyword import Keyword
from vecdb.model.point import Float32, Int64
from vecdb.model.query import SearchRequest
from vecdb.model.schema import Schema
from vecdb.storage.codec import TEXT

_MANY = 1_000  # hits beyond those wanted, of equal scores, whose ids may become strings
_SHOWN = 60  # characters of a text in a warning
_SURROGATES = re.compile("[\ud800-\udfff]")


class KeywordLegs:
    """Finds points by words in one collection. Any thread may use it."""

    def __init__(self, lookup: Lookup, matcher: Matcher, texts: Texts, fields: FieldIds, schema: Schema) -> None:
        self.lookup = lookup
        self.matcher = matcher
        self.texts = texts
        self.fields = fields
        self.schema = schema
        self.highlighter = Highlighter(fields, schema)

    def check(self, leg: Keyword, path: str) -> None:
        """Refuse what does not fit the schema, and queries of nothing but exclusions, naming ``path``.

        Raises FieldNotFound, FailedPrecondition for a field that is not indexed, InvalidArgument.
        """
        searched(leg, self.schema, path)
        for i, text in enumerate(leg.texts):
            if not text.isascii() and _SURROGATES.search(text):
                raise InvalidArgument(
                    "the query is no valid Unicode",
                    field=f"{path}.keyword.texts[{i}]",
                    expected="valid Unicode",
                    received=ascii(text[:_SHOWN]),
                )
            if leg.language and language.only_excludes(language.parse(text)):
                raise InvalidArgument(
                    "a query that only excludes finds nothing",
                    field=f"{path}.keyword.texts[{i}]",
                    expected="a word, phrase or prefix without - before it",
                    received=text[:_SHOWN],
                )

    def leg(
        self,
        context: CallContext,
        view: View,
        request: SearchRequest,
        leg: Keyword,
        need: int,
        narrowing: Narrowing,
        explain: dict[str, Any] | None,
        min_score: float | None,
    ) -> Ranked:
        """The best ``need`` hits for each query: exactly min(need, matches) of them. Raises DeadlineExceeded."""
        search = _Leg(self, context, view, request, leg, narrowing.bodies, explain)
        found = []
        for text in leg.texts:
            context.check("searching by words")
            found.append(search.query(text, need + narrowing.spare, min_score))
        ranked = in_order(found, range(len(found)))
        return narrowing.left(ranked, need)


class _Leg:
    """One leg at one view."""

    def __init__(
        self,
        legs: KeywordLegs,
        context: CallContext,
        view: View,
        request: SearchRequest,
        leg: Keyword,
        within: Sequence[Mask] | None,
        explain: dict[str, Any] | None,
    ) -> None:
        self._legs = legs
        self._context = context
        self._view = view
        self._leg = leg
        boosts = searched(leg, legs.schema, "leg")
        self._numbers = [legs.fields.texts[name] for name in boosts]
        self._starts, self._segments, self._size = self._numbered()
        began, verified = time.perf_counter(), Verified()
        scoped, answered = self._bodies(request, within, verified)
        masks = []
        for number in self._numbers:
            counted = self._masks(TEXT | number, scoped)
            masks.append((counted, counted if answered is scoped else self._masks(TEXT | number, answered)))
        filtered = time.perf_counter()
        self._fields = [
            self._field(name, boost, *both_masks, all_counted=scoped is None)
            for (name, boost), both_masks in zip(boosts.items(), masks, strict=True)
        ]
        self._story: dict[str, Any] | None = None
        if explain is not None:
            self._story = self._told(verified, 1000 * (filtered - began))
            explain["legs"].append(self._story)

    def query(self, text: str, need: int, min_score: float | None) -> Ranked:
        """The best ``need`` hits of one query."""
        began = time.perf_counter()
        clauses = clauses_of(self._leg, text)
        found = asked(self._context, clauses, self._fields, self._leg.fuzzy)
        verifier = Verifier(self._texts_of)
        documents, scores = found.find(self._context, need, self._size, verifier)
        ranked = self._ranked(documents, scores.astype(np.float32), need, min_score, _warnings(text, found))
        if self._story is not None:
            self._story["queries"].append(
                {
                    "terms": found.terms,
                    "cut": list(found.cut),
                    "plan": found.plan,
                    "scored": len(documents),
                    "texts_read": verifier.verified,
                    "ms": 1000 * (time.perf_counter() - began),
                }
            )
        return ranked

    # -- what is searched

    def _numbered(self) -> tuple[Int64, Int64, int]:
        """Where the documents of segments begin, which segments these are, and how many documents there are."""
        sizes = []
        for index, segment in enumerate(self._view.segments):
            part = segment.parts.get(TEXT | self._numbers[0])
            size = len(segment) if len(self._numbers) > 1 else 0 if part is None else len(part)
            if size:
                sizes.append((index, size))
        lengths = np.array([size for _, size in sizes], dtype=np.int64)
        segments = np.array([index for index, _ in sizes], dtype=np.int64)
        return np.cumsum(lengths) - lengths, segments, int(lengths.sum())

    def _bodies(
        self, request: SearchRequest, within: Sequence[Mask] | None, verified: Verified
    ) -> tuple[Sequence[Mask | None] | None, Sequence[Mask | None] | None]:
        """By segment the bodies that are counted, and those that may be answered; None for all that live."""
        matcher, context, view = self._legs.matcher, self._context, self._view
        scoped = None
        if context.scope is not None or view.expiring:
            scoped = matcher.bodies(context, view, context.scope, verified)
        if request.filter is None and self._leg.filter is None and within is None:
            return scoped, scoped
        filter = both(context.scope, request.filter, self._leg.filter)
        return scoped, matcher.bodies(context, view, filter, verified, within)

    def _masks(self, key: int, bodies: Sequence[Mask | None] | None) -> list[Mask | None]:
        """By segment, the texts of a field that belong to ``bodies``; None where all do, or there are none."""
        view = self._view
        if bodies is not None:
            return vectors_of(self._legs.lookup, view, key, bodies)
        parts = (segment.parts.get(key) for segment in view.segments)
        return [None if part is None else part.alive(view.seq) for part in parts]

    def _field(
        self,
        name: str,
        boost: float,
        counted: Sequence[Mask | None],
        allowed: Sequence[Mask | None],
        *,
        all_counted: bool,
    ) -> Field:
        legs, view = self._legs, self._view
        key = TEXT | legs.fields.texts[name]
        sources = []
        for index, segment in enumerate(view.segments):
            part = segment.parts.get(key)
            if part is None or not len(part):
                continue
            postings, analyzer = legs.texts.of(self._context, view, index, key)
            documents = self._documents(index, part) if len(self._numbers) > 1 else None
            sources.append(Source(postings, analyzer, self._base(index), counted[index], allowed[index], documents))
        known = view.texts.get(key) if all_counted else None
        declared = legs.schema.texts[name]
        return Field(
            name,
            tuple(sources),
            totals(sources) if known is None else Totals(known.texts, known.terms),
            boost,
            bm25.Parameters(declared.k1, declared.b),
        )

    def _base(self, index: int) -> int:
        """The first document of a segment; -1 for one without bodies, all of whose texts have moved."""
        at = int(np.searchsorted(self._segments, index))
        is_there = at < len(self._segments) and self._segments[at] == index
        return int(self._starts[at]) if is_there else -1

    def _documents(self, index: int, part: Part) -> Int64 | None:
        """By ordinal of a part the number of the body that has the text; None where they are numbered alike."""
        segment, moved = self._view.segments[index], part.moved()
        if part.same_rows and not len(moved):
            return None
        at = np.arange(len(part)) if part.same_rows else part.own_bodies(segment)[0]
        out: Int64 = at + self._base(index)
        segments, ordinals = self._view.locate(owner_rows(self._legs.lookup, self._view, part, moved))
        for other in np.unique(segments).tolist():
            where = segments == other
            out[moved[where]] = -1 if other < 0 else self._base(other) + ordinals[where]
        return out

    # -- from documents to hits

    def _ranked(
        self, documents: Int64, scores: Float32, need: int, min_score: float | None, warnings: tuple[str, ...]
    ) -> Ranked:
        """The ``need`` best of some documents, by score and then id."""
        if min_score is not None:
            keep = scores.astype(np.float64) >= min_score
            documents, scores = documents[keep], scores[keep]
        first = first_and_ties(scores, need)
        documents, scores = documents[first], scores[first]
        rows, segments, ordinals = self._bodies_of(documents)
        if len(scores) > need + _MANY:
            kept = self._first_by_id(segments, ordinals, scores, need)
            rows, segments, ordinals, scores = rows[kept], segments[kept], ordinals[kept], scores[kept]
        order = by_score_and_id(self._view, segments, ordinals, scores, need=need)[:need]
        counts = np.array([len(order)], dtype=np.int64)
        return Ranked(counts, rows[order], segments[order], ordinals[order], scores[order], None, warnings=warnings)

    def _first_by_id(self, segments: Int64, ordinals: Int64, scores: Float32, need: int) -> Int64:
        """Places of the bodies that have more than the least score, and in each segment of the first ids that have it.

        Where a word is all that texts say, as a tag is, very many score alike.
        """
        tied = scores == scores.min()
        out = [np.flatnonzero(~tied)]
        wanted = need - len(out[0])
        for index, where in by_segment(segments[tied]):
            places = np.flatnonzero(tied)[where]
            by_ordinal = np.argsort(ordinals[places])
            first = self._view.segments[index].ids.first(ordinals[places], wanted)
            out.append(places[by_ordinal][np.searchsorted(ordinals[places][by_ordinal], first)])
        return np.concatenate(out)

    def _bodies_of(self, documents: Int64) -> tuple[UInt64, Int64, Int64]:
        """The bodies of documents: rows, segment indexes and ordinals."""
        at = np.searchsorted(self._starts, documents, side="right") - 1
        segments, ordinals = self._segments[at], documents - self._starts[at]
        if len(self._numbers) == 1:
            return owners(self._legs.lookup, self._view, TEXT | self._numbers[0], segments, ordinals)
        rows = np.empty(len(documents), dtype=np.uint64)
        for index, where in by_segment(segments):
            rows[where] = self._view.segments[index].rows[ordinals[where]]
        return rows, segments, ordinals

    def _texts_of(self, documents: Int64) -> list[Mapping[int, str]]:
        """The texts of documents, by place of the field among those searched."""
        bodies = self._legs.lookup.bodies(self._bodies_of(documents)[0].tolist())
        return [
            {place: body.texts[number] for place, number in enumerate(self._numbers) if number in body.texts}
            for body in bodies
        ]

    def _told(self, verified: Verified, filter_ms: float) -> dict[str, Any]:
        """What is said of the leg when it is to be explained; queries add to it."""
        story: dict[str, Any] = {
            "fields": {
                field.name: {
                    "boost": field.boost,
                    "texts": field.totals.texts,
                    "mean_length": field.totals.mean_length,
                    "segments": [
                        {"texts": len(source.postings), "allowed": _count(source)} for source in field.sources
                    ],
                }
                for field in self._fields
            },
            "filter_ms": filter_ms,
            **verified.told(),
            "queries": [],
        }
        return story


def _count(source: Source) -> int:
    return len(source.postings) if source.allowed is None else int(np.count_nonzero(source.allowed))


def _warnings(text: str, found: Asked) -> tuple[str, ...]:
    """What a person should know of how a query was understood."""
    shown = text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
    out = [f"{group} stands for more terms than are searched: the first were" for group in found.cut]
    if not found.adding:
        out.append(f"there is no word to search for in {shown!r}")
    return tuple(out)
