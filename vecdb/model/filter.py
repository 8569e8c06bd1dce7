"""The condition on payloads that a scope is: one equality until the filter language exists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True, eq=False)
class Equals:
    """True for a point whose payload has ``field`` (a top-level key) equal to ``value``.

    1, 1.0, "1" and true are four values, as everywhere; on an array it holds if any element does.
    A missing field is false.
    """

    field: str
    value: Scalar

    def matches(self, payload: Mapping[str, object]) -> bool:
        """Judge one parsed payload; the reference that every faster way must agree with."""
        if self.field not in payload:
            return False
        held = payload[self.field]
        if isinstance(held, list):
            return any(_same(element, self.value) for element in held)
        return _same(held, self.value)

    def __eq__(self, other: object) -> bool:
        """Filters are equal when they match the same: 1 and true are not (answers are kept by filter)."""
        return isinstance(other, Equals) and self.field == other.field and _same(self.value, other.value)

    def __hash__(self) -> int:
        return hash((self.field, type(self.value), self.value))


Filter = Equals


def _same(a: object, b: object) -> bool:
    return type(a) is type(b) and a == b
