"""Where the words that were asked for stand in the texts of the hits, and the parts of the texts worth showing.

A text is analyzed once more, by the analyzer of its field as it is declared now: postings do not keep places.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from vecdb.engine.keyword.asking import clauses_of, searched
from vecdb.engine.keyword.clauses import Unit, units
from vecdb.engine.keyword.language import Clause, Sign
from vecdb.engine.keyword.phrases import occurrences
from vecdb.engine.prepare import FieldIds
from vecdb.engine.texts import identity
from vecdb.index.analysis.analyzer import made_by
from vecdb.index.analysis.contract import Analyzer
from vecdb.index.analysis.scripts import LETTERS, MARKS
from vecdb.index.analysis.terms import Terms
from vecdb.index.postings.edits import characters, distances
from vecdb.model.context import CallContext
from vecdb.model.highlight import Highlight, Snippet
from vecdb.model.keyword import Keyword
from vecdb.model.point import Int64
from vecdb.model.query import SearchRequest
from vecdb.model.schema import Schema
from vecdb.storage.codec import Body

_LETTER = re.compile(f"[{LETTERS}{MARKS}]")
_MARK = re.compile(f"[{MARKS}]")


@dataclass(frozen=True, slots=True)
class Place:
    """Characters ``start`` to ``end`` of a text, and which words of the query stand there."""

    start: int
    end: int
    words: frozenset[str]


class Highlighter:
    """Makes the snippets of hits in one collection. Any thread may use it."""

    def __init__(self, fields: FieldIds, schema: Schema) -> None:
        self._fields = fields
        self._schema = schema

    def snippets(
        self, context: CallContext, request: SearchRequest, counts: Int64, bodies: Sequence[Body]
    ) -> list[list[Snippet]]:
        """By hit the snippets of its texts, by field and then by place, for the keyword legs of the request.

        ``counts`` int64 ``[q]``: how many of the ``bodies`` are hits of each query. Raises DeadlineExceeded.
        """
        assert request.highlight is not None
        out: list[list[Snippet]] = []
        ends = np.cumsum(counts).tolist()
        for query, (count, end) in enumerate(zip(counts.tolist(), ends, strict=True)):
            wanted = self._wanted(request, query)
            for body in bodies[end - count : end]:
                context.check("looking for words in the texts of hits")
                found: list[Snippet] = []
                for name, words in wanted.items():
                    text = body.texts.get(self._fields.texts[name])
                    if text:
                        found += snippets(name, text, words.places(text), request.highlight)
                out.append(found)
        return out

    def _wanted(self, request: SearchRequest, query: int) -> dict[str, _Words]:
        """What one query asks for, by field."""
        legs = [leg for leg in request.legs if isinstance(leg, Keyword)]
        out = {}
        for name, field in self._schema.texts.items():
            asking = [leg for leg in legs if name in searched(leg, self._schema, "leg")]
            if asking:
                asked = [(clauses_of(leg, leg.texts[query]), leg.fuzzy) for leg in asking]
                out[name] = _Words(made_by(identity(field)), asked)
        return out


class _Words:
    """What is looked for in the texts of one field: of each leg the clauses, and the edits forgiven."""

    def __init__(self, analyzer: Analyzer, asked: Sequence[tuple[Sequence[Clause], int]]) -> None:
        self._analyzer = analyzer
        self._asked = [([one for one in clauses if one.sign is not Sign.NOT], fuzzy) for clauses, fuzzy in asked]
        depends = any(fuzzy or any(one.kind == "prefix" for one in clauses) for clauses, fuzzy in asked)
        self._units = None if depends else self._found(())

    def places(self, text: str) -> list[Place]:
        """Where they stand in a text: ascending and apart, what touches being one."""
        terms = self._analyzer.analyze(text)
        some = self._found(terms.index()) if self._units is None else self._units
        return _joined(_places(terms, some))

    def _found(self, terms: Iterable[str]) -> list[Unit]:
        """What is asked for, with what prefixes and typos stand for among ``terms``."""
        here = _Vocabulary(terms)
        return [unit for clauses, fuzzy in self._asked for unit in units(clauses, self._analyzer, [here], fuzzy)]


class _Vocabulary:
    """The terms of one text, in place of those of postings."""

    def __init__(self, terms: Iterable[str]) -> None:
        self._terms = sorted(set(terms))

    def starting(self, prefix: str, most: int) -> list[str]:
        return [term for term in self._terms if term.startswith(prefix)][:most]

    def near(self, term: str, edits: int, most: int) -> list[tuple[str, int]]:
        one = characters(term)
        found = []
        for other in self._terms:
            if abs(len(other) - len(term)) <= edits:
                (away,) = distances(one, characters(other)[None, :], edits).tolist()
                if away <= edits:
                    found.append((away, other))
        return [(other, away) for away, other in sorted(found)[:most]]


def snippets(field: str, text: str, places: Sequence[Place], how: Highlight) -> list[Snippet]:
    """The parts of a text that show most of what was asked for, by place; none where nothing of it is.

    ``places``: ascending and apart. Parts do not overlap, and begin and end at words where there are spaces.
    """
    parts: list[tuple[int, int]] = []
    free = [(0, len(text))]
    for _ in range(how.snippets):
        candidates = [best for low, high in free if (best := _best(low, high, places, how.characters)) is not None]
        if not candidates:
            break
        best = max(candidates)
        begin, end = _part(text, best, how.characters)
        parts.append((begin, end))
        free.remove((best.low, best.high))
        free += [(best.low, begin), (end, best.high)]
    return [Snippet(field, text[a:b], a, _within(places, a, b)) for a, b in sorted(parts)]


def _places(terms: Terms, some: Sequence[Unit]) -> list[Place]:
    """The tokens of a text that are asked for."""
    asked: dict[str, set[str]] = {}
    out = []
    beside = None
    for unit in some:
        if unit.phrase:
            beside = terms.phrase() if beside is None else beside
            words = frozenset(term for term, _ in unit.phrase)
            out += [Place(t.start, t.end, words) for found in occurrences(beside, unit.phrase) for t in found]
            continue
        for group in unit.scored:
            for term, _ in group.terms:
                asked.setdefault(term, set()).add(group.asked)
    return out + [Place(t.start, t.end, frozenset(asked[t.term])) for t in terms.tokens if t.term in asked]


def _joined(places: Iterable[Place]) -> list[Place]:
    """Ascending and apart."""
    out: list[Place] = []
    for place in sorted(places, key=lambda place: (place.start, place.end)):
        if out and place.start <= out[-1].end:
            out[-1] = replace(out[-1], end=max(out[-1].end, place.end), words=out[-1].words | place.words)
        else:
            out.append(place)
    return out


class _Run(NamedTuple):
    """Neighbouring places, the better the greater: how many ``words`` of the query they show, how many they are, and
    that they come early; they reach from ``first`` to ``last`` between ``low`` and ``high``.
    """

    words: int
    places: int
    early: int
    first: int
    last: int
    low: int
    high: int


def _best(low: int, high: int, places: Sequence[Place], most: int) -> _Run | None:
    """The best run of places between two characters that reaches over ``most`` characters, or is one place."""
    inside = [place for place in places if low <= place.start and place.end <= high]
    best = None
    words: Counter[str] = Counter()
    first = 0
    for last, place in enumerate(inside):
        words.update(place.words)
        while first < last and place.end - inside[first].start > most:
            words.subtract(inside[first].words)
            first += 1
        start = inside[first].start
        shown = sum(count > 0 for count in words.values())
        run = _Run(shown, last - first + 1, -start, start, place.end, low, high)
        if best is None or run > best:
            best = run
    return best


def _part(text: str, run: _Run, size: int) -> tuple[int, int]:
    """About so many characters around a run."""
    first, last = run.first, run.last
    spare = size - (last - first)
    if spare < 0:
        return first, first + size
    begin = max(run.low, min(first - spare // 2, run.high - size))
    end = min(run.high, begin + size)
    while begin < first and (_inside_a_word(text, begin) or text[begin].isspace()):
        begin += 1
    while end > last and (_inside_a_word(text, end) or text[end - 1].isspace()):
        end -= 1
    return begin, end


def _inside_a_word(text: str, at: int) -> bool:
    """Whether a cut before a character would part what belongs together."""
    if not 0 < at < len(text):
        return False
    before, behind = text[at - 1], text[at]
    return _MARK.match(behind) is not None or (_LETTER.match(before) is not None and _LETTER.match(behind) is not None)


def _within(places: Sequence[Place], begin: int, end: int) -> list[tuple[int, int]]:
    """The places in a part of the text, cut at its ends."""
    return [(max(p.start, begin), min(p.end, end)) for p in places if p.start < end and p.end > begin]
