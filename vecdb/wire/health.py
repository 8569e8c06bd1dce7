"""grpc.health.v1 for a database: what cannot be served once it takes no more writes says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2

_Status = health_pb2.HealthCheckResponse


class Health(health.HealthServicer):  # type: ignore[misc]
    """Serves the health of ``services``; ``writing`` (and "", the whole) are NOT_SERVING when read-only.

    ``failure`` tells why the engine takes no more writes, or None. It is asked at every Check; those who
    Watch hear of it then, or when a write meets it.
    """

    def __init__(self, failure: Callable[[], str | None], services: Sequence[str], writing: Sequence[str]) -> None:
        # Watching calls would hold a thread each; these are served by callbacks on a pool of their own.
        super().__init__(experimental_non_blocking=True, experimental_thread_pool=ThreadPoolExecutor(max_workers=1))
        self._failure = failure
        self._writing = ("", *writing)
        self._read_only = False
        for service in ("", *services):
            self.set(service, _Status.SERVING)

    def refresh(self) -> None:
        """Ask the engine again, and tell those who watch."""
        if not self._read_only and self._failure() is not None:
            self._read_only = True
            for service in self._writing:
                self.set(service, _Status.NOT_SERVING)

    def Check(self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext) -> Any:
        self.refresh()
        return super().Check(request, context)
