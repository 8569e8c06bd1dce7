"""What a database is: a dict of points, and brute force. The oracle of the state machine.

It shares one thing with the engine, the scoring function, so that scores can be compared bit for bit; a
second, naive computation in float64 watches that one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests import bm25
from vecdb.client.filters import to_filter
from vecdb.client.keyword import Keyword, Query
from vecdb.client.modifiers import Boost, Decay
from vecdb.client.near import Near
from vecdb.client.operations import Clear, Delete, Insert, Operation, Update, Upsert
from vecdb.errors import ConditionFailed, PointExists
from vecdb.index import metric
from vecdb.model.filter import Facts, Filter, matches
from vecdb.model.fusion import DistributionScore, Fusion, RelativeScore, Rrf
from vecdb.model.hit import InLeg, Point
from vecdb.model.point import WriteResult
from vecdb.model.schema import Metric, Schema, SparseField, TextField, VectorField

FUSION_DEPTH = 100


@dataclass(frozen=True)
class Held:
    """A point."""

    vectors: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    payload: Mapping[str, Any] | None = None
    version: int = 0
    expires: float | None = None
    sparse: Mapping[str, Mapping[int, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Given:
    """A row of a write: a point, with what is not given left out."""

    id: str
    held: Held


@dataclass(frozen=True)
class Step:
    """An operation: ``verb`` is upsert, insert, update, delete or clear; or change or drop, of what ``filter`` matches.

    A change merges ``payload`` in and takes ``unset`` out; so does an update if it ``merges``. ``conditions`` are those
    of the client.
    """

    verb: str
    rows: Sequence[Given] = ()
    filter: Filter | None = None
    payload: Mapping[str, Any] | None = None
    unset: Sequence[str] = ()
    merges: bool = False
    ttl: float | None = None
    conditions: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ids(self) -> list[str]:
        return [row.id for row in self.rows]


@dataclass(frozen=True)
class Words:
    """A leg by words, as the client has it in ``Keyword``."""

    text: str
    language: bool = False
    fuzzy: int = 0
    fields: Mapping[str, float] | None = None
    weight: float = 1.0
    depth: int | None = None
    filter: Filter | None = None


Leg = Near | Words


def of_client(leg: Leg) -> Near | Keyword:
    """A leg in the client's words."""
    if isinstance(leg, Near):
        return leg
    common: Any = {"weight": leg.weight, "depth": leg.depth, "filter": leg.filter}
    if leg.language:
        return Keyword(Query(leg.text, leg.fuzzy, leg.fields), **common)
    return Keyword(leg.text, leg.fields, leg.fuzzy, **common)


@dataclass(frozen=True)
class Ranked:
    """A hit that should come; ``legs``: of a fused search, what each says of it."""

    id: str
    score: float
    distance: float | None
    legs: Sequence[InLeg] | None = None


SCHEMA = Schema(
    {"": VectorField(4, "cosine"), "plan": VectorField(3, "euclidean"), "dot": VectorField(2, "dot")},
    {"": TextField(), "title": TextField()},
    sparse={"": SparseField(), "bge": SparseField()},
)


@dataclass
class Clock:
    """Seconds since 1970 as the sites are told them, or some of them."""

    now: float = 1e9

    def __call__(self) -> float:
        return self.now


EXTRA = VectorField(2, "dot")
"""The field that comes and goes, called this or that."""


def field_called(name: str | None) -> VectorField:
    """What a vector field is, be it one that comes and goes."""
    return SCHEMA.vectors.get(name or "", EXTRA)


class Model:
    """The points of one collection, and the number of its last write."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.points: dict[str, Held] = {}
        self.seq = 0
        self.texts = dict(SCHEMA.texts)  # how its text fields are analyzed and scored
        self.clock = clock or Clock()
        self.expired: set[str] = set()  # gone, and not yet swept away nor overwritten

    def at(self, points: Mapping[str, Held], seq: int) -> Model:
        """Another moment of it: the same but for the points and the number."""
        moment = Model(self.clock)
        moment.points, moment.seq, moment.texts = dict(points), seq, self.texts
        return moment

    def expire(self) -> None:
        """What has expired is gone; as a write it counts only once it is swept."""
        self.expired |= self.points.keys() - self.living(self.points).keys()
        self.points = self.living(self.points)

    def living(self, points: Mapping[str, Held]) -> dict[str, Held]:
        """Those that have not expired."""
        return {i: held for i, held in points.items() if held.expires is None or held.expires > self.clock.now}

    def seen(self, scope: Filter | None) -> dict[str, Held]:
        """The points of a scope."""
        return dict(_matching(self.points, scope))

    def write(self, steps: Sequence[Step], scope: Filter | None) -> tuple[dict[str, Held], WriteResult]:
        """The points after a batch, and its result; nothing is changed yet. Raises PointExists, ConditionFailed."""
        before = self.points
        seen = set(self.seen(scope))
        hidden = before.keys() - seen
        now = dict(before)
        touched: set[str] = set()
        count = 0
        for step in steps:
            visible = now.keys() - hidden
            ids = set(step.ids)
            if step.verb == "clear":
                ids = set(visible)
            if step.filter is not None:
                ids = {i for i in visible if matches(step.filter, Facts(i, payload=now[i].payload))}
            for i in step.ids:
                version = 0 if i not in visible else self.seq + 1 if i in touched else now[i].version
                if not _holds(step.conditions, version, None if i not in visible else now[i]):
                    raise ConditionFailed("lost", received=str(version or "none"))
            if step.verb == "change":
                changed = {i: _merged(now[i].payload, step.payload, step.unset) for i in ids}
                now |= {i: replace(now[i], payload=payload) for i, payload in changed.items()}
                touched |= ids
                count += len(ids)
            elif step.verb in ("delete", "clear", "drop"):
                gone = ids & visible
                now = {i: p for i, p in now.items() if i not in gone}
                touched |= gone
                count += len(gone)
            elif step.verb == "update":
                for row in step.rows:
                    if row.id in visible:
                        old = now[row.id]
                        payload = old.payload if row.held.payload is None else row.held.payload
                        now[row.id] = Held(
                            {**old.vectors, **row.held.vectors},
                            {**old.texts, **row.held.texts},
                            _merged(old.payload, row.held.payload, ()) if step.merges else payload,
                            expires=old.expires if step.ttl is None else self.clock.now + step.ttl,
                            sparse={**old.sparse, **row.held.sparse},
                        )
                touched |= ids & visible
                count += len(ids & visible)
            else:
                if ids & (hidden if step.verb == "upsert" else set(now)):
                    raise PointExists("the id is taken")
                expires = None if step.ttl is None else self.clock.now + step.ttl
                now |= {row.id: replace(row.held, expires=expires) for row in step.rows}
                touched |= ids
                count += len(ids)
        written = {i for i in touched if i in now}
        killed = {i for i in touched if i in before or i in self.expired}
        seq = self.seq + 1 if written or killed else self.seq
        now |= {i: replace(now[i], version=seq) for i in written}
        return now, WriteResult(seq, count)

    def ranked(
        self,
        legs: Sequence[Leg],
        scope: Filter | None,
        min_score: float | None,
        window: int,
        fusion: Fusion | None = None,
        filter: Filter | None = None,
        modifiers: Sequence[Decay | Boost] = (),
    ) -> list[Ranked]:
        """Every hit, best first: of one leg, or of several fused for answers up to ``window`` deep.

        With modifiers: of those that no leg cuts off.
        """
        single = [self._of_leg(leg, scope, filter) for leg in legs]
        if len(legs) == 1:
            found = single[0]
        else:
            given = [hits[: max(leg.depth or FUSION_DEPTH, window)] for leg, hits in zip(legs, single, strict=True)]
            found = fused(given, [leg.weight for leg in legs], fusion or Rrf())
        if modifiers:
            seen = self.seen(scope)
            found = [replace(hit, score=modified(hit.score, seen[hit.id], modifiers)) for hit in found]
            found.sort(key=lambda hit: (-hit.score, hit.id.encode()))
        if min_score is not None:
            found = [hit for hit in found if hit.score >= min_score]
        return found

    def _of_leg(self, leg: Leg, scope: Filter | None, filter: Filter | None) -> list[Ranked]:
        seen = self.seen(scope)
        among = _matching(_matching(seen, filter), to_filter(leg.filter))
        if isinstance(leg, Near):
            return rank(among, leg)
        corpus = bm25.Corpus.of({i: held.texts for i, held in seen.items()}, self.texts)
        found = corpus.ranked(bm25.Words(leg.text, leg.fields, leg.language, leg.fuzzy), among)
        hits = [Ranked(i, float(np.float32(score)), None) for i, score in found]
        return sorted(hits, key=lambda hit: (-hit.score, hit.id.encode()))


def fused(given: Sequence[Sequence[Ranked]], weights: Sequence[float], fusion: Fusion) -> list[Ranked]:
    """The hits of several legs as one list: each leg's shares, by its weight, and what it says of each hit."""
    total: dict[str, float] = {}
    for hits, weight in zip(given, weights, strict=True):
        for hit, share in zip(hits, _shares([hit.score for hit in hits], fusion), strict=True):
            total[hit.id] = total.get(hit.id, 0.0) + weight / sum(weights) * share
    places = [{hit.id: InLeg(place, hit.score) for place, hit in enumerate(hits, 1)} for hits in given]
    nowhere = InLeg(None, None)
    found = [
        Ranked(i, float(np.float32(share)), None, [leg.get(i, nowhere) for leg in places]) for i, share in total.items()
    ]
    return sorted(found, key=lambda hit: (-hit.score, hit.id.encode()))


def modified(score: float, held: Held, modifiers: Sequence[Decay | Boost]) -> float:
    """The score of a point after some modifiers, of numbers at keys of one part."""
    for modifier in modifiers:
        value = (held.payload or {}).get(modifier.key)
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
        if isinstance(modifier, Boost):
            score += modifier.weight * math.log1p(max(0.0, float(number or 0)))
            continue
        assert isinstance(modifier.origin, float) and isinstance(modifier.half, float)
        factor = modifier.missing if number is None else 0.5 ** (abs(number - modifier.origin) / modifier.half)
        score -= (1 - factor) * abs(score)
    return float(np.float32(score))


def _shares(scores: Sequence[float], fusion: Fusion) -> list[float]:
    """What the hits of one leg, best first, are given: 0..1."""
    if isinstance(fusion, Rrf):
        return [(fusion.k + 1) / (fusion.k + place) for place in range(1, len(scores) + 1)]
    equal = len(set(scores)) < 2
    if isinstance(fusion, RelativeScore):
        low, high, middle = min(scores, default=0.0), max(scores, default=0.0), 1.0
    else:
        assert isinstance(fusion, DistributionScore)
        spread = 0.0 if equal else 3 * float(np.std(scores, ddof=1))
        mean = float(np.mean(scores)) if scores else 0.0
        low, high, middle = mean - spread, mean + spread, 0.5
    return [middle if equal else min(1.0, max(0.0, (score - low) / (high - low))) for score in scores]


def _holds(conditions: Mapping[str, Any], version: int, held: Held | None) -> bool:
    """Whether all conditions hold of a point; None when there is none."""
    return (
        not (conditions.get("if_absent") and held is not None)
        and not (conditions.get("if_exists") and held is None)
        and conditions.get("if_version") in (None, version)
        and (
            "if_filter" not in conditions
            or (held is not None and matches(conditions["if_filter"], Facts("", payload=held.payload)))
        )
    )


def _merged(
    old: Mapping[str, Any] | None, more: Mapping[str, Any] | None, unset: Sequence[str]
) -> Mapping[str, Any] | None:
    """A payload after a merge."""
    if old is None:
        return more
    return {**{key: value for key, value in old.items() if key not in unset}, **(more or {})}


def facts(id: str, held: Held) -> Facts:
    """What a filter may ask of a point."""
    return Facts(id, held.version, held.payload, held.texts, held.vectors.keys())


def _matching(points: Mapping[str, Held], filter: Filter | None) -> Mapping[str, Held]:
    return points if filter is None else {i: p for i, p in points.items() if matches(filter, facts(i, p))}


def differs_well(points: Mapping[str, Held], ranking: Sequence[Ranked], chosen: Sequence[str], share: float) -> bool:
    """Whether each of ``chosen`` was the best choice when it was made: relevant, and unlike those before it.

    The vectors compared are those of the unnamed field. Near a tie either may be chosen.
    """
    low, high = min(hit.score for hit in ranking), max(hit.score for hit in ranking)
    worth = {hit.id: share * ((hit.score - low) / (high - low) if high > low else 1.0) for hit in ranking}
    nearest = dict.fromkeys(worth, 0.0)
    for place, point_id in enumerate(chosen):
        gains = {i: worth[i] - (1 - share) * nearest[i] for i in worth}
        if gains[point_id] < max(gains.values()) - 1e-5:
            return False
        del worth[point_id]
        for i in worth:
            alike = _cosine(points[i].vectors.get(""), points[point_id].vectors.get(""))
            nearest[i] = alike if place == 0 else max(nearest[i], alike)
    return True


def _cosine(a: NDArray[np.float32] | None, b: NDArray[np.float32] | None) -> float:
    if a is None or b is None:
        return 0.0
    return float(_naive("cosine", a.astype(np.float64), b.astype(np.float64)[None])[0])


def rank(points: Mapping[str, Held], near: Near) -> list[Ranked]:
    """All points that carry the field, best first."""
    about = field_called(near.using)
    having = {i: p.vectors[near.using] for i, p in points.items() if near.using in p.vectors}
    if not having:
        return []
    query = np.asarray(near.vector, dtype=np.float32)
    vectors = np.stack(list(having.values()))
    scores, distances = metric.score(
        about.metric, metric.prepare(about.metric, query[None])[0], metric.prepare(about.metric, vectors)
    )
    naive = _naive(about.metric, query.astype(np.float64), vectors.astype(np.float64))
    assert np.allclose(scores, naive, rtol=1e-5, atol=1e-5)
    hits = zip(having, scores.tolist(), distances.tolist(), strict=True)
    return sorted((Ranked(*hit) for hit in hits), key=lambda hit: (-hit.score, hit.id.encode()))


def rank_sparse(points: Mapping[str, Held], weights: Mapping[int, float], using: str) -> list[Ranked]:
    """All points whose sparse vectors have a dimension in common with ``weights``, best first by dot product."""
    hits = []
    for i, held in points.items():
        given = held.sparse.get(using, {})
        common = sorted(given.keys() & weights.keys())
        if common:
            score = float(np.float32(sum((weights[index] * given[index] for index in common), 0.0)))
            hits.append(Ranked(i, score, -score))
    return sorted(hits, key=lambda hit: (-hit.score, hit.id.encode()))


def _naive(kind: Metric, query: NDArray[np.float64], vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    if kind == "euclidean":
        return 1.0 / (1.0 + np.sqrt(((vectors - query) ** 2).sum(axis=1)))
    dots = (vectors * query).sum(axis=1)
    if kind == "dot":
        return dots
    return dots / np.sqrt((vectors**2).sum(axis=1) * (query**2).sum())


def operation(step: Step) -> Operation:
    """The step in the client's words."""
    if step.verb == "clear":
        return Clear()
    if step.verb == "delete":
        return Delete(step.ids, **step.conditions)
    if step.verb == "drop":
        return Delete(filter=step.filter)
    if step.verb == "change":
        return Update(filter=step.filter, payloads=step.payload, unset=step.unset)
    kind = {"upsert": Upsert, "insert": Insert, "update": Update}[step.verb]
    fields = {name for row in step.rows for name in row.held.vectors}
    texts = {name for row in step.rows for name in row.held.texts}
    sparse = {name for row in step.rows for name in row.held.sparse}
    return kind(
        step.ids,
        {name: [row.held.vectors.get(name) for row in step.rows] for name in sorted(fields)} or None,
        {name: [row.held.texts.get(name) for row in step.rows] for name in sorted(texts)} or None,
        [row.held.payload for row in step.rows],
        ttl=step.ttl,
        sparse={name: [row.held.sparse.get(name) for row in step.rows] for name in sorted(sparse)} or None,
        **({"payload_mode": "merge" if step.merges else "replace"} if step.verb == "update" else {}),
        **step.conditions,
    )


def same(point: Point, held: Held) -> bool:
    """Whether a point read back, with everything selected, is what the model holds."""
    return (
        point.version == held.version
        and point.payload == held.payload
        and dict(point.texts) == dict(held.texts)
        and {name: vector.to_dict() for name, vector in point.sparse.items()} == held.sparse
        and point.vectors.keys() == held.vectors.keys()
        and all(np.array_equal(vector, held.vectors[name]) for name, vector in point.vectors.items())
    )
