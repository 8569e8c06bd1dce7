"""A transport that sends nothing: it remembers what it was asked to send, and fails when told to."""

from __future__ import annotations

from typing import Any

from vecdb.client.calls import Call, Info, Write
from vecdb.client.client import Client
from vecdb.client.collection import Collection
from vecdb.errors import VecdbError
from vecdb.model.info import Limits, ServerInfo
from vecdb.model.point import WriteBatch, WriteResult


class Recorder:
    """Accepts writes; the one with number ``fail_at`` (from 0) raises ``failure``."""

    def __init__(self, message_bytes: int = 64 << 20) -> None:
        self.batches: list[WriteBatch] = []
        self.request_ids: list[bytes] = []
        self.timeouts: list[float | None] = []
        self.fail_at = -1
        self.failure: VecdbError | None = None
        self.limits = Limits(message_bytes=message_bytes)

    def send(self, call: Call[Any], timeout: float | None) -> Any:
        if isinstance(call, Info):
            return ServerInfo(limits=self.limits)
        assert isinstance(call, Write)
        if self.failure is not None and len(self.batches) == self.fail_at:
            raise self.failure
        self.batches.append(call.batch)
        self.request_ids.append(call.request_id)
        self.timeouts.append(timeout)
        operations = call.batch.operations
        count = sum(len(op.rows.ids) if hasattr(op, "rows") else len(getattr(op, "ids", ())) for op in operations)
        return WriteResult(len(self.batches), count)

    def close(self) -> None:
        """Nothing is held."""

    def docs(self, timeout: float | None = 30) -> Collection:
        return Client(self, timeout).collection("docs")
