"""What was made of segments for one call, and is kept for the next: masks of filters, values, orders."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

MOST_GONE = 10_000
"""Segments that went lately: nobody reads a view that is older than so many of them."""


class Kept:
    """At most ``max_bytes`` of what all collections together have made; those used last. Any thread may use it.

    A key begins with its owner's number and that of a segment. An owner lasts at most as long as its collection is
    open, and no number of a segment comes twice in that time, so nothing here grows old. What is kept of a segment may
    hold its files open, so it is let go of with the segment (``forget``).
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._found: OrderedDict[tuple[Any, ...], tuple[Any, int]] = OrderedDict()
        self._gone: OrderedDict[tuple[int, int], None] = OrderedDict()  # owner and segment, the last MOST_GONE
        self._lock = threading.Lock()
        self._owners = itertools.count()

    @property
    def nbytes(self) -> int:
        """How much is kept."""
        return self._bytes

    def owner(self) -> int:
        """A number for somebody who keeps things here."""
        return next(self._owners)

    def get(self, *key: Any) -> Any:
        """What was kept, not to be changed; None when there is nothing."""
        with self._lock:
            found = self._found.get(key)
            if found is None:
                return None
            self._found.move_to_end(key)
            return found[0]

    def put(self, nbytes: int, what: object, *key: Any) -> None:
        """Keep something in place of what was kept by the same key; those used longest ago make room."""
        with self._lock:
            if key[:2] in self._gone:  # for somebody who reads an older view
                return
            before = self._found.pop(key, None)
            self._bytes += nbytes - (0 if before is None else before[1])
            self._found[key] = what, nbytes
            while self._bytes > self._max_bytes:
                _, (_, oldest) = self._found.popitem(last=False)
                self._bytes -= oldest

    def forget(self, owner: int, segments: Iterable[int]) -> None:
        """Let go of what an owner kept of segments that are gone, and keep no more of them."""
        gone = {(owner, segment) for segment in segments}
        with self._lock:
            for key in [key for key in self._found if key[:2] in gone]:
                self._bytes -= self._found.pop(key)[1]
            self._gone |= dict.fromkeys(gone)
            while len(self._gone) > MOST_GONE:
                self._gone.popitem(last=False)
