"""The operations of an atomic batch, as a person writes them: ``docs.write([Delete(ids=...), Upsert(...)])``."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import timedelta
from typing import Any, Literal

from vecdb.client.filters import Where
from vecdb.model import point
from vecdb.model.point import Clear

Id = str | int | uuid.UUID
Model = str | Mapping[str, str]
Ttl = float | timedelta | Sequence[float | timedelta | None] | None
Version = int | Sequence[int] | None
PayloadMode = Literal["merge", "replace"]


@dataclass(frozen=True, slots=True, eq=False)
class Put:
    """Points in parallel columns, all as long as ``ids``.

    ``ids``: str, int or uuid.UUID. ``vectors``: an array ``[n, dim]``, or a list of vectors with None where
    there is none; a dict of those by field. ``texts``: a list of str or None; a dict of those by field.
    ``payloads``: a list of dicts or None. ``model``: name of the embedding model, or a dict by vector field.
    ``ttl``: seconds or timedelta after which a point is gone, math.inf for never, None for the collection's own (and
    in an update: as it is); one for all, or a list of one for each. ``sparse``: a list of sparse vectors (each a dict
    of weights by dimension, a pair of dimensions and weights, a SparseVector or None), or a sparse matrix of scipy; a
    dict of those by field.
    """

    ids: Iterable[Id]
    vectors: Any = None
    texts: Any = None
    payloads: Any = None
    model: Model | None = None
    _: KW_ONLY
    ttl: Ttl = None
    sparse: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class Upsert(Put):
    """Write whole points: what is not given is gone. Of equal ids the last wins.

    ``if_absent``: none of them exists; ``if_exists``: all do; ``if_version``: their versions, one or one for each, 0
    for a point that does not exist; ``if_filter``: all exist and match. Else ConditionFailed, and nothing is written.
    """

    if_absent: bool = False
    if_exists: bool = False
    if_version: Version = None
    if_filter: Where | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Insert(Put):
    """Write new points: an id that exists is refused, and so are equal ids."""


@dataclass(frozen=True, slots=True, eq=False)
class Update(Put):
    """Change only what is given: ids that do not exist are skipped and not counted.

    ``filter`` instead of ``ids``: every point that matches; ``payloads`` is then one dict, and there are no vectors
    and texts. ``payload_mode``: "merge", the keys given take the place of those there, or "replace". ``unset``: names
    of values that are taken out of the payload first (``"a.b"`` is b inside a). Conditions as in Upsert.
    """

    ids: Iterable[Id] | None = None  # type: ignore[assignment]
    vectors: Any = None
    texts: Any = None
    payloads: Any = None
    model: Model | None = None
    _: KW_ONLY
    filter: Where | None = None
    payload_mode: PayloadMode = "merge"
    unset: Iterable[str] | None = None
    if_exists: bool = False
    if_version: Version = None
    if_filter: Where | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Delete:
    """Delete points by id, those that do not exist are skipped and not counted; or all that match ``filter``.

    Conditions as in Upsert, with ids.
    """

    ids: Iterable[Id] | None = None
    _: KW_ONLY
    filter: Where | None = None
    if_exists: bool = False
    if_version: Version = None
    if_filter: Where | None = None


Operation = Upsert | Insert | Update | Delete | Clear | point.Put | point.DeleteIds
"""The last two are those of a Change."""

__all__ = [
    "Clear",
    "Delete",
    "Id",
    "Insert",
    "Model",
    "Operation",
    "PayloadMode",
    "Put",
    "Ttl",
    "Update",
    "Upsert",
    "Version",
]
