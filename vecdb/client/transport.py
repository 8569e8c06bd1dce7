"""The narrow waist of the client: what a transport does.

``timeout`` is in seconds, None for no limit; DeadlineExceeded is raised when it passes. A transport raises
VecdbError and nothing else. Thread rule: all methods may be called from any thread.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from vecdb.client.calls import Call

T = TypeVar("T")


class Transport(Protocol):
    """Carries calls to an engine."""

    def send(self, call: Call[T], timeout: float | None) -> T:
        """The engine's answer. ``Info`` is asked for once."""

    def close(self) -> None:
        """Release everything. Later calls raise Closed."""
