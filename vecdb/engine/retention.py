"""How much of a collection's past is kept for its change feed.

The past is there as long as nothing is deleted: log records name the rows that each write added and killed, and dead
rows lie in the store until they are reaped. So keeping it is not doing something: what was written after the
*horizon* is not deleted. The horizon moves by age and by the bytes that are held back, whichever comes first, and never
past somebody who reads just now.

Under the publish lock, every method.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

SPAN_S = 1.0
SPANS = 64
"""Neighbouring writes are let go of together: those of a second, or of this share of the bytes that may be held. A day
of writes would else be remembered one by one."""
LEAST_BYTES = 8 << 20
"""At most half as much is held back as lives in the collection, but so much in any: the disk a collection takes is
bounded by its size, and small ones have a past, too."""
RECORD_BYTES = 128
"""What a log record takes besides the rows it names, about."""


@dataclass(slots=True)
class _Span:
    """Writes in a row, up to ``last``, the newest at ``time_s``; what keeping them costs."""

    last: int
    first_s: float
    time_s: float
    nbytes: int


class Retention:
    """Of one collection. ``horizon``: the changes of every write after it can be told; what is before may be gone."""

    def __init__(self, keep_s: float, keep_bytes: int) -> None:
        self._keep_s = keep_s
        self._keep_bytes = keep_bytes
        self._spans: deque[_Span] = deque()
        self._reading: list[int] = []
        self.nbytes = 0
        self.horizon = 0

    def start(self, horizon: int) -> None:
        """Nothing up to ``horizon`` can be told (loading)."""
        self.horizon = horizon

    def note(self, seq: int, time_s: float, nbytes: int) -> None:
        """A write came, and ``nbytes`` of dead rows with it."""
        nbytes += RECORD_BYTES
        self.nbytes += nbytes
        last = self._spans[-1] if self._spans else None
        if last is not None and time_s - last.first_s < SPAN_S and last.nbytes < self._keep_bytes // SPANS:
            last.last, last.nbytes = seq, last.nbytes + nbytes
            last.time_s = max(last.time_s, time_s)
        else:
            self._spans.append(_Span(seq, time_s, time_s, nbytes))

    def let_go(self, now_s: float, live_bytes: float) -> None:
        """Move the horizon over what is too old or, beside so many bytes that live, too much."""
        old, most = now_s - self._keep_s, min(self._keep_bytes, max(LEAST_BYTES, live_bytes / 2))
        while self._spans and (self._spans[0].time_s <= old or self.nbytes > most):
            if not self._pass(self._spans[0].last):
                return

    def let_go_to(self, seq: int) -> None:
        """Move the horizon over all writes up to ``seq``, as far as nobody reads them just now."""
        while self._spans and self._spans[0].last <= seq:
            if not self._pass(self._spans[0].last):
                return
        self.horizon = max(self.horizon, min([seq, *self._reading]))

    def _pass(self, seq: int) -> bool:
        if any(after < seq for after in self._reading):
            return False
        self.nbytes -= self._spans.popleft().nbytes
        self.horizon = seq
        return True

    def begin(self, after: int) -> None:
        """Somebody reads what comes after ``after``, which is not before the horizon."""
        self._reading.append(after)

    def end(self, after: int) -> None:
        """They have read it."""
        self._reading.remove(after)
