"""Search by example: from ids to the vectors searched for, and to the rows that are no hits, at a view."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vecdb.engine.judge import facts_of
from vecdb.engine.lookup import Lookup
from vecdb.engine.prepare import FieldIds, check_ids, vector_name
from vecdb.engine.ranked import EVERYTHING, Narrowing
from vecdb.engine.view import View
from vecdb.errors import InvalidVector, PointNotFound
from vecdb.index import metric
from vecdb.model.filter import Filter, matches
from vecdb.model.point import Float32, Select
from vecdb.model.query import Examples, Leg, Near, SearchRequest
from vecdb.model.schema import Metric, Schema


class ExampleReader:
    """Reads the examples of searches in one collection. Any thread may use it."""

    def __init__(self, lookup: Lookup, fields: FieldIds, schema: Schema) -> None:
        self._lookup = lookup
        self._fields = fields
        self._schema = schema

    def resolved(self, view: View, request: SearchRequest, scope: Filter | None) -> tuple[SearchRequest, Narrowing]:
        """The request with vectors in place of examples, and what leaves the examples out of every leg.

        Raises PointNotFound naming the first id that ``view`` and ``scope`` do not have, or that has no vector.
        """
        if not any(isinstance(leg, Near) and leg.examples is not None for leg in request.legs):
            return request, EVERYTHING
        request.validate()
        without: list[set[int]] = [set() for _ in range(request.queries)]
        legs = [self._leg(view, leg, scope, f"legs[{i}]", without) for i, leg in enumerate(request.legs)]
        rows = [np.array(sorted(some), dtype=np.uint64) for some in without]
        return replace(request, legs=legs), Narrowing(without=rows)

    def _leg(self, view: View, leg: Leg, scope: Filter | None, path: str, without: list[set[int]]) -> Leg:
        if not isinstance(leg, Near) or leg.examples is None:
            return leg
        using = vector_name(self._schema, leg.using, f"{path}.using")
        field = self._schema.vectors[using]
        places: dict[str, str] = {}  # of each id the first
        for q, some in enumerate(leg.examples):
            where = f"{path}.near.examples.queries[{q}]"
            check_ids(some.positive, f"{where}.positive")
            check_ids(some.negative, f"{where}.negative")
            for kind, ids in (("positive", some.positive), ("negative", some.negative)):
                for i, point_id in enumerate(ids):
                    places.setdefault(point_id, f"{where}.{kind}[{i}]")
        row_of, vector_of = self._read(view, places, using, scope)
        vectors = np.empty((len(leg.examples), field.dim), dtype=np.float32)
        for q, some in enumerate(leg.examples):
            positive = np.stack([vector_of[i] for i in some.positive])
            negative = np.stack([vector_of[i] for i in some.negative]) if some.negative else None
            vectors[q] = searched_for(field.metric, positive, negative)
            without[q] |= {row_of[i] for i in (*some.positive, *some.negative)}
            if field.metric == "cosine" and not vectors[q].any():
                raise InvalidVector(
                    "the examples cancel each other out",
                    field=f"{path}.near.examples.queries[{q}]",
                    expected="a direction",
                    received=_told(some),
                )
        return replace(leg, vectors=vectors, examples=None)

    def _read(
        self, view: View, places: dict[str, str], using: str, scope: Filter | None
    ) -> tuple[dict[str, int], dict[str, Float32]]:
        """The row and the vector, as written, of each id of ``places``, which tells where it is named."""
        field_id = self._fields.vectors[using]
        rows = self._lookup.rows_of(view, list(places))
        bodies = iter(self._lookup.bodies([row for row in rows if row is not None]))
        found = []
        for point_id, row in zip(places, rows, strict=True):
            body = None if row is None else next(bodies)
            if body is None or (scope is not None and not matches(scope, facts_of(body, self._fields))):
                raise _missing("an example does not exist", point_id, places, "a point")
            if field_id not in body.slots:
                raise _missing("an example has no vector in the field", point_id, places, f"a vector in {using!r}")
            found.append(body)
        row_of = {point_id: row for point_id, row in zip(places, rows, strict=True) if row is not None}
        only = FieldIds({using: field_id}, {})
        _, _, columns = self._lookup.columns(found, list(row_of.values()), Select(False, False, True), only)
        assert columns is not None
        return row_of, dict(zip(row_of, columns[using].data, strict=True))


def searched_for(kind: Metric, positive: Float32, negative: Float32 | None) -> Float32:
    """The vector between examples, float32 ``[dim]``; ``positive`` and ``negative`` (None: none) are ``[n, dim]``.

    mean(positive), or 2 mean(positive) - mean(negative), of vectors normalized first under cosine; in float64.
    """
    mean = _mean(kind, positive)
    if negative is not None:
        mean = 2 * mean - _mean(kind, negative)
    with np.errstate(over="ignore"):  # what is too large for float32 is refused like any vector
        out: Float32 = mean.astype(np.float32)
    return out


def _mean(kind: Metric, vectors: Float32) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    ready = metric.prepare(kind, np.ascontiguousarray(vectors))
    return np.asarray(ready.astype(np.float64).mean(axis=0))


def _missing(message: str, point_id: str, places: dict[str, str], expected: str) -> PointNotFound:
    return PointNotFound(message, field=places[point_id], expected=expected, received=repr(point_id)[:80])


def _told(examples: Examples) -> str:
    return f"{len(examples.positive)} to be near to, {len(examples.negative)} to be far from"
