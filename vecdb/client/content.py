"""Completes a search whose payloads, texts, vectors and snippets did not all fit one message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vecdb.client.calls import Get, Search, Steps
from vecdb.errors import Aborted, TooLarge
from vecdb.model.point import Points, Select, VectorColumn
from vecdb.model.query import SearchAnswer
from vecdb.model.sparse import SparseColumn

# A point that changed between search and fetch makes the search start again; see complete.
ATTEMPTS = 3


def complete(search: Search) -> Steps[SearchAnswer]:
    """The whole answer: the search gives it with the content of some first hits, the rest is fetched by id.

    A hit's content is of the version that was found: when a point was changed in between, the search is
    done again. Raises Aborted when that happens three times, TooLarge where the snippets alone do not fit one message.
    """
    for _ in range(ATTEMPTS):
        answer, content = yield from search
        missing = range(content, len(answer.points))
        if not missing:
            return answer
        if answer.snippets is not None:
            again = yield from _snippets(search)
            if not _same_hits(again, answer):
                continue
            answer = replace(answer, snippets=again.snippets)
        fetched = yield from _fetch(search, [answer.points.ids[i] for i in missing])
        versions = {id: int(version) for part in fetched for id, version in zip(part.ids, part.versions, strict=True)}
        if all(versions.get(answer.points.ids[i]) == answer.points.versions[i] for i in missing):
            _fill(answer.points, missing, fetched)
            return answer
    raise Aborted("the points found kept changing while their contents were fetched; ask for fewer hits or no vectors")


def _snippets(search: Search) -> Steps[SearchAnswer]:
    """The answer with nothing but its snippets. Raises TooLarge where not even those fit one message."""
    answer, content = yield from Search(search.collection, replace(search.request, select=Select(False, False, False)))
    if content < len(answer.points):
        raise TooLarge(
            "the snippets do not fit one message; ask for fewer hits or shorter ones",
            field="highlight",
            expected=f"snippets of {len(answer.points)} hits",
            received=f"of {content}",
        )
    return answer


def _same_hits(a: SearchAnswer, b: SearchAnswer) -> bool:
    return a.points.ids == b.points.ids and np.array_equal(a.points.versions, b.points.versions)


def _fetch(search: Search, ids: Sequence[str]) -> Steps[list[Points]]:
    wanted = list(dict.fromkeys(ids))
    parts = []
    while wanted:
        points, answered = yield from Get(search.collection, wanted, search.request.select)
        parts.append(points)
        wanted = wanted[answered:]
    return parts


def _fill(points: Points, missing: range, fetched: Sequence[Points]) -> None:
    """Put the content of ``fetched`` into the columns of ``points``, at the positions ``missing``."""
    positions: dict[str, list[int]] = {}
    for i in missing:
        positions.setdefault(points.ids[i], []).append(i)
    for part in fetched:
        for j, id in enumerate(part.ids):
            for i in positions[id]:
                if points.payloads is not None and part.payloads is not None:
                    points.payloads[i] = part.payloads[j]
                if points.texts is not None:
                    for field, texts in (part.texts or {}).items():
                        points.texts.setdefault(field, [None] * len(points))[i] = texts[j]
        for field, column in (part.vectors or {}).items():
            if points.vectors is not None:
                rows = range(len(part)) if column.rows is None else column.rows.tolist()
                target = [(i, at) for at, row in enumerate(rows) for i in positions[part.ids[row]]]
                points.vectors[field] = _joined(points.vectors.get(field), column, target)
        for field, sparse in (part.sparse or {}).items():
            if points.sparse is not None:
                rows = range(len(part)) if sparse.rows is None else sparse.rows.tolist()
                target = [(i, at) for at, row in enumerate(rows) for i in positions[part.ids[row]]]
                points.sparse[field] = _joined_sparse(points.sparse.get(field), sparse, target)


def _joined(held: VectorColumn | None, more: VectorColumn, target: Sequence[tuple[int, int]]) -> VectorColumn:
    """``held`` with vectors of ``more`` at given positions; ``target`` pairs a position with a vector of ``more``."""
    at = np.array([position for position, _ in target], dtype=np.int64)
    data = more.data[[vector for _, vector in target]]
    if held is not None:
        before = np.arange(len(held.data)) if held.rows is None else held.rows
        at, data = np.concatenate([before, at]), np.concatenate([held.data, data])
    order = np.argsort(at, kind="stable")
    return VectorColumn(data[order], at[order])


def _joined_sparse(held: SparseColumn | None, more: SparseColumn, target: Sequence[tuple[int, int]]) -> SparseColumn:
    """As ``_joined``."""
    at = np.array([position for position, _ in target], dtype=np.int64)
    data = more.data.take([vector for _, vector in target])
    if held is not None:
        before = np.arange(len(held.data)) if held.rows is None else held.rows
        at, data = np.concatenate([before, at]), held.data.and_then(data)
    order = np.argsort(at, kind="stable")
    return SparseColumn(data.take(order), at[order])
