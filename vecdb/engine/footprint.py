"""How much memory loading a collection or merging segments takes at its peak. Pure: a model, on the safe side.

Measured by RssAnon (docs/operations.md): a graph takes in memory what its file takes and some
bookkeeping for each row; a merge makes one copy of the files it makes, and a little on top for what is read on the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vecdb.engine.manifest import Manifest
from vecdb.model.schema import VectorField
from vecdb.storage.codec import Head

GRAPH_ROW_BYTES = 160
"""Of a row in a loaded graph, beside what its file has of it: a mutex, a level, a label in a hash table."""
MERGE_SHARE = 1.75
"""Peak of a merge by the files of its sources; the most that was measured, at few dimensions."""
STAMP_BYTES = 8
"""Of a row, in each part of a loaded segment: when it died."""
ROW_BYTES = 256
"""Of a row that is read again, beside its vectors: its id as a string, numbers, what its columns hold."""
SLACK_ROWS = 20_000
"""Dead rows that may not be deleted yet."""


def of_loading(manifest: Manifest, head: Head, fields: Mapping[int, VectorField]) -> int:
    """Anonymous bytes of a collection once it is open: graphs, stamps, and rows that no sealed segment has."""
    graphs = stamps = 0
    for entry in manifest.segments:
        parts = entry["parts"].values()
        graphs += sum(int(size) for name, (size, _) in entry["files"].items() if name.endswith(".hnsw"))
        graphs += GRAPH_ROW_BYTES * sum(int(part["vectors"]) for part in parts if part["kind"] == "hnsw")
        stamps += STAMP_BYTES * int(entry["rows"]) * (1 + len(parts))
    rows = head.next_row - manifest.tail_row + sum(end - first for first, end in manifest.unsealed)
    rows = max(0, min(rows, head.live + SLACK_ROWS))
    return graphs + stamps + rows * (ROW_BYTES + sum(4 * field.dim for field in fields.values()))


def of_merging(sizes: Sequence[int]) -> int:
    """Peak bytes of merging segments whose files have so many bytes each."""
    return int(MERGE_SHARE * sum(sizes))


def mergeable(room: int) -> int:
    """Bytes of files that may be merged within ``room`` bytes: the inverse."""
    return int(room / MERGE_SHARE)
