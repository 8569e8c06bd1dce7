"""Masks of filters that are kept for the next query: those used last, of all collections together."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict

from vecdb.index.contract import Mask
from vecdb.model.filter import Filter


class KeptMasks:
    """At most ``max_bytes`` of masks, by owner, segment and filter. Any thread may use it.

    An owner is a collection for as long as it is open; no number of a segment comes twice in that time, so nothing
    here grows old. What belongs to segments that are gone is pushed out by what is used.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._masks: OrderedDict[tuple[int, int, Filter], Mask] = OrderedDict()
        self._lock = threading.Lock()
        self._owners = itertools.count()

    def owner(self) -> int:
        """A number for somebody who keeps masks here."""
        return next(self._owners)

    def get(self, owner: int, segment: int, filter: Filter) -> Mask | None:
        """The mask kept, not to be written to; None when there is none."""
        key = (owner, segment, filter)
        with self._lock:
            mask = self._masks.get(key)
            if mask is not None:
                self._masks.move_to_end(key)
            return mask

    def put(self, owner: int, segment: int, filter: Filter, mask: Mask) -> None:
        """Keep a mask in place of an earlier one; those used longest ago make room."""
        key = (owner, segment, filter)
        with self._lock:
            before = self._masks.pop(key, None)
            self._bytes += mask.nbytes - (0 if before is None else before.nbytes)
            self._masks[key] = mask
            while self._bytes > self._max_bytes:
                _, oldest = self._masks.popitem(last=False)
                self._bytes -= oldest.nbytes
