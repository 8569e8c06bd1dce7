"""Answers of the model to what a person gets. Pure."""

from __future__ import annotations

from vecdb.model.hit import SearchResult
from vecdb.model.query import SearchAnswer


def results(answer: SearchAnswer) -> list[SearchResult]:
    """One SearchResult for each query of the search."""
    found = []
    stop = 0
    for query, count in enumerate(answer.counts.tolist()):
        start, stop = stop, stop + count
        found.append(
            SearchResult(
                points=answer.points.cut(start, stop),
                scores=answer.scores[start:stop],
                distances=None if answer.distances is None else answer.distances[start:stop],
                seq=answer.seq,
                took_ms=answer.took_ms,
                explain=answer.explain,
                warnings=answer.warnings,
                legs=None if answer.legs is None else [leg.cut(start, stop) for leg in answer.legs],
                snippets=None if answer.snippets is None else answer.snippets[start:stop],
                group_counts=None if answer.groups is None else answer.groups[query],
            )
        )
    return found
