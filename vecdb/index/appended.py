"""Columns that only grow, by one thread, while any thread reads what was there before."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)


class Appended(Generic[T]):
    """An array with room behind its end; ``view`` shows what is filled. Readers keep older views."""

    def __init__(self, dtype: type[T], width: int | None = None) -> None:
        self._width = width
        self._data: NDArray[T] = np.empty(0 if width is None else (0, width), dtype=dtype)
        self.n = 0

    def extend(self, values: NDArray[Any]) -> None:
        """Add values at the end; ``n`` changes last, so that a reader never sees what is not written yet."""
        need = self.n + len(values)
        if need > len(self._data):
            room = max(need, 16, len(self._data) * 2)
            grown = np.empty(room if self._width is None else (room, self._width), dtype=self._data.dtype)
            grown[: self.n] = self._data[: self.n]
            self._data = grown
        self._data[self.n : need] = values
        self.n = need

    def view(self) -> NDArray[T]:
        """What is filled."""
        return self._data[: self.n]
