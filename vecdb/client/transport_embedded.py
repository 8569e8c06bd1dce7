"""Calls to an engine in this process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vecdb.client.calls import Call
from vecdb.client.installed import require_engine
from vecdb.errors import InvalidArgument
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
    """Owns ``database``, and closes it. Every call runs under ``scope``."""

    def __init__(self, database: Database, scope: Filter | None = None) -> None:
        self._database = database
        self._scope = scope

    def send(self, call: Call[T], timeout: float | None) -> T:
        return call.on(self._database, CallContext.within(timeout, scope=self._scope))

    def close(self) -> None:
        self._database.close()
