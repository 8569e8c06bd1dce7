"""What a search by words finds, one document after another: the oracle of keyword search.

It has the analyzers and the parser of the query language in common with the engine, nothing else: no postings, no
numpy, and BM25 is written out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from vecdb.engine.keyword.language import Clause, Sign, parse
from vecdb.index.analysis.analyzer import analyzer
from vecdb.index.analysis.contract import Analyzer
from vecdb.index.analysis.terms import Terms
from vecdb.model.schema import TextField

Holds = Callable[[str], float]
"""How often a document, by id, holds something."""


@dataclass(frozen=True)
class Words:
    """A query: what a keyword leg says."""

    text: str
    boosts: Mapping[str, float] | None = None
    language: bool = False
    fuzzy: int = 0


@dataclass
class Corpus:
    """Documents that are counted, texts by field and id, and how their fields are searched."""

    fields: Mapping[str, TextField]
    texts: Mapping[str, Mapping[str, str]]
    made: dict[str, Analyzer] = field(default_factory=dict)

    @staticmethod
    def of(points: Mapping[str, Mapping[str, str]], fields: Mapping[str, TextField]) -> Corpus:
        """Of texts by id and field."""
        texts = {name: {i: some[name] for i, some in points.items() if name in some} for name in fields}
        made = {name: made_analyzer(one.analyzer, tuple(one.options.items())) for name, one in fields.items()}
        return Corpus(fields, texts, made)

    def ranked(self, query: Words, allowed: Collection[str] | None = None) -> list[tuple[str, float]]:
        """Ids and scores of all hits, best first; ``allowed``: those that may be hits."""
        clauses = parse(query.text) if query.language else (Clause("words", query.text),)
        boosts = query.boosts or dict.fromkeys(self.fields, 1.0)
        every = dict.fromkeys(i for name in boosts for i in self.texts[name] if allowed is None or i in allowed)
        scores = dict.fromkeys(every, 0.0)
        must: list[set[str]] = []
        some: set[str] = set()
        never: set[str] = set()
        for clause in clauses:
            held: set[str] = set()
            says = False
            for name, boost in boosts.items():
                for holds, added in self._parts(clause, name, query.fuzzy):
                    says = True
                    for i in every:
                        if holds(i):
                            held.add(i)
                            scores[i] += 0.0 if clause.sign is Sign.NOT else boost * added(i)
            if clause.sign is Sign.NOT:
                never |= held
            else:
                some |= held
                must += [held] if says and clause.sign is Sign.MUST else []
        hits = set.intersection(*must) if must else some
        return sorted(((i, scores[i]) for i in hits - never), key=lambda hit: (-hit[1], hit[0].encode()))

    def _parts(self, clause: Clause, name: str, fuzzy: int) -> list[tuple[Holds, Holds]]:
        """What a clause asks for in a field: whether a document holds it, and what that adds to its score."""
        analyzed = self.made[name].analyze(clause.text)
        phrase = analyzed.phrase()
        words = Counter(analyzed.query())
        is_unspaced = len(phrase) > 1 and any(token.kind == "bigram" for token in phrase)
        if clause.kind == "prefix" and not is_unspaced:
            beginning = self.made[name].prefix(clause.text)
            terms = {term for i in self.texts[name] for term in self._counts(name, i)}
            found = {term for term in terms if beginning and term.startswith(beginning)}
            found |= set(words) if len(phrase) == 1 else set()
            group = dict.fromkeys(found, 1.0)
            return [(self._frequency(name, group), self._score(name, group))] if found else []
        if clause.kind == "words" and (clause.sign is Sign.SHOULD or len(phrase) <= 1):
            out = []
            for term, times in words.items():
                group = self._neighbours(name, analyzed, term, fuzzy)
                out.append((self._frequency(name, group), _times(times, self._score(name, group))))
            return out
        if not phrase:
            return []
        scored = words if clause.kind == "words" else Counter({token.term: 1 for token in phrase})
        parts = [_times(times, self._score(name, {term: 1.0})) for term, times in scored.items()]
        return [(lambda i: self._stands(name, i, analyzed), lambda i: sum(part(i) for part in parts))]

    def _counts(self, name: str, i: str) -> Counter[str]:
        return counted(self.made[name], self.texts[name].get(i, ""))

    def _frequency(self, name: str, group: Mapping[str, float]) -> Holds:
        return lambda i: sum(self._counts(name, i)[term] * share for term, share in group.items())

    def _score(self, name: str, group: Mapping[str, float]) -> Holds:
        """BM25 as it is written; 0 for a document that holds nothing of the group."""
        by, documents = self.fields[name], len(self.texts[name])
        lengths = {i: self._counts(name, i).total() for i in self.texts[name]}
        mean = sum(lengths.values()) / max(documents, 1)
        frequency = self._frequency(name, group)
        held = {i: f for i in self.texts[name] if (f := frequency(i))}
        idf = math.log(1 + (documents - len(held) + 0.5) / (len(held) + 0.5))
        scores = {
            i: idf * f * (by.k1 + 1) / (f + by.k1 * (1 - by.b + by.b * lengths[i] / mean)) for i, f in held.items()
        }
        return lambda i: scores.get(i, 0.0)

    def _neighbours(self, name: str, analyzed: Terms, term: str, fuzzy: int) -> dict[str, float]:
        (kind, *_) = [token.kind for token in analyzed.tokens if token.term == term and token.kind != "single"]
        edits = 0 if kind == "bigram" else min(fuzzy, (len(term) >= 3) + (len(term) >= 6))
        terms = {other for i in self.texts[name] for other in self._counts(name, i)} if edits else set()
        away = {other: distance(term, other) for other in terms}
        return {term: 1.0} | {other: 0.5**d for other, d in away.items() if d <= edits}

    def _stands(self, name: str, i: str, analyzed: Terms) -> bool:
        """Whether the words of a phrase stand in a text as they stand in the query; one alone may stand anywhere."""
        if i not in self.texts[name]:
            return False
        if len(analyzed.phrase()) == 1:
            return analyzed.phrase()[0].term in self._counts(name, i)
        there = {(t.position, t.term) for t in taken_apart(self.made[name], self.texts[name][i]).phrase()}
        wanted = [(t.position, t.term) for t in analyzed.phrase()]
        return any(
            all((start + position - wanted[0][0], term) in there for position, term in wanted) for start, _ in there
        )


def _times(times: int, score: Holds) -> Holds:
    return lambda i: times * score(i)


@lru_cache(maxsize=64)
def made_analyzer(name: str, options: Sequence[tuple[str, object]]) -> Analyzer:
    return analyzer(name, dict(options))


@lru_cache(maxsize=10_000)
def counted(by: Analyzer, text: str) -> Counter[str]:
    """How often a text holds each term."""
    return Counter(by.terms(text))


@lru_cache(maxsize=10_000)
def taken_apart(by: Analyzer, text: str) -> Terms:
    return by.analyze(text)


@lru_cache(maxsize=100_000)
def distance(a: str, b: str) -> int:
    """Edits from one word to the other, two neighbours swapped being one (optimal string alignment)."""
    if not a or not b:
        return len(a) + len(b)
    options = [distance(a[:-1], b) + 1, distance(a, b[:-1]) + 1, distance(a[:-1], b[:-1]) + (a[-1] != b[-1])]
    if a[-2:] == b[-2:][::-1] and len(a) > 1 and len(b) > 1:
        options.append(distance(a[:-2], b[:-2]) + 1)
    return min(options)
