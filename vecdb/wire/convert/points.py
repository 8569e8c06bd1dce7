"""Points as they are read back."""

from __future__ import annotations

from vecdb.model.point import Points, Select
from vecdb.v1 import columns_pb2
from vecdb.wire.convert.columns import fill_columns, numbers, spread, texts_by_field, vectors_by_field
from vecdb.wire.convert.sparse import fill_sparse, sparse_by_field


def fill_points(message: columns_pb2.PointColumns, points: Points, content: int | None = None) -> None:
    """Put points into ``message``; all but ids and versions of the first ``content`` alone (None: of all)."""
    n = len(points)
    full = points if content is None or content == n else points.cut(0, content)
    message.ids.extend(points.ids)
    message.versions = points.versions.astype("<u8", copy=False).tobytes()
    fill_columns(message, n, full.vectors or {}, full.texts or {}, full.payloads, {})
    fill_sparse(message, n, full.sparse or {})


def points_from_proto(message: columns_pb2.PointColumns, select: Select, path: str) -> Points:
    """The points of an answer to ``select``. Raises InvalidArgument."""
    n = len(message.ids)
    payloads: list[bytes | None] | None = None
    if select.payload:
        held = message.payloads
        payloads = spread(held.values, held.rows, n, f"{path}.payloads") if message.HasField("payloads") else [None] * n
    return Points(
        ids=list(message.ids),
        versions=numbers(message.versions, "<u8", n, f"{path}.versions"),
        payloads=payloads,
        texts=texts_by_field(message.texts, n, path) if select.texts else None,
        vectors=vectors_by_field(message.vectors, n, path) if select.vectors else None,
        sparse=sparse_by_field(message.sparse, n, path) if select.vectors else None,
    )
