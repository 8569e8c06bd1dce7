"""The narrow waist of the client: what a transport does, blocking or not.

Times are in seconds, None for no limit; DeadlineExceeded is raised when they pass. A transport raises
VecdbError and nothing else. Thread rule: all methods may be called from any thread.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from vecdb.client.calls import Call, Steps
from vecdb.client.lanes import Lane
from vecdb.client.run import Budget

T = TypeVar("T")


class Transport(Protocol):
    """Carries calls to an engine."""

    def send(self, call: Call[T], timeout: float | None) -> T:
        """The engine's answer. ``Info`` is asked for once."""

    def close(self) -> None:
        """Release everything. Later calls raise Closed."""


class AsyncTransport(Protocol):
    """Runs operations on an engine, from any event loop, and never blocks the loop."""

    async def open(self) -> None:
        """Open what is to be opened, which else the first operation does."""

    async def run(self, steps: Steps[T], budget: Budget, lane: Lane) -> T:
        """What the operation returns or raises, after its turn in ``lane`` has come."""

    async def close(self) -> None:
        """Release everything. Later operations raise Closed."""
