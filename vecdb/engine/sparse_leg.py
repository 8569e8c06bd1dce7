"""A leg of sparse vectors at a view: dot products over the postings of each segment, one order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from vecdb.engine.allowed import vectors_of
from vecdb.engine.lookup import Lookup
from vecdb.engine.matcher import Matcher, Verified
from vecdb.engine.prepare import FieldIds, check_model, sparse_name
from vecdb.engine.ranked import Narrowing, Ranked, by_score_and_id, first_and_ties, in_order, owners
from vecdb.engine.texts import Texts
from vecdb.engine.view import View
from vecdb.index.contract import Mask
from vecdb.index.postings.weights import dot_products
from vecdb.model.context import CallContext
from vecdb.model.filter import Filter, both
from vecdb.model.point import Float32, Int64
from vecdb.model.query import SearchRequest
from vecdb.model.schema import Schema
from vecdb.model.sparse import Sparse, SparseVector
from vecdb.storage.codec import TEXT


class SparseLegs:
    """Finds points by sparse vectors in one collection. Any thread may use it."""

    def __init__(self, lookup: Lookup, matcher: Matcher, texts: Texts, fields: FieldIds, schema: Schema) -> None:
        self.lookup = lookup
        self.matcher = matcher
        self.texts = texts
        self.fields = fields
        self.schema = schema

    def check(self, leg: Sparse, path: str) -> None:
        """Refuse what does not fit the schema, naming ``path``. Raises InvalidVector and its kin."""
        name = sparse_name(self.schema, leg.using, f"{path}.sparse.using")
        check_model(self.schema.sparse[name], leg.model, f"{path}.sparse.model")
        leg.vectors.normalized(f"{path}.sparse.vectors")

    def leg(
        self,
        context: CallContext,
        view: View,
        request: SearchRequest,
        leg: Sparse,
        need: int,
        narrowing: Narrowing,
        explain: dict[str, Any] | None,
        min_score: float | None,
    ) -> Ranked:
        """The best ``need`` hits for each query: exactly min(need, matches) of them. Raises DeadlineExceeded."""
        search = _Leg(self, context, view, request, leg, narrowing.bodies, explain)
        vectors = leg.vectors.normalized("vectors")
        found = []
        for query in range(len(vectors)):
            found.append(search.query(vectors[query], need + narrowing.spare, min_score))
        ranked = in_order(found, range(len(found)))
        return narrowing.left(ranked, need)


class _Leg:
    """One leg at one view."""

    def __init__(
        self,
        legs: SparseLegs,
        context: CallContext,
        view: View,
        request: SearchRequest,
        leg: Sparse,
        within: Sequence[Mask] | None,
        explain: dict[str, Any] | None,
    ) -> None:
        self._legs = legs
        self._check = lambda: context.check("searching by sparse vectors")
        self._view = view
        name = sparse_name(legs.schema, leg.using, "using")
        self._key = TEXT | legs.fields.sparse[name]
        began, verified = time.perf_counter(), Verified()
        allowed = self._allowed(context, both(context.scope, request.filter, leg.filter), within, verified)
        filtered = time.perf_counter()
        self._sources = [
            (index, legs.texts.postings(context, view, index, self._key)[0], mask)
            for index, mask in enumerate(allowed)
            if self._key in view.segments[index].parts
        ]
        self._story: dict[str, Any] | None = None
        if explain is not None:
            self._story = {
                "using": name,
                "segments": [
                    {"vectors": len(postings), "allowed": _count(mask, len(postings))}
                    for _, postings, mask in self._sources
                ],
                "filter_ms": 1000 * (filtered - began),
                **verified.told(),
                "queries": [],
            }
            explain["legs"].append(self._story)

    def query(self, vector: SparseVector, need: int, min_score: float | None) -> Ranked:
        """The best ``need`` hits of one query."""
        began = time.perf_counter()
        segments, ordinals, scores = [_NONE], [_NONE], [np.zeros(0, dtype=np.float32)]
        scored = 0
        for index, postings, mask in self._sources:
            places, products = dot_products(vector, postings, self._check)
            if mask is not None:
                places, products = places[mask[places]], products[mask[places]]
            scored += len(places)
            rounded = products.astype(np.float32)
            if min_score is not None:
                enough = rounded.astype(np.float64) >= min_score
                places, rounded = places[enough], rounded[enough]
            best = first_and_ties(rounded, need)
            segments.append(np.full(len(best), index, dtype=np.int64))
            ordinals.append(places[best])
            scores.append(rounded[best])
        ranked = self._ranked(np.concatenate(segments), np.concatenate(ordinals), np.concatenate(scores), need)
        if self._story is not None:
            self._story["queries"].append(
                {"dimensions": len(vector), "scored": scored, "ms": 1000 * (time.perf_counter() - began)}
            )
        return ranked

    def _allowed(
        self, context: CallContext, filter: Filter | None, within: Sequence[Mask] | None, verified: Verified
    ) -> list[Mask | None]:
        """By segment, the vectors that may be answered; None for all, or where there are none."""
        view = self._view
        if filter is None and within is None and not view.expiring:
            parts = (segment.parts.get(self._key) for segment in view.segments)
            return [None if part is None else part.alive(view.seq) for part in parts]
        bodies = self._legs.matcher.bodies(context, view, filter, verified, within)
        return vectors_of(self._legs.lookup, view, self._key, bodies)

    def _ranked(self, segments: Int64, ordinals: Int64, scores: Float32, need: int) -> Ranked:
        """The ``need`` best of some vectors, by score and then id."""
        chosen = first_and_ties(scores, need)
        rows, segments, ordinals = owners(self._legs.lookup, self._view, self._key, segments[chosen], ordinals[chosen])
        scores = scores[chosen]
        order = by_score_and_id(self._view, segments, ordinals, scores)[:need]
        counts = np.array([len(order)], dtype=np.int64)
        return Ranked(counts, rows[order], segments[order], ordinals[order], scores[order], -scores[order])


_NONE = np.zeros(0, dtype=np.int64)


def _count(mask: Mask | None, n: int) -> int:
    return n if mask is None else int(np.count_nonzero(mask))
