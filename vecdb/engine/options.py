"""The engine's knobs, as one frozen object; where each number comes from is beside it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from vecdb.errors import InvalidArgument
from vecdb.model.info import (
    MAX_BATCH_BYTES,
    MAX_BATCH_ROWS,
    MAX_COLLECTIONS,
    MAX_PAYLOAD_BYTES,
    MAX_TEXT_BYTES,
    Limits,
)

Durability = Literal["fsync", "os"]

MIB = 1 << 20


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Options of an open database. Sizes in bytes, times in seconds.

    ``growing_vector_bytes``, ``growing_rows``, ``growing_body_bytes``: a growing segment freezes at the
    first of them. ``graph_rows``: fewer rows than this get no graph, unless
    their vectors would fill a growing segment. ``max_unindexed_bytes``: vectors
    without a graph before writes wait for the builder. ``seal_bytes``: the builder's graph is sealed at
    this size while writes go on; ``max_segment_bytes`` bounds any segment. ``max_snapshot_s``: a snapshot
    that is not read to its end by then is given up, for what it reads keeps its space. ``measure_share``: the
    share of one core that measuring recall may take in idle time, 0: it is not measured, and no query is kept
    for that. A graph below ``recall_bound`` at the default ef is built again; 0: none is.
    ``disk_reserve_bytes``: kept back on the disk while it is open; opening again after a failure writes the logs
    (``max_total_wal_bytes``) once more. Below ``min_free_disk_bytes`` what grows is refused. ``reopen_pause_s``: after
    a failure the store is opened again after so long, then twice as long; 0: only when asked.
    ``keep_changes_s``, ``keep_changes_bytes``: how long, and for how many bytes of dead rows in each collection, the
    change feed can look back.
    ``max_memory_bytes``: anonymous memory past which writes are refused; None: a share of the container's limit, where
    it has one, 0: no limit. See docs/decisions/0003.
    """

    durability: Durability = "fsync"
    growing_vector_bytes: int = 32 * MIB
    growing_rows: int = 65_536
    growing_body_bytes: int = 16 * MIB
    graph_rows: int = 4_096
    max_unindexed_bytes: int = 128 * MIB
    seal_bytes: int = 64 * MIB
    max_segment_bytes: int = 1024 * MIB
    max_memory_bytes: int | None = None
    index_threads: int = max(1, _cores() // 2)
    search_threads: int = _cores()
    idle_seal_s: float = 5.0
    request_memory_s: float = 600.0
    keep_changes_s: float = 600.0
    keep_changes_bytes: int = 64 * MIB
    open_collections: int = 1_000
    evict_idle_s: float = 5.0
    max_payload_bytes: int = MAX_PAYLOAD_BYTES
    max_text_bytes: int = MAX_TEXT_BYTES
    max_batch_bytes: int = MAX_BATCH_BYTES
    max_batch_rows: int = MAX_BATCH_ROWS
    max_collections: int = MAX_COLLECTIONS
    max_aliases: int = 100_000
    measure_share: float = 0.01
    recall_bound: float = 0.9
    use_graphs: bool = True
    background: bool = True
    write_buffer_bytes: int = 64 * MIB
    max_total_wal_bytes: int = 64 * MIB
    block_cache_bytes: int = 128 * MIB
    filter_cache_bytes: int = 256 * MIB
    max_snapshot_s: float = 21_600.0
    disk_reserve_bytes: int = 96 * MIB
    min_free_disk_bytes: int = 64 * MIB
    reopen_pause_s: float = 1.0

    def wants_graph(self, rows: int, vector_bytes: int) -> bool:
        """Whether so many rows, or vectors of so many bytes, are too much for exact scans for good."""
        return rows >= self.graph_rows or vector_bytes >= self.growing_vector_bytes

    def limits(self) -> Limits:
        """What a caller is told of these."""
        return Limits(
            batch_rows=self.max_batch_rows,
            payload_bytes=self.max_payload_bytes,
            text_bytes=self.max_text_bytes,
            collections=self.max_collections,
        )

    def validate(self) -> None:
        """Raise InvalidArgument naming the first option that cannot work."""
        if self.durability not in ("fsync", "os"):
            raise InvalidArgument(
                "unknown durability", field="durability", expected="fsync | os", received=repr(self.durability)
            )
        for name in (
            "growing_vector_bytes",
            "growing_rows",
            "growing_body_bytes",
            "graph_rows",
            "max_unindexed_bytes",
            "seal_bytes",
            "max_segment_bytes",
            "index_threads",
            "search_threads",
        ):
            if getattr(self, name) < 1:
                raise InvalidArgument("too small", field=name, expected=">= 1", received=str(getattr(self, name)))
        for name in ("measure_share", "recall_bound"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidArgument("out of range", field=name, expected="0..1", received=str(getattr(self, name)))
