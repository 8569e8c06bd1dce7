"""The directory that is damaged: rows in every state, in several collections, and every kind of file."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import vecdb
from vecdb import SparseField, TextField, VectorField

OPTIONS: dict[str, Any] = {
    "background": False,
    "growing_rows": 12,
    "graph_rows": 16,
    "seal_bytes": 1_024,
    "index_threads": 1,
    "search_threads": 1,
    "idle_seal_s": 0.0,
    "write_buffer_bytes": 1 << 20,
    "block_cache_bytes": 1 << 20,
    "disk_reserve_bytes": 4_096,
}
WIDE = 160  # floats: enough of them are kept in blob files
LIVE = [f"{i:03d}" for i in range(48)]
DEAD = ["004", "005", "030"]
ASKED = ["000", "004", "007", "021", "030", "ttl", "late3", "b0"]


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A new folder, in memory where there is such a place: most of the time would go into syncs of the store."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="vecdb-damage-", dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


def make_both(folder: Path) -> None:
    """Two new directories there: one ``closed``, and ``killed`` with what a kill would have left, its log full."""
    path, killed = folder / "closed", folder / "killed"
    with vecdb.open(path, **OPTIONS) as db:
        _docs(db)
        other = db.create_collection("other", dim=4)
        other.upsert([f"b{i}" for i in range(6)], _gaussian(6, 4), payloads=[{"n": i} for i in range(6)])
        other.compact()
        store = db._transport._database._kv  # type: ignore[attr-defined]
        store.flush()
        other.upsert(["b6"], _gaussian(1, 4))
        store.flush()
    with vecdb.open(path, **OPTIONS) as db:
        docs, other = db.collection("docs"), db.collection("other")
        for i in range(30):
            docs.upsert([f"late{i}"], _vectors(1, seed=i), texts=["a late word"], payloads=[{"n": i}])
        other.upsert(["b0"], _gaussian(1, 4, seed=9), payloads=[{"n": 9}])
        docs.upsert(["late"], _vectors(1), texts=["the last word"])
        shutil.copytree(path, killed)


def _docs(db: vecdb.Client) -> None:
    """Sealed with a graph and without, unsealed, edited, adopted, expiring, deleted, come again."""
    docs = db.create_collection(
        "docs",
        vectors={"": VectorField(WIDE), "image": VectorField(3, "euclidean")},
        texts={"": TextField(), "title": TextField()},
        sparse={"": SparseField()},
    )
    n = len(LIVE)
    docs.upsert(
        LIVE,
        _vectors(n),
        texts={"": [f"word {i} of many" for i in range(n)], "title": [f"title {i % 5} word" for i in range(n)]},
        payloads=[{"n": i, "lang": "en" if i % 2 else "zh"} for i in range(n)],
    )
    docs.upsert(["i0", "i1"], {"image": _gaussian(2, 3)})
    docs.update(LIVE[:12], payloads=[{"n": -1}] * 12)
    docs.upsert(["ttl"], _vectors(1), ttl=1e8)
    docs.update(["ttl"], sparse=[{1: 0.5, 7: 2.0}])
    docs.update(LIVE[20:24], sparse=[{1: 1.0 + i, 5: 0.5} for i in range(4)])
    docs.delete(DEAD)
    db.alias("papers", "docs")
    docs.compact()
    docs.update(LIVE[6:10], payloads=[{"n": -2}] * 4)
    docs.delete(["040"])
    docs.upsert(["030"], _vectors(1, seed=5), texts={"": ["again word"]})


def _vectors(n: int, seed: int = 0) -> Any:
    return {"": _gaussian(n, WIDE, seed), "image": _gaussian(n, 3, seed)}


def _gaussian(n: int, dim: int, seed: int = 0) -> Any:
    return np.random.default_rng([seed, dim]).normal(size=(n, dim)).astype(np.float32)
