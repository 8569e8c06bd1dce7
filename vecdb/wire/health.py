"""grpc.health.v1 for a database: what cannot be served, while it takes no writes, says so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2

from vecdb.model.state import DatabaseState

_Status = health_pb2.HealthCheckResponse


class Health(health.HealthServicer):  # type: ignore[misc]
    """Serves the health of ``services``; ``writing`` (and "", the whole) are NOT_SERVING while a write may be refused.

    ``state`` tells what the engine can do just now. It is asked at every Check; those who Watch hear of a change from
    ``refresh``, which whoever learns of one calls.
    """

    def __init__(self, state: Callable[[], DatabaseState], services: Sequence[str], writing: Sequence[str]) -> None:
        # Watching calls would hold a thread each; these are served by callbacks on a pool of their own.
        super().__init__(experimental_non_blocking=True, experimental_thread_pool=ThreadPoolExecutor(max_workers=1))
        self._state = state
        self._services = ("", *services)
        self._writing = ("", *writing)
        # Again in the same thread: whoever asks may be the first to see a change, and those who watch are told then.
        self._refreshing = threading.RLock()
        self._told: dict[str, int] = {}
        self.refresh()

    def refresh(self) -> None:
        """Ask the engine again, and tell those who watch."""
        with self._refreshing:
            state = self._state()
            for service in self._services:
                serves = state.writes if service in self._writing else state.reads
                status = _Status.SERVING if serves else _Status.NOT_SERVING
                if self._told.get(service) != status:
                    self._told[service] = status
                    self.set(service, status)

    def Check(self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext) -> Any:
        self.refresh()
        return super().Check(request, context)
