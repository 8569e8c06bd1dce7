"""Ids as people have them, to ids as they are kept: strings."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping

import numpy as np

from vecdb.errors import InvalidArgument


def to_ids(values: object, path: str = "ids") -> list[str]:
    """str as it is; int and uuid.UUID in canonical form. Raises InvalidArgument naming the row."""
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if not isinstance(values, Iterable) or isinstance(values, str | bytes | Mapping):
        raise InvalidArgument(
            f"{path} is no list", field=path, expected="a list of ids", received=type(values).__name__
        )
    ids = [value if type(value) is str else _to_id(value, f"{path}[{i}]") for i, value in enumerate(values)]
    check_unicode(ids, path)
    return ids


def _to_id(value: object, path: str) -> str:
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return str(int(value))
    if isinstance(value, str | uuid.UUID):
        return str(value)
    raise InvalidArgument("not an id", field=path, expected="str, int or uuid.UUID", received=type(value).__name__)


def check_unicode(values: list[str], path: str) -> None:
    """Refuse strings that cannot be UTF-8, naming the first."""
    try:
        "".join(values).encode()
    except UnicodeEncodeError:
        for i, value in enumerate(values):
            if any("\ud800" <= c <= "\udfff" for c in value):
                raise InvalidArgument(
                    "not valid Unicode", field=f"{path}[{i}]", expected="no lone surrogates", received=ascii(value[:40])
                ) from None
