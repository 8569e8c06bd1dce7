"""Vectors as a command line gives them: JSON, or a numpy file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def from_json(text: str, option: str) -> NDArray[np.float32]:
    """One vector from a JSON list of numbers; "-" reads it from standard input."""
    import numpy as np
    import orjson

    try:
        numbers = orjson.loads(sys.stdin.read() if text == "-" else text)
    except orjson.JSONDecodeError as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint=option) from None
    if not isinstance(numbers, list) or not all(type(number) in (int, float) for number in numbers):
        raise click.BadParameter("a list of numbers is expected, such as [0.1, 0.9]", param_hint=option)
    return np.array(numbers, dtype=np.float32)


def from_file(file: str, option: str) -> NDArray[Any]:
    """A vector ``[dim]`` or many, ``[n, dim]``, from a numpy file."""
    import numpy as np

    try:
        array = np.load(Path(file), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise click.BadParameter(f"{file} is no numpy file: {error}", param_hint=option) from None
    if not isinstance(array, np.ndarray) or array.ndim not in (1, 2) or array.dtype.kind not in "fiu":
        raise click.BadParameter(f"{file} is no array of numbers [dim] or [n, dim]", param_hint=option)
    return array
