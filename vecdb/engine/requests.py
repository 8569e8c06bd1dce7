"""Remembers which requests were carried out, so that sending one again has no second effect."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future

from vecdb.model.point import WriteResult


class RequestMemory:
    """Outcomes by request id for ``keep_s`` seconds. Used by the committer's thread only.

    A request that failed is forgotten: it changed nothing, so trying it again is right.
    """

    def __init__(self, keep_s: float, clock: Callable[[], float] = time.time) -> None:
        self._keep_s = keep_s
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, Future[WriteResult]]] = OrderedDict()

    def claim(self, request_id: bytes, done: Future[WriteResult]) -> Future[WriteResult] | None:
        """The future of an earlier write with this id; None when there is none, and ``done`` is now it."""
        now = self._clock()
        while self._known and next(iter(self._known.values()))[0] < now - self._keep_s:
            self._known.popitem(last=False)
        earlier = self._known.get(request_id)
        if earlier is not None and not (earlier[1].done() and earlier[1].exception() is not None):
            return earlier[1]
        self._known[request_id] = (now, done)
        self._known.move_to_end(request_id)
        return None

    def remember(self, request_id: bytes, when: float, result: WriteResult) -> None:
        """Take up an outcome found in the log at open; ``when`` in seconds since 1970."""
        if when >= self._clock() - self._keep_s:
            done: Future[WriteResult] = Future()
            done.set_result(result)
            self._known[request_id] = (when, done)

    def __len__(self) -> int:
        return len(self._known)
