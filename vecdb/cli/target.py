"""Which database a command works on: a server's, or a data directory opened in this process."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vecdb import config
from vecdb.cli.flags import chosen, flags
from vecdb.client.installed import require_engine
from vecdb.errors import DataDirUnusable

if TYPE_CHECKING:
    from vecdb import Client


@dataclass(frozen=True, slots=True)
class Target:
    """A server, or the database in the directory ``data``; ``given`` are the flags.

    ``shared``: the directory is opened beside other processes that share it.
    """

    data: str | None
    shared: bool
    given: Mapping[str, str | None]

    @property
    def is_new(self) -> bool:
        """Whether it is a directory in which no database is yet."""
        return self.data is not None and not _marker(self.data).exists()

    def open(self, make: bool = False) -> Client:
        """A client of it. A directory without a database is refused, or with ``make`` becomes one."""
        if self.data is not None and self.given["address"] is not None:
            raise click.UsageError("--address and --data are two ways to one thing: give one of them")
        if self.data is None and self.shared:
            raise click.UsageError("--shared is for a directory: give --data too")
        client = chosen(config.CLIENT, self.given)
        if self.data is None:
            import vecdb

            return vecdb.connect(client["address"], client["api_key"], timeout=client["timeout"])
        config.one_thread_for_libraries()
        if not make:
            require_database(self.data)
        engine = chosen(config.SERVE, {}).options("engine")
        import vecdb

        return vecdb.open(self.data, shared=self.shared, timeout=client["timeout"], **engine)


def target(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command ``--address``, ``--data``, ``--shared`` and ``--timeout``, and hands it them as ``where``."""

    @functools.wraps(command)
    def run(data: str | None, shared: bool, **given: Any) -> None:
        client = {setting.name: given.pop(setting.name) for setting in config.CLIENT if setting.by_flag}
        command(where=Target(data, shared, client), **given)

    with_data = click.option(
        "--data", metavar="PATH", help="Instead of a server: the data directory, opened in this process."
    )
    with_shared = click.option(
        "--shared", is_flag=True, help="With --data: beside the processes that share the directory."
    )
    return flags(config.CLIENT)(with_data(with_shared(run)))


def require_database(data: str) -> None:
    """Raise DataDirUnusable where there is no database, EngineNotInstalled where nothing could open one."""
    marker = _marker(data)
    if not marker.exists():
        raise DataDirUnusable(
            f"there is no database in {data}", expected=f"a directory with {marker.name}", received="none"
        )


def _marker(data: str) -> Path:
    """The file that every database has. Raises EngineNotInstalled."""
    require_engine()
    from vecdb.engine.datadir import MARKER

    return Path(data) / MARKER
