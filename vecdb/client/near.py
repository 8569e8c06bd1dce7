"""One way to search: nearest neighbours of a vector, or of points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from vecdb.client.examples import Ids
from vecdb.client.filters import Where

Vector = Sequence[float] | NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Near:
    """A leg of a search: the nearest neighbours of ``vector`` (``[dim]``, any numbers) in field ``using``.

    ``using`` None: the collection's default field.
    With several legs, ``weight`` (> 0) is its share in the fusion and ``depth`` (1..10,000, None: chosen)
    the hits it contributes. ``filter`` (a dict, or what F makes) narrows this leg alone. ``model`` states where
    the vector comes from; another than the field's is refused.

    ``id`` (one, or several) instead of a vector: points to be near to, which are no hits themselves; ``unlike``: points
    to be far from. The vector is then the mean of theirs, with ``unlike`` twice that mean less the mean of those.
    """

    vector: Vector | None = None
    using: str | None = None
    weight: float = 1.0
    depth: int | None = None
    model: str | None = None
    filter: Where | None = None
    id: Ids | None = None
    unlike: Ids | None = None
