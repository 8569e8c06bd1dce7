"""Walks a change feed: the calls, and what iterates over them, blocking and awaited."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable

from vecdb.client import calls
from vecdb.client.calls import Steps
from vecdb.client.numbers import whole
from vecdb.client.run import Budget
from vecdb.client.ttl import seconds
from vecdb.errors import InvalidArgument
from vecdb.model.feed import NOW, OLDEST, Change, FeedPage, FeedRequest, FeedToken

WAIT_S = 10.0
"""One call waits no longer; a server lets go of it by then, too."""
FOR_EVER_S = 1e9


class Feed:
    """Where a walk stands: after ``token``, None before it has begun. Raises InvalidArgument.

    ``timeout``: how long a change may be waited for when following; None: for ever.
    """

    def __init__(self, collection: str, after: object, follow: bool, limit: object, timeout: float | None) -> None:
        self._collection = collection
        self._after = _place(after)
        self._rows = 0
        self._follow = follow
        self._left = None if limit is None else _at_least_one(limit)
        self._timeout = timeout
        self._patience_s = _patience(timeout) if follow else 0.0
        self._until = time.monotonic() + self._patience_s
        self._waiting: deque[Change] = deque()
        self._begun = False
        self._ended = False
        self.token: str | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing comes any more."""
        return self._ended and not self._waiting

    def next(self) -> Change | None:
        """The next change that is here; None when another call has to be made."""
        if not self._waiting:
            if self._begun and self._left != 0:
                self.token = self._after  # past what concerned nobody here
            return None
        change = self._waiting.popleft()
        self.token = change.token
        if self._left is not None and change.last:
            self._left -= 1
            if not self._left:
                self._ended = True
                self._waiting.clear()
        return change

    def budget(self, each: float | None) -> Budget:
        """How long the next call may take, ``each`` being the time of a call that does not wait."""
        if not self._follow:
            return Budget(self._timeout, each)
        return Budget(None, None if each is None else each + WAIT_S)

    def more(self) -> Steps[None]:
        """Ask for what comes next. A token is needed before anything is waited for."""
        wait_s = 0.0
        if self._follow and self._after != NOW:
            wait_s = max(0.0, min(WAIT_S, self._until - time.monotonic()))
        self._take((yield from calls.Changes(self._collection, FeedRequest(self._after, self._rows, wait_s))))

    def _take(self, page: FeedPage) -> None:
        self._after, self._rows, self._begun = page.token, page.rows, True
        self._waiting.extend(page.changes)
        if page.changes:
            self._until = time.monotonic() + self._patience_s
        self._ended = page.end and (not self._follow or time.monotonic() >= self._until)


class Changes:
    """The changes of a collection, one after another; made by ``Collection.changes``.

    ``token`` is where it stands: to go on from there later, or elsewhere.
    """

    def __init__(self, feed: Feed, more: Callable[[], object]) -> None:
        self._feed = feed
        self._more = more

    @property
    def token(self) -> str | None:
        """After the last change taken, and after what nobody here may see; None before the first is asked for."""
        return self._feed.token

    def __iter__(self) -> Changes:
        return self

    def __next__(self) -> Change:
        while (change := self._feed.next()) is None:
            if self._feed.ended:
                raise StopIteration
            self._more()
        return change


class AsyncChanges:
    """As Changes, for ``async for``; made by ``AsyncCollection.changes``."""

    def __init__(self, feed: Feed, more: Callable[[], Awaitable[object]]) -> None:
        self._feed = feed
        self._more = more

    @property
    def token(self) -> str | None:
        """As of Changes."""
        return self._feed.token

    def __aiter__(self) -> AsyncChanges:
        return self

    async def __anext__(self) -> Change:
        while (change := self._feed.next()) is None:
            if self._feed.ended:
                raise StopAsyncIteration
            await self._more()
        return change


def token(collection: str) -> Steps[str]:
    """The token after the newest write."""
    page = yield from calls.Changes(collection, FeedRequest(NOW))
    return page.token


def _place(after: object) -> str:
    if isinstance(after, str):
        if after not in (NOW, OLDEST):
            FeedToken.parse(after)
        return after
    raise InvalidArgument(
        "not a place in a change feed",
        field="after",
        expected=f"a token, {NOW!r} or {OLDEST!r}",
        received=repr(after)[:40],
    )


def _at_least_one(limit: object) -> int:
    number = whole(limit, "limit")
    if number < 1:
        raise InvalidArgument("limit out of range", field="limit", expected=">= 1", received=str(number))
    return number


def _patience(timeout: float | None) -> float:
    if timeout is None:
        return FOR_EVER_S
    given = seconds(timeout)
    if not 0 <= given < FOR_EVER_S:
        raise InvalidArgument(
            "timeout out of range", field="timeout", expected="seconds, 0 or more", received=repr(timeout)[:40]
        )
    return given
