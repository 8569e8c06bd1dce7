"""Phrases: whether their terms stand in a text as they do in the query, and the best hits with few texts read.

Postings say only that all terms of a phrase are in a text. So scores are at first too high, or of documents that are no
hits; they are taken best first and judged by their texts, until no document left can come among the best.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from vecdb.engine.keyword.scoring import NOTHING, Scorer, Scores
from vecdb.index.bm25 import Float64
from vecdb.index.contract import Mask
from vecdb.model.context import CallContext
from vecdb.model.point import Int64
from vecdb.model.token import Token

READ_TEXTS = 64
"""Documents judged at once, at first; as many again as were, when these are not enough."""
MAX_READ_TEXTS = 1_024

Judge = Callable[[Int64], tuple[Mask, Float64]]
"""Which of some documents are hits, and their true scores."""
TextsOf = Callable[[Int64], Sequence[Mapping[int, str]]]
"""Reads the texts of documents, by the place of the field among those searched."""


def occurrences(tokens: Sequence[Token], phrase: Sequence[tuple[str, int]]) -> list[list[Token]]:
    """The places of a text where a phrase stands, each as the tokens of its terms.

    ``tokens``: of the text, as ``Terms.phrase()`` gives them; ``phrase``: (term, distance from the first).
    """
    at: dict[tuple[str, int], Token] = {(token.term, token.position): token for token in tokens}
    first = phrase[0][0]
    out = []
    for token in tokens:
        if token.term == first:
            found = [at.get((term, token.position + distance)) for term, distance in phrase]
            if all(found):
                out.append([one for one in found if one is not None])
    return out


class Verifier:
    """Reads texts to see which phrases stand in them."""

    def __init__(self, texts_of: TextsOf) -> None:
        self._texts_of = texts_of
        self.verified = 0

    def holds(self, scorers: Sequence[Scorer], documents: Int64) -> list[Mask]:
        """By scorer with a phrase, which of the documents hold it as it is."""
        maybe = [scorer.has(documents) for scorer in scorers]
        wanted = np.flatnonzero(np.any(maybe, axis=0))
        self.verified += len(wanted)
        for i, texts in zip(wanted.tolist(), self._texts_of(documents[wanted]), strict=True):
            tokens: dict[tuple[int, int], list[Token]] = {}
            for scorer, mask in zip(scorers, maybe, strict=True):
                text = texts.get(scorer.field)
                if not mask[i] or text is None:
                    mask[i] = False
                    continue
                key = (scorer.field, id(scorer.analyzer))
                if key not in tokens:
                    tokens[key] = scorer.analyzer.analyze(text).phrase()
                mask[i] = bool(occurrences(tokens[key], scorer.unit.phrase))
        return maybe


def best_first(context: CallContext, possible: Scores, need: int, judge: Judge) -> Scores:
    """Of documents with scores that may be too high, hits with their true scores: the ``need`` best among them."""
    documents, most = possible
    most_told = most.astype(np.float32)
    left = np.arange(len(documents))
    found: list[Scores] = [NOTHING]
    size = READ_TEXTS
    while len(left):
        context.check("looking for phrases in texts")
        if len(left) > size:
            order = np.argpartition(-most_told[left], size)
            now, left = left[order[:size]], left[order[size:]]
        else:
            now, left = left, left[:0]
        now.sort()
        size = min(2 * size, MAX_READ_TEXTS)
        keep, scores = judge(documents[now])
        found.append((documents[now[keep]], scores[keep]))
        told = np.concatenate([some for _, some in found]).astype(np.float32)
        if len(left) and len(told) >= need:
            least = np.partition(told, len(told) - need)[len(told) - need]
            if most_told[left].max() < least:
                break
    documents = np.concatenate([some for some, _ in found])
    order = np.argsort(documents)
    return documents[order], np.concatenate([some for _, some in found])[order]
