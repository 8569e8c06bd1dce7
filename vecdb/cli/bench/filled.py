"""The collection that is searched, and vectors to search for."""

from __future__ import annotations

import contextlib
import secrets
import sys
from collections.abc import Iterator
from itertools import islice

import click
import numpy as np

from vecdb import Client, Collection
from vecdb.errors import CollectionNotFound, FailedPrecondition
from vecdb.model.point import Float32

QUERIES = 1_000
SAMPLED_FROM = 5_000
MOVED_BY = 0.1
BATCH = 2_000

# Vectors of an embedding lie near a surface of few dimensions; evenly random ones have no neighbours worth the name.
HIDDEN = 16
NOISE = 0.1


@contextlib.contextmanager
def made(db: Client, points: int, dim: int) -> Iterator[tuple[Collection, Float32]]:
    """A collection of random points and queries like them; it is dropped at the end."""
    docs = db.create_collection(f"bench-{secrets.token_hex(4)}", dim=dim)
    try:
        rng = np.random.default_rng(1)
        surface = rng.standard_normal((HIDDEN, dim), dtype=np.float32)

        def vectors(n: int) -> Float32:
            shape = rng.standard_normal((n, HIDDEN), dtype=np.float32) @ surface
            return shape + NOISE * rng.standard_normal((n, dim), dtype=np.float32)

        docs.set_indexing("deferred")
        # A bar on a terminal; elsewhere its label, once.
        with click.progressbar(range(0, points, BATCH), label=f"writing into {docs.name}", file=sys.stderr) as starts:
            for start in starts:
                ids = range(start, min(start + BATCH, points))
                docs.upsert(ids, vectors(len(ids)), payloads=[{"n": id} for id in ids])
        docs.set_indexing("auto")
        click.echo("building graphs", err=True)
        docs.wait_indexed()
        yield docs, vectors(QUERIES)
    finally:
        with contextlib.suppress(CollectionNotFound):  # somebody dropped it meanwhile
            db.drop_collection(docs.name)


def sampled(docs: Collection, using: str) -> Float32:
    """Queries near stored points: some of the first by id, each moved by a tenth of its length."""
    some = islice(docs.scroll(with_payload=False, with_text=False, with_vectors=True), SAMPLED_FROM)
    stored = [point.vectors[using] for point in some if using in point.vectors]
    if not stored:
        raise FailedPrecondition(
            f"{docs.name} has nothing to search for",
            expected=f"points with a vector in field {using!r}",
            received="none",
        )
    rng = np.random.default_rng(1)
    chosen = np.stack([stored[i] for i in rng.permutation(len(stored))[:QUERIES]])
    step = rng.standard_normal(chosen.shape, dtype=np.float32)
    step *= MOVED_BY * np.linalg.norm(chosen, axis=1, keepdims=True) / np.linalg.norm(step, axis=1, keepdims=True)
    return chosen + step
