"""What an open database shows of itself, and whether that agrees with itself.

Points are read by scroll and, again, by id; counts, searches by vector and by words, and ``check`` must tell the same
story. What the
points should be is the oracle's business (``oracle``).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.crash.record import DIMS, FLEETING, TEXTS, settings, sparse_shown
from vecdb.engine.database import Database
from vecdb.model.context import CallContext
from vecdb.model.keyword import Keyword
from vecdb.model.point import Points, Select
from vecdb.model.query import Near, SearchRequest
from vecdb.model.schema import TextField
from vecdb.model.sparse import Sparse, SparseVectors

CONTEXT = CallContext()
PAGE = 97
QUERIES = 3
LIMIT = 10
ASKED = ("text", "文本", "text 文本 3 7")
"""Words of half of the texts, of the others, and of all of them."""


def report(database: Database) -> dict[str, Any]:
    """Every collection with its sequence number and points, and what is wrong. Nobody may write meanwhile."""
    time.sleep(2 * FLEETING / 1000)  # until what lives so long has expired, by any rounding of the clock
    problems: list[str] = []
    collections = {}
    for info in database.list_collections(CONTEXT):
        points, versions = _points(database, info.name)
        told: list[str] = []
        counts = database.count(CONTEXT, info.name), database.describe(CONTEXT, info.name).points  # now that it is open
        if counts != (len(points), len(points)):
            told.append(f"{len(points)} points, count says {counts[0]}, describe {counts[1]}")
        told += _by_id(database, info.name, points)
        dims = {name: field.dim for name, field in info.schema.vectors.items()}
        told += _searches(database, info.name, points, versions, dims)
        told += _by_words(database, info.name, points, info.schema.texts)
        told += _by_weights(database, info.name, points)
        problems += [f"{info.name}: {problem}" for problem in told]
        collections[info.name] = {
            "seq": database.stats(CONTEXT, info.name).seq,
            "points": points,
            "fields": sorted(dims.keys() - DIMS.keys()),
            "settings": settings(info),
        }
    return {"e": "report", "collections": collections, "problems": problems + database.check(CONTEXT)}


def _points(database: Database, name: str) -> tuple[dict[str, list[Any]], dict[str, int]]:
    points: dict[str, list[Any]] = {}
    after = None
    while True:
        page, ended = database.scroll(CONTEXT, name, after, PAGE, Select(vectors=True))
        points |= shown(page)
        if ended:
            return points, {point_id: there[0] for point_id, there in points.items()}
        after = page.ids[-1]


def shown(page: Points) -> dict[str, list[Any]]:
    """By id: version, payload, texts, vectors and sparse vectors, as they are told to whoever judges."""
    vectors: list[dict[str, str]] = [{} for _ in page.ids]
    for name, column in (page.vectors or {}).items():
        rows = range(len(page.ids)) if column.rows is None else column.rows.tolist()
        for row, data in zip(rows, column.data, strict=True):
            vectors[row][name] = data.astype("<f4").tobytes().hex()
    payloads = page.payloads or [None] * len(page.ids)
    texts = page.texts or {}
    words = [{f: texts[f][row] for f in TEXTS if f in texts and texts[f][row] is not None} for row in range(len(page))]
    given = (page.sparse or {}).get("")
    weights = [None if given is None else sparse_shown(given.get(row)) for row in range(len(page))]
    return {
        point_id: [int(version), None if payload is None else payload.decode(), *rest]
        for point_id, version, payload, *rest in zip(
            page.ids, page.versions.tolist(), payloads, words, vectors, weights, strict=True
        )
    }


def _by_id(database: Database, name: str, points: dict[str, list[Any]]) -> list[str]:
    ids = list(points)
    problems = []
    if ids and not database.exists(CONTEXT, name, ids).all():
        problems.append("exists denies points that scroll shows")
    if shown(database.get(CONTEXT, name, ids, Select(vectors=True))) != points:
        problems.append("get and scroll show different points")
    return problems


def _searches(
    database: Database, name: str, points: dict[str, list[Any]], versions: dict[str, int], dims: dict[str, int]
) -> list[str]:
    problems = []
    for field, dim in dims.items():
        have = {point_id for point_id, there in points.items() if field in there[3]}
        queries = np.random.default_rng([len(have), dim]).standard_normal((QUERIES, dim)).astype(np.float32)
        everything = SearchRequest([Near(queries, field)], limit=len(points) + 10, exact=True, select=Select())
        few = SearchRequest([Near(queries, field)], limit=LIMIT, select=Select(vectors=True))
        for request, wanted in ((everything, len(have)), (few, min(LIMIT, len(have)))):
            answer = database.search(CONTEXT, name, request)
            asked = f"a search by {field!r} for {request.limit}"
            if answer.counts.tolist() != [wanted] * QUERIES:
                problems.append(f"{asked} found {answer.counts.tolist()}, {wanted} have a vector")
            found = answer.points
            if not have.issuperset(found.ids):
                problems.append(f"{asked} found what has no vector: {sorted(set(found.ids) - have)[:5]}")
            elif any(versions[i] != v for i, v in zip(found.ids, found.versions.tolist(), strict=True)):
                problems.append(f"{asked} found other versions than scroll")
            if request is everything and set(found.ids) != have:
                problems.append(f"{asked} does not find {sorted(have - set(found.ids))[:5]}")
            held = shown(found)
            fields = 5 if request is few else 3
            if any(points.get(i, [])[:fields] != held[i][:fields] for i in found.ids if i in have):
                problems.append(f"{asked} found other payloads, texts or vectors than scroll")
    return problems


def _by_words(
    database: Database, name: str, points: dict[str, list[Any]], fields: Mapping[str, TextField]
) -> list[str]:
    """Every text that is there is found by its words, and nothing else is, however far an analysis anew has come."""
    problems = []
    for field, declared in fields.items():
        if not declared.keywords:
            continue
        request = SearchRequest([Keyword(ASKED, {field: 1.0})], limit=len(points) + 10, select=Select())
        answer = database.search(CONTEXT, name, request)
        ends = answer.counts.cumsum().tolist()
        for asked, count, end in zip(ASKED, answer.counts.tolist(), ends, strict=True):
            words = set(asked.split())
            wanted = {i for i, there in points.items() if words & set(there[2].get(field, "").split())}
            found = answer.points.ids[end - count : end]
            told = f"a search for {asked!r} in {field!r}"
            if len(found) != len(wanted) or set(found) != wanted:
                missing, more = sorted(wanted - set(found)), sorted(set(found) - wanted)
                problems.append(f"{told} does not find {missing[:5]}, and finds {more[:5]}: {count} hits")
            scores = answer.scores[end - count : end].tolist()
            if scores != sorted(scores, reverse=True):
                problems.append(f"the hits of {told} are not in the order of their scores")
    return problems


def _by_weights(database: Database, name: str, points: dict[str, list[Any]]) -> list[str]:
    """Every sparse vector is found by each of its dimensions."""
    dimensions = {index: 1.0 for there in points.values() for index in there[4] or ()}
    if not dimensions:
        return []
    query = SparseVectors.of(
        [len(dimensions)], np.array(sorted(dimensions), np.uint32), np.ones(len(dimensions), np.float32)
    )
    request = SearchRequest([Sparse(query)], limit=len(points) + 10, select=Select())
    found = set(database.search(CONTEXT, name, request).points.ids)
    wanted = {i for i, there in points.items() if there[4]}
    if found == wanted:
        return []
    missing, more = sorted(wanted - found), sorted(found - wanted)
    return [f"a search by all dimensions does not find {missing[:5]}, and finds {more[:5]}"]
