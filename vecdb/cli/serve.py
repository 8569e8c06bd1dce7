"""``vecdb serve``: the server."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import click

from vecdb import config

CLOSE_LIMIT_S = 20.0  # after the grace; then the process exits whatever the engine does


def _flags(command: Callable[..., None]) -> Callable[..., None]:
    for setting in reversed(config.SERVE):
        shown = f" [{setting.default}]" if setting.default else ""
        metavar = (setting.unit or "text").upper()
        text = f"{setting.help}{shown} ({setting.variable})"
        command = click.option(setting.flag, setting.name, metavar=metavar, help=text)(command)
    return command


@click.command()
@_flags
def serve(**flags: str | None) -> None:
    """Serve a data directory over gRPC until SIGTERM or Ctrl-C."""
    chosen = config.settings(config.SERVE, flags)
    if chosen["data"] is None:
        raise click.UsageError("say where the data is: --data PATH, or VECDB_DATA")
    logging.basicConfig(level=chosen["log_level"].upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    config.one_thread_for_libraries()
    _serve(chosen)


def _serve(chosen: dict[str, Any]) -> None:
    from vecdb.client.installed import require_engine

    require_engine()
    from vecdb.engine.database import Database
    from vecdb.engine.options import EngineOptions
    from vecdb.model.version import VERSION
    from vecdb.wire.lifetime import run
    from vecdb.wire.server import Server, ServerOptions

    options = EngineOptions(durability=chosen["durability"], max_memory_bytes=chosen["max_memory"])
    database = Database.open(chosen["data"], options)
    try:
        server = Server(database, ServerOptions(address=chosen["address"], max_calls=chosen["max_calls"]))
    except BaseException:
        database.close()
        raise

    def ready() -> None:
        click.echo(f"vecdb {VERSION} ready on {server.address}, data in {chosen['data']}")

    run(server, database.close, ready, grace_s=chosen["grace"], limit_s=chosen["grace"] + CLOSE_LIMIT_S)
