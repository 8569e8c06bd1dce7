"""How the hits of several legs become one list; the arithmetic is in ``engine/fusion.py``."""

from __future__ import annotations

from dataclasses import dataclass

from vecdb.errors import InvalidArgument

DEFAULT_RRF_K = 60


@dataclass(frozen=True, slots=True)
class Rrf:
    """Weighted reciprocal rank fusion (Cormack, Clarke and Buettcher 2009): sum of w / (k + rank).

    The sum is divided by its maximum, so a fused score is in (0, 1].
    """

    k: int = DEFAULT_RRF_K


@dataclass(frozen=True, slots=True)
class RelativeScore:
    """Scores of each leg stretched to 0 (its last hit) .. 1 (its best), summed by weight: in [0, 1]."""


@dataclass(frozen=True, slots=True)
class DistributionScore:
    """Scores of each leg mapped so that 3 standard deviations around its mean are 0..1, and cut off there; summed by
    weight: in [0, 1].
    """


Fusion = Rrf | RelativeScore | DistributionScore


def validate(fusion: Fusion) -> None:
    """Raise InvalidArgument for parameters out of range."""
    if isinstance(fusion, Rrf) and fusion.k < 1:
        raise InvalidArgument("fusion k is too small", field="fusion.k", expected=">= 1", received=str(fusion.k))
