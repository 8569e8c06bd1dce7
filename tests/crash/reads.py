"""What readers ask while others write, and whether an answer is that of a state the collection went through.

Every answer here tells the versions of its points, so it can be right for few moments only. A reader says when it
asks and what it got; whoever judges knows the states between the last write that was acknowledged before the question
and the first that was asked after the answer, and one of them must give this very answer.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.crash.record import DIMS, TEXTS, point_id, schema, sparse, text, vector
from tests.crash.report import CONTEXT, shown
from vecdb.engine.database import Database
from vecdb.index import metric
from vecdb.model.facet import FacetRequest
from vecdb.model.filter.expression import F
from vecdb.model.keyword import Keyword
from vecdb.model.modifier import Mmr
from vecdb.model.order import OrderBy
from vecdb.model.point import Select
from vecdb.model.query import Near, SearchRequest
from vecdb.model.schema import Metric
from vecdb.model.sparse import Sparse, SparseVectors

MUCH = 1_000
"""More than a collection has points."""
CLOSE = 1e-4
"""Scores nearer than this are equal here: they are computed again in another way."""
WORDS = ("text", "文本", "text 7", "title", "title 文本")
KINDS = (
    "count", "count_where", "get", "scroll", "facet", "order", "near", "walk", "words", "sparse", "hybrid", "mmr"
)  # fmt: skip


class Seen:
    """A state of a collection as readers see it: its points by id, each a ``Point`` of the oracle."""

    def __init__(self, collection: str, points: Mapping[str, Any]) -> None:
        self.points = points
        self.measures: dict[str, Metric] = {name: field.metric for name, field in schema(collection).vectors.items()}
        self._near: dict[str, tuple[list[str], NDArray[np.float32]]] = {}

    def vectors(self, field: str) -> tuple[list[str], NDArray[np.float32]]:
        """(ids, vectors) of those that have one."""
        if field not in self._near:
            held = {i: p.vectors[field] for i, p in self.points.items() if field in p.vectors}
            data = np.stack([vector(s, field) for s in held.values()]) if held else np.zeros((0, DIMS[field]))
            self._near[field] = list(held), data.astype(np.float32)
        return self._near[field]

    def versions(self, ids: Iterable[str]) -> list[int | None]:
        """Of points; None where there is none."""
        return [self.points[i].version if i in self.points else None for i in ids]

    def with_words(self, field: str, asked: str) -> set[str]:
        """The points in whose text one of the words stands."""
        words = set(asked.split())
        held = {i: p.texts[field] for i, p in self.points.items() if field in p.texts}
        return {i for i, source in held.items() if words & set(text(source, field).split())}


@dataclass(frozen=True, slots=True)
class Found:
    """Hits: ids, versions and scores, in order."""

    ids: list[str]
    versions: list[int]
    scores: list[float]


def invent(draw: random.Random, ids: int) -> list[Any]:
    """A question, as JSON."""
    kind = draw.choice(KINDS)
    match kind:
        case "count_where" | "get":
            return [kind, *([draw.randrange(20)] if kind == "count_where" else draw.sample(range(ids), 6))]
        case "scroll":
            return [kind, draw.randrange(ids)]
        case "near" | "walk":
            return [kind, draw.choice(list(DIMS)), draw.randrange(1 << 30), draw.choice([1, 10, 100])]
        case "words":
            return [kind, draw.choice(list(TEXTS)), draw.choice(WORDS)]
        case "sparse":
            return [kind, [draw.randrange(40), 100 + draw.randrange(8)]]
        case "hybrid":
            return [kind, draw.choice(list(TEXTS)), draw.choice(WORDS), draw.randrange(1 << 30)]
        case "mmr":
            return [kind, draw.randrange(1 << 30)]
    return [kind]


def ask(database: Database, name: str, question: Sequence[Any]) -> Any:
    """Ask, and give the answer as JSON."""
    kind, *given = question
    match kind:
        case "count":
            return database.count(CONTEXT, name)
        case "count_where":
            return database.count(CONTEXT, name, F("i") == given[0])
        case "get":
            return shown(database.get(CONTEXT, name, [point_id(n) for n in given], Select()))
        case "scroll":
            page, ended = database.scroll(CONTEXT, name, point_id(given[0]), 10, Select())
            return [shown(page), ended]
        case "facet":
            facet = database.facet(CONTEXT, name, FacetRequest(("k",)))
            return [[[v.value, v.count] for v in facet.values], facet.present, facet.missing]
        case "order":
            ordered = database.ordered(CONTEXT, name, OrderBy("w", descending=True), b"", 10, Select())
            return shown(ordered.points)
    answer = database.search(CONTEXT, name, _request(question))
    return [answer.points.ids, answer.points.versions.tolist(), answer.scores.tolist()]


def _request(question: Sequence[Any]) -> SearchRequest:
    kind, *given = question
    match kind:
        case "near" | "walk":
            return SearchRequest([Near(_query(given[1], given[0]), given[0])], limit=given[2], exact=kind == "near")
        case "words":
            return SearchRequest([Keyword([given[1]], {given[0]: 1.0})], limit=MUCH)
        case "sparse":
            weights = SparseVectors.of([2], np.array(given[0], np.uint32), np.ones(2, np.float32))
            return SearchRequest([Sparse(weights)], limit=MUCH)
        case "hybrid":
            return SearchRequest([Near(_query(given[2], ""), ""), Keyword([given[1]], {given[0]: 1.0})])
    return SearchRequest([Near(_query(given[0], ""), "")], mmr=Mmr(0.5), limit=5)


def fits(question: Sequence[Any], got: Any, seen: Seen) -> bool:
    """Whether a state gives this answer."""
    kind, *given = question
    points = seen.points
    match kind:
        case "count":
            return bool(got == len(points))
        case "count_where":
            return bool(got == sum(p.row == given[0] for p in points.values()))
        case "get":
            wanted = [i for i in map(point_id, given) if i in points]
            return list(got) == wanted and _same(got, points)
        case "scroll":
            page, ended = got
            after = sorted((i for i in points if i.encode() > point_id(given[0]).encode()), key=str.encode)
            return list(page) == after[:10] and _same(page, points) and ended == (len(after) <= 10)
        case "facet":
            values, present, missing = got
            counted = Counter(p.payload.k for p in points.values() if p.payload is not None)
            return dict(values) == counted and [present, missing] == [counted.total(), len(points) - counted.total()]
        case "followed":
            return bool(got == {i: p.version for i, p in points.items()})
        case "order":
            with_payload = {i: p.payload.w for i, p in points.items() if p.payload is not None}
            best = sorted(with_payload.values(), reverse=True)[:10]
            in_order = [with_payload.get(i) for i in got]
            return in_order == best + [None] * (min(10, len(points)) - len(best)) and _same(got, points)
    return _hits(kind, given, Found(*got), seen)


def _same(got: Mapping[str, Any], points: Mapping[str, Any]) -> bool:
    """Whether all of ``got`` are points of this state, with their versions, payloads and texts."""
    return all(i in points and points[i].shown()[:3] == told[:3] for i, told in got.items())


def _hits(kind: str, given: Sequence[Any], found: Found, seen: Seen) -> bool:
    if seen.versions(found.ids) != found.versions or len(set(found.ids)) != len(found.ids):
        return False
    if sorted(found.scores, reverse=True) != found.scores and kind != "mmr":
        return False
    match kind:
        case "near" | "walk":
            field, seed, limit = given
            scores = _scores(seen, field, seed)
            return _best(found, scores, limit, exactly=kind == "near")
        case "words":
            return set(found.ids) == seen.with_words(*given)
        case "sparse":
            asked = set(given[0])
            products = {
                i: sum(weight for index, weight in sparse(p.sparse).items() if index in asked)
                for i, p in seen.points.items()
                if p.sparse is not None
            }
            return _best(found, {i: product for i, product in products.items() if product}, MUCH, exactly=True)
        case "hybrid":
            either = set(seen.vectors("")[0]) | seen.with_words(*given[:2])
            return len(found.ids) == min(10, len(either)) and either.issuperset(found.ids)
    ids, _ = seen.vectors("")
    return len(found.ids) == min(5, len(ids)) and set(ids).issuperset(found.ids)


def _best(found: Found, scores: Mapping[str, float], limit: int, exactly: bool) -> bool:
    """Whether these are the best hits, or, of a walk through a graph, as many as there must be; with their scores."""
    if len(found.ids) != min(limit, len(scores)):
        return False
    if any(i not in scores or abs(scores[i] - told) > CLOSE for i, told in zip(found.ids, found.scores, strict=True)):
        return False
    best = sorted(scores.values(), reverse=True)[: len(found.ids)]
    return not exactly or all(abs(a - b) <= CLOSE for a, b in zip(found.scores, best, strict=True))


def _scores(seen: Seen, field: str, seed: int) -> dict[str, float]:
    ids, vectors = seen.vectors(field)
    if not ids:
        return {}
    measure = seen.measures[field]
    query = metric.prepare(measure, _query(seed, field))[0]
    scores, _ = metric.score(measure, query, metric.prepare(measure, vectors))
    return dict(zip(ids, scores.tolist(), strict=True))


def _query(seed: int, field: str) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((1, DIMS[field])).astype(np.float32)
