"""Answers of the model to what a person gets. Pure."""

from __future__ import annotations

from vecdb.model.hit import SearchResult
from vecdb.model.query import SearchAnswer


def results(answer: SearchAnswer) -> list[SearchResult]:
    """One SearchResult for each query of the search."""
    found = []
    stop = 0
    for count in answer.counts.tolist():
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
            )
        )
    return found
