"""JSON read without losing a digit: a whole number of more than 64 bits is not turned into a float."""

from __future__ import annotations

import json
from typing import Any

import orjson

# orjson reads whole numbers beyond 64 bits as floats; only floats from here on can be such.
_SUSPICIOUS = 2.0**63


def parse(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError saying what is wrong."""
    value = orjson.loads(text)
    return value if exact(value) else json.loads(text)


def exact(value: Any) -> bool:
    """Whether a value read by orjson surely is what was written."""
    if isinstance(value, float):
        return -_SUSPICIOUS < value < _SUSPICIOUS
    if isinstance(value, dict):
        return all(map(exact, value.values()))
    return all(map(exact, value)) if isinstance(value, list) else True
