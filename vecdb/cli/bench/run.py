"""One run: callers, then recall, with what the collection says of itself before and after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vecdb import Collection, CollectionStats
from vecdb.cli.bench import callers
from vecdb.cli.bench.callers import Load, Samples
from vecdb.cli.bench.figures import Figures, figures, recall, void
from vecdb.model.point import Float32

RECALL_QUERIES = 100


@dataclass(frozen=True, slots=True)
class Result:
    """All there is to tell of a run but its samples. ``void``: why its figures are not those of graphs, or None.

    ``recall`` is against exact search, over ``recall_queries`` of the queries.
    """

    collection: str
    points: int
    queries: int
    callers: int
    seconds: float
    batch: int
    limit: int
    ef: int | None
    exact: bool
    figures: Figures
    recall: float
    recall_queries: int
    void: str | None
    stats_before: CollectionStats
    stats_after: CollectionStats


def run(
    docs: Collection, load: Load, queries: Float32, count: int, keep: Callable[[Sequence[Samples]], None]
) -> Result:
    """Let ``count`` callers search ``docs`` for ``queries`` ``[n, dim]``. ``keep`` gets the samples before all else."""
    before = docs.stats()
    samples = callers.run(load, queries, count)
    keep(samples)
    after = docs.stats()
    some = queries[:RECALL_QUERIES]
    ids = {"with_payload": False, "with_text": False}
    found = docs.search_batch(some, **load.how | ids)
    true = docs.search_batch(some, **load.how | ids | {"exact": True})
    return Result(
        collection=docs.name,
        points=after.live,
        queries=len(queries),
        callers=count,
        seconds=load.seconds,
        batch=load.batch,
        limit=load.how["limit"],
        ef=load.how["ef"],
        exact=load.how["exact"],
        figures=figures(samples, load.seconds, load.batch),
        recall=recall(found, true),
        recall_queries=len(some),
        void=None if load.how["exact"] else void(before, after),
        stats_before=before,
        stats_after=after,
    )
