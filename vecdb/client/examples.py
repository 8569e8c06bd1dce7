"""Examples as people have them, an id or several, to the nouns of the model."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

import numpy as np

from vecdb.client.ids import to_ids
from vecdb.client.operations import Id
from vecdb.errors import InvalidArgument
from vecdb.model.query import NO_VECTORS, Examples, Near

Ids = Id | Iterable[Id]


def to_examples(id: object, unlike: object, path: str) -> Examples:
    """One id, or several, to be near to, and those to be far from (None: none). Raises InvalidArgument."""
    return Examples(_ids(id, path), [] if unlike is None else _ids(unlike, "unlike" if path == "id" else path))


def by_example(examples: list[Examples], using: str | None, model: str | None) -> Near:
    """A leg of so many queries."""
    return Near(NO_VECTORS, using, model=model, examples=examples)


def batch(ids: object) -> list[Examples]:
    """Of each query an id, or several. Raises InvalidArgument."""
    if isinstance(ids, np.ndarray):
        ids = ids.tolist()
    if not isinstance(ids, Iterable) or isinstance(ids, str | bytes | dict):
        raise InvalidArgument(
            "not a list of examples",
            field="ids",
            expected="an id, or a list of ids, for each query",
            received=type(ids).__name__,
        )
    return [to_examples(some, None, f"ids[{i}]") for i, some in enumerate(ids)]


def _ids(given: object, path: str) -> list[str]:
    one = isinstance(given, str | int | uuid.UUID | np.integer)
    return to_ids([given] if one else given, path)
