"""From the clauses of a query to what is looked up: by an analyzer, and by the terms that there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from vecdb.engine.keyword.language import Clause, Sign
from vecdb.index.analysis.contract import Analyzer
from vecdb.index.analysis.terms import Terms
from vecdb.model.token import Token

MAX_PREFIX_TERMS = 1_000
"""Terms that a prefix stands for, at most: the first ones."""
MAX_FUZZY_TERMS = 50
"""Terms that a word with its neighbours stands for, at most: the nearest ones."""
_EDITS_BY_LENGTH = (3, 6)
"""A word has to be so long that one edit, or two, leave it recognizable; shorter ones are found as they are."""


class Vocabulary(Protocol):
    """The terms of some texts, as ``Postings`` tells them."""

    def starting(self, prefix: str, most: int) -> list[str]:
        """The terms that begin so: the first ``most``."""

    def near(self, term: str, edits: int, most: int) -> list[tuple[str, int]]:
        """The terms within so many edits, each with how many: the nearest ``most``."""


@dataclass(frozen=True, slots=True)
class Group:
    """What counts as one term: a text holds it as often as it holds ``terms``, each times its share (1 or less).

    ``asked``: as the query has it; ``times``: how often the query asks for it; ``cut``: whether there are more terms
    than may be looked up.
    """

    asked: str
    terms: tuple[tuple[str, float], ...]
    times: int = 1
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Unit:
    """What adds to a score as a whole: a group, or the terms of a phrase.

    A text holds it if it holds all of ``required``; then each of ``scored`` that it holds adds to its score.
    ``phrase``: (term, distance from the first), which must also stand so in the text; empty where nothing is left to
    look at. ``clause`` is its place in the query.
    """

    clause: int
    sign: Sign
    required: tuple[Group, ...]
    scored: tuple[Group, ...]
    phrase: tuple[tuple[str, int], ...] = ()


def units(
    clauses: Sequence[Clause],
    analyzer: Analyzer,
    sources: Sequence[Vocabulary],
    fuzzy: int = 0,
    check: Callable[[], None] = lambda: None,
) -> tuple[Unit, ...]:
    """What the clauses ask for in texts indexed by one analyzer, in order, where ``sources`` hold all terms there are.

    A clause without terms (only punctuation, only stop words) asks for nothing. A *word with a sign* that is several
    terms (+数据库, -wi-fi) is wanted side by side, as it is written, and scores as a word does. A *prefix* stands for
    the word that it is by itself and for all terms that begin with it; one of several characters of a script without
    spaces is a phrase, which texts that go on hold too. ``fuzzy``: see ``near_terms``. ``check`` is called before each
    word or prefix that is looked up among all terms, and may raise.
    """
    out: list[Unit] = []
    for place, clause in enumerate(clauses):
        tokens = analyzer.analyze(clause.text)
        beside = _beside(tokens.phrase())
        if clause.kind == "prefix" and not _unspaced(tokens):
            check()
            group = _prefix(clause.text, tokens, analyzer, sources)
            if group.terms:
                out.append(Unit(place, clause.sign, (group,), (group,)))
        elif clause.kind == "words" and (clause.sign is Sign.SHOULD or len(beside) <= 1):
            for group in _words(tokens, sources, fuzzy, check):
                out.append(Unit(place, clause.sign, (group,), (group,)))
        elif beside:
            asked = dict.fromkeys(term for term, _ in beside)
            required = tuple(Group(term, ((term, 1.0),)) for term in asked)
            scored = _words(tokens, sources, 0, check) if clause.kind == "words" else required
            out.append(Unit(place, clause.sign, required, tuple(scored), beside if len(beside) > 1 else ()))
    return tuple(out)


def near_terms(token: Token, fuzzy: int, sources: Sequence[Vocabulary]) -> tuple[tuple[tuple[str, float], ...], bool]:
    """A word and its neighbours up to ``fuzzy`` edits away, each edit halving the share, and whether there are more.

    A word of 3 to 5 characters may be one edit away, a shorter one none; neither may what is cut from text without
    spaces by place.
    """
    longest = sum(len(token.term) >= length for length in _EDITS_BY_LENGTH)
    edits = min(fuzzy, longest) if token.kind in ("word", "whole", "dictionary") else 0
    if not edits:
        return ((token.term, 1.0),), False
    near = {other: away for one in sources for other, away in one.near(token.term, edits, MAX_FUZZY_TERMS + 1)}
    near.pop(token.term, None)
    by_distance = sorted(near.items(), key=lambda pair: (pair[1], pair[0]))
    kept = by_distance[: MAX_FUZZY_TERMS - 1]
    return ((token.term, 1.0), *((other, 0.5**away) for other, away in kept)), len(kept) < len(near)


def _words(tokens: Terms, sources: Sequence[Vocabulary], fuzzy: int, check: Callable[[], None]) -> list[Group]:
    """The terms that plain words ask for, each once."""
    times = Counter(tokens.query())
    if not fuzzy:
        return [Group(term, ((term, 1.0),), count) for term, count in times.items()]
    first = {token.term: token for token in reversed(tokens.tokens) if token.kind != "single"}
    out = []
    for term, count in times.items():
        check()
        terms, cut = near_terms(first[term], fuzzy, sources)
        out.append(Group(term, terms, count, cut))
    return out


def _prefix(text: str, tokens: Terms, analyzer: Analyzer, sources: Sequence[Vocabulary]) -> Group:
    """The word that a prefix is by itself, which may be a stem unlike it, and the terms that begin with it."""
    beginning = analyzer.prefix(text)
    found = {term for one in sources for term in one.starting(beginning, MAX_PREFIX_TERMS + 1)} if beginning else set()
    terms = sorted(found)[:MAX_PREFIX_TERMS]
    itself = tokens.query() if len(tokens.phrase()) == 1 else []
    every = dict.fromkeys([*itself, *terms])
    return Group(f"{beginning}*", tuple((term, 1.0) for term in every), cut=len(found) > MAX_PREFIX_TERMS)


def _unspaced(tokens: Terms) -> bool:
    """Whether there are neighbours in a script without spaces."""
    return any(token.kind == "bigram" for token in tokens.tokens) and len(tokens.phrase()) > 1


def _beside(tokens: Sequence[Token]) -> tuple[tuple[str, int], ...]:
    """The terms of a phrase, and how far each stands from the first."""
    return tuple((token.term, token.position - tokens[0].position) for token in tokens)
