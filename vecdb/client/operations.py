"""The operations of an atomic batch, as a person writes them: ``docs.write([Delete(ids=...), Upsert(...)])``."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vecdb.model.point import Clear

Id = str | int | uuid.UUID
Model = str | Mapping[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Put:
    """Points in parallel columns, all as long as ``ids``.

    ``ids``: str, int or uuid.UUID. ``vectors``: an array ``[n, dim]``, or a list of vectors with None where
    there is none; a dict of those by field. ``texts``: a list of str or None; a dict of those by field.
    ``payloads``: a list of dicts or None. ``model``: name of the embedding model, or a dict by vector field.
    """

    ids: Iterable[Id]
    vectors: Any = None
    texts: Any = None
    payloads: Iterable[Mapping[str, Any] | None] | None = None
    model: Model | None = None


class Upsert(Put):
    """Write whole points: what is not given is gone. Of equal ids the last wins."""

    __slots__ = ()


class Insert(Put):
    """Write new points: an id that exists is refused, and so are equal ids."""

    __slots__ = ()


class Update(Put):
    """Change only what is given: ids that do not exist are skipped and not counted."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, eq=False)
class Delete:
    """Delete points by id: ids that do not exist are skipped and not counted."""

    ids: Iterable[Id] | None = None


Operation = Upsert | Insert | Update | Delete | Clear

__all__ = ["Clear", "Delete", "Id", "Insert", "Model", "Operation", "Put", "Update", "Upsert"]
