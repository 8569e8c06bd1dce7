"""A transport that sends nothing: it remembers what it was asked to send, and fails when told to."""

from __future__ import annotations

from vecdb.client.client import Client
from vecdb.client.collection import Collection
from vecdb.client.transport_embedded import EmbeddedTransport
from vecdb.errors import VecdbError
from vecdb.model.info import Limits, ServerInfo
from vecdb.model.point import WriteBatch, WriteResult


class Recorder(EmbeddedTransport):
    """Accepts writes; the one with number ``fail_at`` (from 0) raises ``failure``."""

    def __init__(self, message_bytes: int = 64 << 20) -> None:
        self.batches: list[WriteBatch] = []
        self.request_ids: list[bytes] = []
        self.timeouts: list[float | None] = []
        self.fail_at = -1
        self.failure: VecdbError | None = None
        self.limits = Limits(message_bytes=message_bytes)

    def info(self, timeout: float | None) -> ServerInfo:
        return ServerInfo(limits=self.limits)

    def write(self, name: str, batch: WriteBatch, request_id: bytes, timeout: float | None) -> WriteResult:
        if self.failure is not None and len(self.batches) == self.fail_at:
            raise self.failure
        self.batches.append(batch)
        self.request_ids.append(request_id)
        self.timeouts.append(timeout)
        count = sum(len(op.rows.ids) if hasattr(op, "rows") else len(getattr(op, "ids", ())) for op in batch.operations)
        return WriteResult(len(self.batches), count)

    def docs(self, timeout: float | None = 30) -> Collection:
        return Client(self, timeout).collection("docs")
