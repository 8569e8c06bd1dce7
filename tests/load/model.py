"""What a collection should hold, as plain values, and what it does hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

from vecdb.client.collection import Collection

# id -> (payload as JSON, texts, vectors as bytes)
Model = dict[str, tuple[bytes | None, dict[str, str], dict[str, bytes]]]


def point(payload: Any = None, text: str | None = None, vector: Any = None, **fields: Any) -> Any:
    """A point as the model keeps it; ``fields`` are further vectors."""
    vectors = {"": vector, **fields}
    return (
        None if payload is None else orjson.dumps(payload),
        {} if text is None else {"": text},
        {name: np.asarray(v, np.float32).tobytes() for name, v in vectors.items() if v is not None},
    )


def contents(collection: Collection) -> Model:
    """All that a collection holds."""
    return {
        found.id: (
            None if found.payload is None else orjson.dumps(found.payload),
            dict(found.texts),
            {name: vector.tobytes() for name, vector in found.vectors.items()},
        )
        for found in collection.scroll(with_vectors=True)
    }
