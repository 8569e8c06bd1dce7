"""A gRPC call as the engine sees it: a CallContext."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import grpc

from vecdb.model.context import CallContext
from vecdb.model.filter import Filter

ScopeOf = Callable[[Mapping[str, str | bytes]], Filter | None]

_FOREVER_S = 1e8  # gRPC gives a call without a deadline one in the far future


@dataclass(frozen=True, slots=True)
class Calls:
    """Makes the context of each call. ``scope_of`` finds the caller's scope in the call's metadata."""

    scope_of: ScopeOf | None = None

    def context(self, rpc: grpc.ServicerContext, request_id: bytes | None = None) -> CallContext:
        """Deadline, scope and request id of the call."""
        remaining = rpc.time_remaining()
        if remaining is not None and remaining > _FOREVER_S:
            remaining = None
        return CallContext.within(remaining, scope=self.scope(rpc), request_id=request_id)

    def scope(self, rpc: grpc.ServicerContext) -> Filter | None:
        """Whatever is read or written, only within this."""
        return None if self.scope_of is None else self.scope_of(dict(rpc.invocation_metadata()))
