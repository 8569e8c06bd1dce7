"""How well a restored collection is searched: the sampled vectors of its archive, asked for as users ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from vecdb.engine.collection import Entry
from vecdb.engine.segment import UInt64
from vecdb.engine.snapshots.answers import Expected, K
from vecdb.model.point import Float32, Select
from vecdb.model.query import Near, SearchAnswer, SearchRequest
from vecdb.storage import keys
from vecdb.storage.kv import Reader

Search = Callable[[SearchRequest], SearchAnswer]


def recall(
    kv: Reader, search: Search, entry: Entry, expected: Mapping[int, Expected], expiring: bool
) -> dict[str, float]:
    """By vector field, recall@10 over the sampled vectors, those left out that are not stored any more.

    A hit counts when its score is that of an exact answer, so that equal ones may stand for each other. Where points
    expire, some of the archive's answers may be gone: there an exact search says what is right.
    """
    shares = {}
    for name, number in entry.fields.vectors.items():
        if number not in expected:
            continue
        right = expected[number]
        rows, queries = stored_vectors(kv, entry.number, number, entry.schema.vectors[name].dim, right.rows)
        there = np.isin(right.rows, rows)
        counts, lowest = right.counts[there], right.lowest[there]
        if not len(rows):
            continue
        request = SearchRequest([Near(queries, name)], limit=K, select=Select(payload=False))
        if expiring:
            exact = _scores(search(SearchRequest(request.legs, limit=K, select=request.select, exact=True)))
            counts = np.isfinite(exact).sum(axis=1)
            lowest = np.where(np.isfinite(exact), exact, np.inf).min(axis=1)
        hits = (_scores(search(request)) >= lowest[:, None]).sum(axis=1)
        if total := int(counts.sum()):
            shares[name] = float(np.minimum(hits, counts).sum() / total)
    return shares


def stored_vectors(kv: Reader, collection: int, field: int, dim: int, rows: UInt64) -> tuple[UInt64, Float32]:
    """Those of the rows under which a vector of a field is stored, and the vectors, float32 ``[n, dim]``."""
    values = kv.get_many([keys.vector(collection, row, field) for row in rows.tolist()])
    there = [i for i, value in enumerate(values) if value is not None and len(value) == 4 * dim]
    data = b"".join(values[i] or b"" for i in there)
    return rows[there], np.frombuffer(data, "<f4").reshape(-1, dim).astype(np.float32, copy=False)


def _scores(answer: SearchAnswer) -> Float32:
    """The scores of the hits, float32 ``[q, K]``, -inf where there are fewer."""
    scores = np.full((len(answer.counts), K), -np.inf, np.float32)
    scores[np.arange(K)[None, :] < answer.counts[:, None]] = answer.scores
    return scores
