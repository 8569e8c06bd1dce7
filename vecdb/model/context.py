"""What every engine call is told about its caller."""

from __future__ import annotations

import time
from dataclasses import dataclass

from vecdb.errors import DeadlineExceeded
from vecdb.model.filter import Filter


@dataclass(frozen=True, slots=True)
class CallContext:
    """Who calls, until when, and what they may see.

    ``deadline`` is on ``time.monotonic``'s clock (None: no limit). ``scope`` is a filter and-ed to
    whatever is read or written. ``request_id`` (1..64 bytes) makes a write safe to send again.
    """

    deadline: float | None = None
    scope: Filter | None = None
    principal: str | None = None
    request_id: bytes | None = None

    def remaining(self) -> float | None:
        """Seconds left, never negative; None without a deadline."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def check(self, doing: str) -> None:
        """Raise DeadlineExceeded when the time is up; ``doing`` says what was given up."""
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise DeadlineExceeded(f"the deadline passed while {doing}")

    @staticmethod
    def within(timeout_s: float | None, **more: object) -> CallContext:
        """A context whose deadline is ``timeout_s`` seconds from now (None: none)."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        return CallContext(deadline=deadline, **more)  # type: ignore[arg-type]
