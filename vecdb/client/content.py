"""Completes a search whose payloads, texts and vectors did not all fit one message."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from vecdb.errors import Aborted, DeadlineExceeded
from vecdb.model.point import Points, VectorColumn
from vecdb.model.query import SearchAnswer

# A point that changed between search and fetch makes the search start again; see complete.
ATTEMPTS = 3

Search = Callable[[float | None], tuple[SearchAnswer, int]]
Get = Callable[[Sequence[str], float | None], tuple[Points, int]]


def complete(search: Search, get: Get, timeout: float | None) -> SearchAnswer:
    """The whole answer: ``search`` gives it with the content of some first hits, ``get`` fetches the rest.

    A hit's content is of the version that was found: when a point was changed in between, the search is
    done again. Raises Aborted when that happens three times, DeadlineExceeded after ``timeout`` seconds.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    for _ in range(ATTEMPTS):
        answer, content = search(_remaining(deadline))
        missing = range(content, len(answer.points))
        if not missing:
            return answer
        fetched = _fetch([answer.points.ids[i] for i in missing], get, deadline)
        versions = {id: int(version) for part in fetched for id, version in zip(part.ids, part.versions, strict=True)}
        if all(versions.get(answer.points.ids[i]) == answer.points.versions[i] for i in missing):
            _fill(answer.points, missing, fetched)
            return answer
    raise Aborted("the points found kept changing while their contents were fetched; ask for fewer hits or no vectors")


def _fetch(ids: Sequence[str], get: Get, deadline: float | None) -> list[Points]:
    wanted = list(dict.fromkeys(ids))
    parts = []
    while wanted:
        points, answered = get(wanted, _remaining(deadline))
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


def _joined(held: VectorColumn | None, more: VectorColumn, target: Sequence[tuple[int, int]]) -> VectorColumn:
    """``held`` with vectors of ``more`` at given positions; ``target`` pairs a position with a vector of ``more``."""
    at = np.array([position for position, _ in target], dtype=np.int64)
    data = more.data[[vector for _, vector in target]]
    if held is not None:
        before = np.arange(len(held.data)) if held.rows is None else held.rows
        at, data = np.concatenate([before, at]), np.concatenate([held.data, data])
    order = np.argsort(at, kind="stable")
    return VectorColumn(data[order], at[order])


def _remaining(deadline: float | None) -> float | None:
    if deadline is None:
        return None
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise DeadlineExceeded("the deadline passed while the contents of hits were fetched")
    return remaining
