"""Recall against exact search, and how long a search takes as its caller sees it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np

from vecdb import Collection
from vecdb.model.point import Float32

K = 10
PLANS = 10
WARM_UP = 50
SEARCHES = 1000
EXACT_SEARCHES = 300


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of single searches, one after another."""

    searches: int
    p50: float
    p95: float
    p99: float


def recall(docs: Collection, queries: Float32, model: str) -> float:
    """The share of the true K nearest that searching as usual finds, over all queries."""
    found, true = (
        docs.search_batch(queries, limit=K, exact=exact, model=model, with_payload=False, with_text=False)
        for exact in (False, True)
    )
    shares = [len(set(a.ids) & set(b.ids)) / len(b) for a, b in zip(found, true, strict=True)]
    return float(np.mean(shares))


def plans(docs: Collection, queries: Float32, model: str) -> list[str]:
    """How searches are carried out, as they tell themselves: through a graph, by exact scan, or both."""
    explained = [docs.search(query, limit=K, model=model, explain=True).explain or {} for query in queries[:PLANS]]
    used = {part["plan"] for found in explained for leg in found["legs"] for part in leg["segments"]}
    return sorted(used - {"empty"})


def latency(
    docs: Collection, queries: Float32, model: str, exact: bool = False, texts: Sequence[str] | None = None
) -> Latency:
    """Search for one query at a time, K hits with text and payload each; by words too, if there are ``texts``."""
    searches = EXACT_SEARCHES if exact else SEARCHES
    taken = []
    for i in islice(cycle(range(len(queries))), WARM_UP + searches):
        began = time.perf_counter()
        docs.search(queries[i], text=None if texts is None else texts[i], limit=K, exact=exact, model=model)
        taken.append(time.perf_counter() - began)
    p50, p95, p99 = np.percentile(np.array(taken[WARM_UP:]) * 1e3, (50, 95, 99)).tolist()
    return Latency(searches, p50, p95, p99)
