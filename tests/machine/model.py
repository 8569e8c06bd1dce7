"""What a database is: a dict of points, and brute force. The oracle of the state machine.

It shares one thing with the engine, the scoring function, so that scores can be compared bit for bit; a
second, naive computation in float64 watches that one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb.client.filters import to_filter
from vecdb.client.near import Near
from vecdb.client.operations import Clear, Delete, Insert, Operation, Update, Upsert
from vecdb.errors import ConditionFailed, PointExists
from vecdb.index import metric
from vecdb.model.filter import Facts, Filter, matches
from vecdb.model.fusion import DEFAULT_RRF_K
from vecdb.model.hit import Point
from vecdb.model.point import WriteResult
from vecdb.model.schema import Metric, Schema, TextField, VectorField

FUSION_DEPTH = 100


@dataclass(frozen=True)
class Held:
    """A point."""

    vectors: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    payload: Mapping[str, Any] | None = None
    version: int = 0
    expires: float | None = None


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
class Ranked:
    """A hit that should come."""

    id: str
    score: float
    distance: float | None


SCHEMA = Schema(
    {"": VectorField(4, "cosine"), "plan": VectorField(3, "euclidean"), "dot": VectorField(2, "dot")},
    {"": TextField(), "title": TextField()},
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
        self.clock = clock or Clock()
        self.expired: set[str] = set()  # gone, and not yet swept away nor overwritten

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
        self, legs: Sequence[Near], scope: Filter | None, min_score: float | None, window: int, k: int = DEFAULT_RRF_K
    ) -> list[Ranked]:
        """Every hit, best first: of one leg, or of several fused for answers up to ``window`` deep."""
        points = self.seen(scope)
        single = [rank(_matching(points, to_filter(near.filter)), near) for near in legs]
        if len(legs) == 1:
            found = single[0]
        else:
            most = sum(near.weight / (k + 1) for near in legs)
            shares: dict[str, float] = {}
            for near, hits in zip(legs, single, strict=True):
                for place, hit in enumerate(hits[: max(near.depth or FUSION_DEPTH, window)], 1):
                    shares[hit.id] = shares.get(hit.id, 0.0) + near.weight / (k + place)
            fused = [Ranked(i, float(np.float32(share / most)), None) for i, share in shares.items()]
            found = sorted(fused, key=lambda hit: (-hit.score, hit.id.encode()))
        if min_score is not None:
            found = [hit for hit in found if hit.score >= min_score]
        return found


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
    return kind(
        step.ids,
        {name: [row.held.vectors.get(name) for row in step.rows] for name in sorted(fields)} or None,
        {name: [row.held.texts.get(name) for row in step.rows] for name in sorted(texts)} or None,
        [row.held.payload for row in step.rows],
        ttl=step.ttl,
        **({"payload_mode": "merge" if step.merges else "replace"} if step.verb == "update" else {}),
        **step.conditions,
    )


def same(point: Point, held: Held) -> bool:
    """Whether a point read back, with everything selected, is what the model holds."""
    return (
        point.version == held.version
        and point.payload == held.payload
        and dict(point.texts) == dict(held.texts)
        and point.vectors.keys() == held.vectors.keys()
        and all(np.array_equal(vector, held.vectors[name]) for name, vector in point.vectors.items())
    )
