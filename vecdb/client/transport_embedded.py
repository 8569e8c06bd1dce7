"""Calls to an engine in this process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vecdb.client.calls import Call
from vecdb.client.installed import require_engine
from vecdb.errors import DataDirInUse, InvalidArgument
from vecdb.model.context import CallContext
from vecdb.model.filter import Filter

if TYPE_CHECKING:
    from vecdb.engine.database import Database
    from vecdb.engine.options import EngineOptions

T = TypeVar("T")


def open_database(path: str | Path, options: dict[str, Any]) -> Database:
    """Open the engine on ``path``. Raises EngineNotInstalled, DataDirInUse, DataDirUnusable, FormatTooNew."""
    require_engine()
    from vecdb.engine.database import Database

    return Database.open(path, engine_options(options))


def engine_options(options: Mapping[str, Any]) -> EngineOptions:
    """The engine's options by name. Raises InvalidArgument for one that there is not."""
    from vecdb.engine.options import EngineOptions

    try:
        return EngineOptions(**options)
    except TypeError:
        known = EngineOptions.__dataclass_fields__
        unknown = sorted(options.keys() - known)
        raise InvalidArgument(
            "unknown option", field="options", expected=", ".join(known), received=", ".join(unknown)
        ) from None


class EmbeddedTransport:
    """Owns ``database``, and closes it. Every call runs under ``scope``.

    An engine does not survive a fork: the child has none of its threads, and the store is the parent's. There
    every call raises DataDirInUse, and closing does nothing.
    """

    def __init__(self, database: Database, scope: Filter | None = None) -> None:
        self._database = database
        self._scope = scope
        self._pid = os.getpid()

    def send(self, call: Call[T], timeout: float | None) -> T:
        if self._pid != os.getpid():
            raise DataDirInUse(
                f"the engine is in process {self._pid}, and this one was forked from it",
                expected="a database opened after the fork, or vecdb.open(path, shared=True)",
                received=f"one opened by process {self._pid}",
            )
        return call.on(self._database, CallContext.within(timeout, scope=self._scope))

    def close(self) -> None:
        if self._pid == os.getpid():
            self._database.close()
