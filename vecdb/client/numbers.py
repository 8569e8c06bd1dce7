"""Numbers as people have them, of Python or numpy."""

from __future__ import annotations

from typing import Any

import numpy as np

from vecdb.errors import InvalidArgument


def whole(value: Any, path: str) -> int:
    """An int. Raises InvalidArgument."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InvalidArgument("not a whole number", field=path, expected="int", received=repr(value)[:40])
    return int(value)


def real(value: Any, path: str) -> float:
    """A float. Raises InvalidArgument."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise InvalidArgument("not a number", field=path, expected="float", received=repr(value)[:40])
    return float(value)
