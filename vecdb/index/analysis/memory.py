"""What the words of texts gave before: most words of a text are among the last that were met."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

_CHUNKS = 1 << 16  # about 15 MB
_LENGTH = 40  # characters; longer chunks seldom come again


class Memory(dict[str, tuple[str, ...]]):
    """Chunk of text to its terms, made when first asked for. Forgets what it has had longest, one for one.

    Threads share it: the worst of a race is that a chunk is analyzed twice.
    """

    def __init__(self, make: Callable[[str], tuple[str, ...]]) -> None:
        super().__init__()
        self._make = make
        self._order: deque[str] = deque()

    def __missing__(self, chunk: str) -> tuple[str, ...]:
        made = self._make(chunk)
        if len(chunk) <= _LENGTH:
            self[chunk] = made
            self._order.append(chunk)
            if len(self._order) > _CHUNKS:
                self.pop(self._order.popleft(), None)
        return made
