"""How well a restored collection is searched: the sampled queries of its archive, asked as users ask."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vecdb.engine.snapshots.answers import K
from vecdb.engine.snapshots.reading import Archived
from vecdb.model.point import Float32, Select
from vecdb.model.query import Near, SearchAnswer, SearchRequest

Search = Callable[[SearchRequest], SearchAnswer]


def recall(search: Search, one: Archived) -> dict[str, float]:
    """By vector field, recall@10 over the sampled queries.

    A hit counts when its score is that of an exact answer, so that equal ones may stand for each other. Where points
    expire, some of the archive's answers may be gone: there an exact search says what is right.
    """
    found = {}
    for name, number in one.entry.fields.vectors.items():
        if number not in one.answers:
            continue
        answers, select = one.answers[number], Select(payload=False)
        request = SearchRequest([Near(one.queries[number], name)], limit=K, select=select)
        right = answers.scores
        if one.expiring:
            right = _scores(search(SearchRequest(request.legs, limit=K, select=select, exact=True)))
        there = np.isfinite(right)
        lowest = np.where(there, right, np.inf).min(axis=1, initial=np.inf) - answers.error()
        hits = _scores(search(request))
        right_hits = np.minimum((hits >= lowest[:, None]).sum(axis=1), there.sum(axis=1))
        if total := int(there.sum()):
            found[name] = float(right_hits.sum() / total)
    return found


def _scores(answer: SearchAnswer) -> Float32:
    """The scores of the hits, float32 ``[q, K]``, -inf where there are fewer."""
    scores = np.full((len(answer.counts), K), -np.inf, np.float32)
    column = np.arange(K)[None, :] < answer.counts[:, None]
    scores[column] = answer.scores
    return scores
