"""Payloads to JSON bytes, exactly: what JSON cannot keep is refused, never changed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import orjson

from vecdb.errors import InvalidArgument


def to_payloads(payloads: object, n: int) -> list[bytes | None] | None:
    """One JSON object, or None, for each of ``n`` points. Raises InvalidArgument naming the row."""
    if payloads is None:
        return None
    if not isinstance(payloads, Iterable) or isinstance(payloads, str | bytes | Mapping):
        raise InvalidArgument(
            "payloads is no list", field="payloads", expected="a list of dicts", received=type(payloads).__name__
        )
    encoded = [None if payload is None else to_payload(payload, f"payloads[{i}]") for i, payload in enumerate(payloads)]
    if len(encoded) != n:
        raise InvalidArgument(
            "columns differ in length", field="payloads", expected=f"{n} payloads", received=str(len(encoded))
        )
    return encoded


def to_payload(payload: object, path: str) -> bytes:
    """One JSON object. Raises InvalidArgument naming ``path``."""
    if not isinstance(payload, Mapping):
        raise InvalidArgument("not a payload", field=path, expected="a dict", received=type(payload).__name__)
    try:
        encoded = orjson.dumps(
            payload if isinstance(payload, dict) else dict(payload), option=orjson.OPT_SERIALIZE_NUMPY
        )
    except orjson.JSONEncodeError as error:
        raise InvalidArgument(
            "the payload is not JSON",
            field=path,
            expected="str keys, 64-bit integers, JSON values",
            received=str(error),
        ) from None
    # NaN and infinity become null in silence; only then is it worth looking.
    if b"null" in encoded and (found := _not_finite(payload)) is not None:
        raise InvalidArgument(
            "the payload holds a number that JSON has not", field=path, expected="finite numbers", received=found
        )
    return encoded


def _not_finite(value: Any) -> str | None:
    if isinstance(value, float | np.floating):
        return None if math.isfinite(value) else str(value)
    if isinstance(value, np.ndarray):
        return None if value.dtype.kind != "f" or np.isfinite(value).all() else "an array with NaN or infinity"
    if isinstance(value, Mapping):
        return next(filter(None, map(_not_finite, value.values())), None)
    if isinstance(value, list | tuple):
        return next(filter(None, map(_not_finite, value)), None)
    return None
