"""Everything that a database answers, as JSON: to be compared before and after something happened to its files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from vecdb import Client, Collection, Point, Sparse, VecdbError

ALL = 1_000
WORD = "word"


def contents(db: Client, ids: Sequence[str] = ()) -> dict[str, Any]:
    """By collection, by question, the answer or ``{"error": reason, "message": ...}``. ``ids`` are asked for too."""
    found: dict[str, Any] = {}
    for info in db.list_collections():
        found[info.name] = {"aliases": list(info.aliases), "schema": schema(info.schema)}
        for question, ask in _questions(db.collection(info.name), info.schema, ids).items():
            try:
                found[info.name][question] = ask()
            except VecdbError as error:
                found[info.name][question] = {"error": error.reason, "message": str(error)}
    return found


def schema(schema: Any) -> dict[str, Any]:
    """What of a schema every release knows."""
    return {
        "vectors": {name: [field.dim, field.metric] for name, field in schema.vectors.items()},
        "texts": {name: field.analyzer for name, field in schema.texts.items()},
        "sparse": sorted(getattr(schema, "sparse", {})),
    }


def _questions(c: Collection, of: Any, ids: Sequence[str]) -> dict[str, Callable[[], Any]]:
    asked: dict[str, Callable[[], Any]] = {
        "count": c.count,
        "filtered": lambda: c.count(filter={"n": {"$gte": 3}}),
        "scroll": lambda: [point(p) for p in c.scroll(with_vectors=True, batch=ALL)],
    }
    for one in ids:
        asked[f"get {one}"] = partial(_get, c, one)
    for name, field in of.vectors.items():
        query = np.random.default_rng(field.dim).normal(size=field.dim).astype(np.float32)
        asked[f"exact {name}"] = partial(_search, c, query, using=name, exact=True)
        asked[f"near {name}"] = partial(_search, c, query, using=name)
    for name in of.texts:
        asked[f"words {name}"] = partial(_search, c, text=WORD, fields=[name])
    for name in getattr(of, "sparse", {}):
        asked[f"sparse {name}"] = partial(_search, c, legs=[Sparse({1: 1.0, 5: 2.0}, using=name)])
    return asked


def point(p: Point) -> list[Any]:
    vectors = {name: np.round(np.asarray(v, dtype=np.float64), 6).tolist() for name, v in sorted(p.vectors.items())}
    weights = {name: _weights(v) for name, v in sorted((getattr(p, "sparse", None) or {}).items())}
    return [p.id, p.version, p.payload, dict(sorted(p.texts.items())), vectors, weights]


def _weights(vector: Any) -> list[Any]:
    return [[int(i), round(float(w), 6)] for i, w in zip(vector.indices, vector.values, strict=True)]


def _get(c: Collection, one: str) -> list[Any]:
    return [point(p) for p in c.get([one], with_vectors=True)]


def _search(c: Collection, *query: Any, **more: Any) -> list[Any]:
    found = c.search(*query, limit=ALL, **more)
    return [[hit.id, hit.version, hit.payload, round(float(hit.score), 4)] for hit in found]
