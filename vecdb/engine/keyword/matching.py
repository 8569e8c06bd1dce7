"""One query over the sources of its fields: which documents it finds, and with what scores."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from vecdb.engine.keyword.clauses import Group, Unit, units
from vecdb.engine.keyword.counting import Field, Held, holding, united
from vecdb.engine.keyword.language import Clause, Sign
from vecdb.engine.keyword.phrases import Verifier, best_first
from vecdb.engine.keyword.scoring import Scorer, Scores, TermScores, best, sums, union
from vecdb.index.bm25 import Float64
from vecdb.index.contract import Mask
from vecdb.index.postings.contract import Posting
from vecdb.model.context import CallContext
from vecdb.model.point import Int64

Shares = tuple[tuple[str, float], ...]
"""The terms of a group with their shares: what two groups have in common that count alike."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A query as looked up: ``adding`` to scores, in the order of sums, and ``barring``: what hits must not hold.

    ``terms``: by field, what counts as a term, and in how many counted texts it is; ``cut``: the groups that stand for
    fewer terms than there are.
    """

    adding: tuple[Scorer, ...]
    barring: tuple[Scorer, ...]
    terms: dict[str, dict[str, int]]
    cut: tuple[str, ...]

    def find(self, context: CallContext, need: int, size: int, verifier: Verifier) -> Scores:
        """Hits and their scores: at least the ``need`` best, and all equal to the last of them.

        ``size``: there are so many documents. Raises DeadlineExceeded.
        """
        phrases = [scorer for scorer in (*self.adding, *self.barring) if scorer.unit.phrase]
        musts = self._musts()
        if not phrases and not musts:
            return best(context, self.adding, need, size, self._unbarred if self.barring else None)
        documents = self._candidates(musts, size)
        possible = sums(context, self.adding, documents)
        if not phrases:
            return documents, possible

        def judge(some: Int64) -> tuple[Mask, Float64]:
            held = dict(zip(map(id, phrases), verifier.holds(phrases, some), strict=True))

            def holds(scorer: Scorer) -> Mask:
                return held[id(scorer)] if scorer.unit.phrase else scorer.has(some)

            keep = np.ones(len(some), dtype=np.bool_)
            for clause in musts or [list(self.adding)]:
                keep &= _any((holds(scorer) for scorer in clause), len(some))
            keep &= ~_any((holds(scorer) for scorer in self.barring), len(some))
            return keep, sums(context, self.adding, some, lambda i: held[id(self.adding[i])])

        return best_first(context, (documents, possible), need, judge)

    @property
    def plan(self) -> str:
        """How hits are found. ``terms``: what the rarest leave undecided is scored; ``all``: every document that
        postings allow; ``texts``: of these, best first, the texts are read to see phrases in them.
        """
        if any(scorer.unit.phrase for scorer in (*self.adding, *self.barring)):
            return "texts"
        return "all" if self._musts() else "terms"

    def _musts(self) -> list[list[Scorer]]:
        """By clause that must hold, the scorers of which one has to."""
        out: dict[int, list[Scorer]] = {}
        for scorer in self.adding:
            if scorer.unit.sign is Sign.MUST:
                out.setdefault(scorer.unit.clause, []).append(scorer)
        return list(out.values())

    def _candidates(self, musts: Sequence[Sequence[Scorer]], size: int) -> Int64:
        """The documents that postings do not rule out."""
        rarest = min(musts, key=lambda clause: sum(scorer.holding for scorer in clause), default=self.adding)
        documents = union([scorer.documents()[0] for scorer in rarest], size)
        for clause in musts:
            if clause is not rarest:
                documents = documents[_any((scorer.has(documents) for scorer in clause), len(documents))]
        return documents[self._unbarred(documents)]

    def _unbarred(self, documents: Int64) -> Mask:
        """Which documents hold nothing that they must not, as far as postings say."""
        terms = (scorer for scorer in self.barring if not scorer.unit.phrase)
        return ~_any((scorer.has(documents) for scorer in terms), len(documents))


def asked(context: CallContext, clauses: Sequence[Clause], fields: Sequence[Field], fuzzy: int) -> Asked:
    """Look up what some clauses ask for in each of the fields. Raises DeadlineExceeded."""
    scorers: list[Scorer] = []
    terms: dict[str, dict[str, int]] = {}
    cut: dict[str, None] = {}
    for place, field in enumerate(fields):
        wanted = _units(context, clauses, field, fuzzy)
        groups = {group.terms: group for some in wanted.values() for unit in some for group in _groups(unit)}
        held = _held(field, list(groups))
        counts = {group: sum(map(holding, some, field.sources)) for group, some in held.items()}
        terms[field.name] = {group.asked: counts[group.terms] for group in groups.values()}
        cut |= {group.asked: None for group in groups.values() if group.cut}
        for identity, some in wanted.items():
            here = [i for i, source in enumerate(field.sources) if source.analyzer.identity == identity]
            made: dict[Group, TermScores] = {}
            for unit in some:
                for group in _groups(unit):
                    if group not in made:
                        places = [(field.sources[i], held[group.terms][i]) for i in here]
                        made[group] = TermScores(field, places, counts[group.terms], group.times)
                required = tuple(made[group] for group in unit.required)
                scored = tuple(made[group] for group in unit.scored)
                scorers.append(Scorer(unit, place, field.sources[here[0]].analyzer, required, scored))
    scorers.sort(key=lambda scorer: scorer.holding)
    adding = tuple(scorer for scorer in scorers if scorer.unit.sign is not Sign.NOT)
    barring = tuple(scorer for scorer in scorers if scorer.unit.sign is Sign.NOT)
    return Asked(adding, barring, terms, tuple(cut))


def _units(context: CallContext, clauses: Sequence[Clause], field: Field, fuzzy: int) -> dict[object, tuple[Unit, ...]]:
    """What is asked for, by the analyzers of the field's texts: two, while it is indexed anew.

    Either way a prefix or a typo stands for terms of all the texts, so that both count it alike.
    """
    analyzers = {source.analyzer.identity: source.analyzer for source in field.sources}
    every = [source.postings for source in field.sources]

    def check() -> None:
        context.check("looking up words")

    return {identity: units(clauses, analyzer, every, fuzzy, check) for identity, analyzer in analyzers.items()}


def _held(field: Field, groups: Collection[Shares]) -> dict[Shares, list[Held]]:
    """By group and source, where it is held."""
    distinct = list(dict.fromkeys(term for group in groups for term, _ in group))
    out: dict[Shares, list[Held]] = {group: [] for group in groups}
    for source in field.sources:
        found: dict[str, Posting | None] = dict(zip(distinct, source.postings.find(distinct), strict=True))
        for group in groups:
            out[group].append(united([(found[term], share) for term, share in group], len(source.postings)))
    return out


def _groups(unit: Unit) -> Iterable[Group]:
    return dict.fromkeys((*unit.required, *unit.scored))


def _any(masks: Iterable[Mask], n: int) -> Mask:
    out = np.zeros(n, dtype=np.bool_)
    for mask in masks:
        out |= mask
    return out
