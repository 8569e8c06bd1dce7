"""hnswlib alone: the graph of a segment, or one built here, asked without anything around it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hnswlib
import numpy as np
from numpy.typing import NDArray

from benchmarks import truth
from benchmarks.sets import K, VectorSet

M, EF_CONSTRUCTION = 16, 200  # the defaults of a vector field
EFS = (16, 24, 32, 48, 64, 80, 96, 112, 128, 160, 192, 256, 320, 400, 512, 768, 1024)
_SPACES = {"euclidean": "l2", "cosine": "ip"}


def prepared(metric: str, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors as the graph holds them: of length one under cosine."""
    if metric != "cosine":
        return vectors
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def load(database: Path, metric: str, dim: int, ef: int) -> Any:
    """The only graph of the only collection of a database directory, searched with ``ef``."""
    files = sorted(database.glob("segments/*/*/*.hnsw"))
    if len(files) != 1:
        raise RuntimeError(f"one graph was expected in {database.name}, there are {len(files)}")
    graph = hnswlib.Index(_SPACES[metric], dim)
    graph.load_index(str(files[0]))
    graph.set_ef(ef)
    return graph


def build(metric: str, vectors: NDArray[np.float32], threads: int) -> Any:
    """A graph with the same parameters, numbered by row."""
    graph = hnswlib.Index(_SPACES[metric], vectors.shape[1])
    graph.init_index(len(vectors), M, EF_CONSTRUCTION)
    graph.add_items(vectors, np.arange(len(vectors)), num_threads=threads)
    return graph


def tune(graph: Any, some: VectorSet, wanted: float) -> tuple[int, float]:
    """The smallest of EFS that reaches the recall ``wanted``, and what it reaches."""
    queries = prepared(some.metric, some.queries)
    reached = 0.0
    for ef in EFS:
        graph.set_ef(ef)
        labels, _ = graph.knn_query(queries, K, num_threads=1)
        reached = truth.recall(some.metric, some.queries, some.vectors, labels.astype(np.int64).tolist(), some.true)
        if reached >= wanted:
            break
    return ef, reached
