"""Choose hits that differ from each other: maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998).

Hits are chosen one after another, each time the one with the greatest

    relevance * score - (1 - relevance) * (similarity to the nearest of those chosen)

among the first candidates of a query. Scores are stretched to 0..1 over these; a similarity is the cosine of two
vectors, 0 where either point has none, and of the first chosen 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vecdb.engine.lookup import Lookup
from vecdb.engine.prepare import FieldIds, vector_name
from vecdb.engine.ranked import Ranked, by_segment, end_to_end
from vecdb.engine.view import View
from vecdb.index import metric
from vecdb.model.context import CallContext
from vecdb.model.modifier import Mmr
from vecdb.model.point import Float32, Int64, Select
from vecdb.model.schema import Schema


class Choosing:
    """Chooses among the hits of one collection. Any thread may use it."""

    def __init__(self, lookup: Lookup, fields: FieldIds, schema: Schema) -> None:
        self._lookup = lookup
        self._fields = fields
        self._schema = schema

    def check(self, mmr: Mmr) -> None:
        """Refuse a field that there is not. Raises FieldNotFound."""
        vector_name(self._schema, mmr.using, "mmr.using")

    def chosen(
        self, context: CallContext, view: View, ranked: Ranked, mmr: Mmr, candidates: int, window: int
    ) -> Ranked:
        """The first ``window`` hits of each query in the order in which they were chosen, with their scores.

        Where the window is wider than ``candidates``, what lies behind those follows in its order.
        """
        using = vector_name(self._schema, mmr.using, "mmr.using")
        return end_to_end([self._one(context, view, one, mmr, using, candidates, window) for one in ranked.each()])

    def _one(
        self,
        context: CallContext,
        view: View,
        ranked: Ranked,
        mmr: Mmr,
        using: str,
        candidates: int,
        window: int,
    ) -> Ranked:
        """The hits of one query."""
        context.check("choosing hits that differ")
        some = ranked.window(0, candidates)
        order = choose(some.scores, self._vectors(view, some, using), mmr.relevance, min(window, len(some.rows)))
        behind = np.arange(candidates, min(window, len(ranked.rows)))
        at = np.concatenate([order, behind])
        return ranked.take(at, np.array([len(at)]))

    def _vectors(self, view: View, ranked: Ranked, using: str) -> Float32:
        """The vectors of hits in a field, of length 1, float32 ``[n, dim]``; zeros for those without.

        Most are in the part of their segment, under their own row; one that an edit left alone, under another, is
        found by its body.
        """
        field_id = self._fields.vectors[using]
        out = np.zeros((len(ranked.rows), self._schema.vectors[using].dim), dtype=np.float32)
        left = np.ones(len(ranked.rows), dtype=np.bool_)
        for index, where in by_segment(ranked.segments):
            part = view.segments[index].parts.get(field_id)
            if part is not None:
                ordinals, found = part.find(ranked.rows[where])
                at = np.arange(len(ranked.rows))[where][found]
                out[at] = part.take(ordinals[found])
                left[at] = False
        rows, which = np.unique(ranked.rows[left], return_inverse=True)
        if len(rows):
            bodies, only = self._lookup.bodies(rows.tolist()), FieldIds({using: field_id}, {})
            _, _, columns = self._lookup.columns(bodies, rows.tolist(), Select(False, False, True), only)
            column = None if columns is None else columns.get(using)
            if column is not None:
                read = np.zeros((len(rows), out.shape[1]), dtype=np.float32)
                read[slice(None) if column.rows is None else column.rows] = column.data
                out[left] = read[which]
        return metric.prepare("cosine", out)


def choose(scores: Float32, vectors: Float32, relevance: float, count: int) -> Int64:
    """The first ``count`` chosen of n candidates, as positions int64 in the order of choice.

    ``scores`` float32 ``[n]``, best first; ``vectors`` float32 ``[n, dim]`` of length 1 or 0; ``count`` at most n. Of
    equal ones the first is chosen.
    """
    values = scores.astype(np.float64)
    low, high = values.min(initial=np.inf), values.max(initial=-np.inf)
    stretched = (values - low) / (high - low) if high > low else np.ones(len(values))
    worth: NDArray[np.float64] = relevance * stretched
    nearest = np.zeros(len(values))
    order = np.empty(count, dtype=np.int64)
    for place in range(count):
        order[place] = at = int(np.argmax(worth - (1.0 - relevance) * nearest))
        worth[at] = -np.inf
        similar = metric.score("cosine", vectors[at], vectors)[0].astype(np.float64)
        nearest = similar if place == 0 else np.maximum(nearest, similar)
    return order
