"""Snapshots of real vectors, in a number that seals and builds graphs; slow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import vecdb
from vecdb.engine.snapshots.verify import verify

ROWS = 20_000


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_exported_bytes_are_the_same(data_dir: Path, tmp_path: Path, bounded: Callable[[int], int]) -> None:
    """What is exported of a restored collection is what is exported of its source, and it is found as well."""
    with np.load(data_dir / "glove-100-angular" / "data.npz") as data:
        vectors = data["train"][: max(2_000, bounded(ROWS))].astype(np.float32)
    n = len(vectors)
    with vecdb.open(tmp_path / "source") as db:
        docs = db.create_collection("docs", dim=vectors.shape[1])
        ids = [f"{i:06d}" for i in range(n)]
        docs.upsert(
            ids=ids, vectors=vectors, texts=[f"passage {i}" for i in ids], payloads=[{"i": i} for i in range(n)]
        )
        docs.update(ids=ids[: n // 3], payloads=[{"edited": True}] * (n // 3))
        docs.delete(ids=ids[-n // 10 :])
        docs.wait_indexed()
        whole = db.snapshot(tmp_path / "docs.vdb")
        docs.export(tmp_path / "before.jsonl")
        with open(tmp_path / "docs.vdb", "rb") as file:
            assert verify([iter(lambda: file.read(1 << 20), b"")]) == [whole]
    with vecdb.open(tmp_path / "other") as db:
        (made,) = db.restore(tmp_path / "docs.vdb").collections
        print(f"recall right after the restore: {made.recall}")
        assert made.recall[""] >= 0.95
        docs = db.collection("docs")
        docs.export(tmp_path / "after.jsonl")
        docs.wait_indexed()
        assert docs.count() == made.points == whole.collections[0].points
        assert db.check() == []
    assert (tmp_path / "before.jsonl").read_bytes() == (tmp_path / "after.jsonl").read_bytes()
