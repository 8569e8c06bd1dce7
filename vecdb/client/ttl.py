"""Times to live as people have them, to milliseconds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import timedelta

import numpy as np

from vecdb.errors import InvalidArgument
from vecdb.model.point import FOR_EVER
from vecdb.model.schema import MAX_TTL_MS


def seconds(given: object) -> float:
    """A timedelta or number as seconds; NaN for what is neither."""
    if isinstance(given, timedelta):
        return given.total_seconds()
    if isinstance(given, int | float | np.integer | np.floating) and not isinstance(given, bool):
        return float(given)
    return math.nan


def lifetime(ttl: object, path: str) -> int:
    """A time to live in milliseconds: FOR_EVER for math.inf, 0 for None. Raises InvalidArgument."""
    if ttl is None:
        return 0
    given = seconds(ttl)
    if given == math.inf:
        return FOR_EVER
    if not 0 < given <= MAX_TTL_MS / 1000:
        raise InvalidArgument(
            "not a time to live",
            field=path,
            expected="seconds above 0, a timedelta, math.inf or None",
            received=repr(ttl)[:40],
        )
    return max(1, round(1000 * given))


def lifetimes(ttl: object, n: int) -> list[int]:
    """A time to live, or one for each of ``n`` points, in milliseconds; empty for none. Raises InvalidArgument."""
    if ttl is None:
        return []
    if isinstance(ttl, str | bytes | Mapping) or not isinstance(ttl, Iterable):
        return [lifetime(ttl, "ttl")]
    found = [lifetime(one, f"ttl[{i}]") for i, one in enumerate(ttl)]
    if len(found) != n:
        raise InvalidArgument(
            "columns differ in length", field="ttl", expected=f"{n} times to live", received=str(len(found))
        )
    return found if any(found) else []


def of_collection(ttl: object) -> int:
    """A collection's time to live in milliseconds: 0 for None and math.inf. Raises InvalidArgument."""
    found = lifetime(ttl, "ttl")
    return 0 if found == FOR_EVER else found
