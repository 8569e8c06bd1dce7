"""The columns of an export: what a point is called, part by part, in every format."""

from __future__ import annotations

from typing import Any

import numpy as np

from vecdb.model.hit import Point
from vecdb.model.sparse import SparseVector

ID = "id"
PAYLOAD = "payload"


def vector_column(field: str) -> str:
    """``vector`` for the unnamed field, else ``vector.NAME``."""
    return f"vector.{field}" if field else "vector"


def text_column(field: str) -> str:
    """``text`` for the unnamed field, else ``text.NAME``."""
    return f"text.{field}" if field else "text"


def sparse_column(field: str) -> str:
    """``sparse`` for the unnamed field, else ``sparse.NAME``."""
    return f"sparse.{field}" if field else "sparse"


def sparse_object(vector: SparseVector) -> dict[str, Any]:
    """A sparse vector for JSON: the digits of float64 are read back as the same float32."""
    return {"indices": vector.indices, "values": vector.values.astype(np.float64)}


def field_of(column: str, kind: str) -> str | None:
    """The field that a column belongs to, by its name alone; ``kind`` is vector, text or sparse."""
    if column == kind:
        return ""
    return column.removeprefix(f"{kind}.") if column.startswith(f"{kind}.") else None


def as_record(point: Point) -> dict[str, Any]:
    """A point as a row; what it does not have is not there."""
    record: dict[str, Any] = {ID: point.id}
    record.update((vector_column(field), vector) for field, vector in point.vectors.items())
    record.update((text_column(field), text) for field, text in point.texts.items())
    record.update((sparse_column(field), vector) for field, vector in point.sparse.items())
    if point.payload is not None:
        record[PAYLOAD] = point.payload
    return record
