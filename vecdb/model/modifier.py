"""What a found score is changed by before hits are chosen: numbers and times of the payload, and difference."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vecdb.errors import InvalidArgument
from vecdb.model.filter import Attribute, Key, Scalar
from vecdb.model.filter.times import parse_time

MAX_MODIFIERS = 16
MAX_MMR_CANDIDATES = 1_000


@dataclass(frozen=True, slots=True)
class Decay:
    """Multiply a score by 0.5 ^ (distance / ``half``): the distance of the value at ``key`` from ``origin`` beyond
    ``plateau``.

    Numbers, or RFC 3339 times with ``half`` and ``plateau`` in milliseconds; ``origin`` None: now. A point without such
    a value keeps its score times ``missing``, 0..1; of several the nearest counts. A score below 0 falls by as much as
    its opposite.
    """

    key: Key
    half: float
    origin: Scalar | None = None
    plateau: float = 0.0
    missing: float = 1.0

    def validate(self, path: str) -> None:
        """Raise InvalidArgument naming ``path``."""
        _path_of_payload(self.key, path)
        if not (self.origin is None or _is_place(self.origin)):
            raise InvalidArgument(
                "not a place to measure from",
                field=f"{path}.origin",
                expected="a finite number or an RFC 3339 time",
                received=repr(self.origin)[:80],
            )
        _within(self.half, f"{path}.half", self.half > 0, "> 0")
        _within(self.plateau, f"{path}.plateau", self.plateau >= 0, ">= 0")
        _within(self.missing, f"{path}.missing", 0 <= self.missing <= 1, "0..1")


@dataclass(frozen=True, slots=True)
class Boost:
    """Add ``weight`` * ln(1 + max(value, 0)) to a score, of the greatest number at ``key``; nothing without one."""

    key: Key
    weight: float

    def validate(self, path: str) -> None:
        """Raise InvalidArgument naming ``path``."""
        _path_of_payload(self.key, path)
        _within(self.weight, f"{path}.weight", True, "a finite number")


Modifier = Decay | Boost


@dataclass(frozen=True, slots=True)
class Mmr:
    """Choose hits that differ: maximal marginal relevance (Carbonell and Goldstein 1998).

    One after another, each with the greatest relevance * score - (1 - relevance) * similarity to the nearest chosen;
    scores stretched to 0..1 over the ``candidates`` (None: the greater of 100 and four windows; at most 1,000),
    similarity the cosine of the vectors of field ``using`` (None: the default), 0 without vectors.
    """

    relevance: float
    candidates: int | None = None
    using: str | None = None

    def validate(self) -> None:
        """Raise InvalidArgument for numbers out of range."""
        _within(self.relevance, "mmr.relevance", 0 <= self.relevance <= 1, "0..1")
        if self.candidates is not None and not 1 <= self.candidates <= MAX_MMR_CANDIDATES:
            raise InvalidArgument(
                "candidates out of range",
                field="mmr.candidates",
                expected=f"1..{MAX_MMR_CANDIDATES}",
                received=str(self.candidates),
            )


def _is_place(origin: Scalar) -> bool:
    """Whether a distance can be measured from ``origin``."""
    if isinstance(origin, str):
        return parse_time(origin) is not None
    if isinstance(origin, int):
        return not isinstance(origin, bool) and -(2**63) <= origin < 2**64
    return isinstance(origin, float) and math.isfinite(origin)


def _path_of_payload(key: Key, path: str) -> None:
    if isinstance(key, Attribute):
        raise InvalidArgument(
            "not a value of the payload", field=f"{path}.key", expected="a path of the payload", received=key.value
        )


def _within(value: float, path: str, inside: bool, expected: str) -> None:
    if not (math.isfinite(value) and inside):
        raise InvalidArgument("out of range", field=path, expected=expected, received=str(value))
