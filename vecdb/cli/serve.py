"""``vecdb serve``: the server."""

from __future__ import annotations

import json
import logging

import click

from vecdb import config
from vecdb.cli.flags import chosen, flags
from vecdb.config import Chosen, Settings

CLOSE_LIMIT_S = 20.0  # after the grace; then the process exits whatever the engine does


@click.command()
@flags(config.SERVE)
@click.option("--print-config", is_flag=True, help="Print the settings and where each comes from, as TOML, and exit.")
def serve(print_config: bool, **given: str | None) -> None:
    """Serve a data directory over gRPC until SIGTERM or Ctrl-C.

    Example: vecdb serve --data ./data --max-memory 4GiB
    """
    settings = chosen(config.SERVE, given)
    if print_config:
        for one in settings.chosen.values():
            if one.setting.by_file:
                click.echo(_line(one))
        return
    if settings["data"] is None:
        raise click.UsageError("say where the data is: --data PATH, or VECDB_DATA")
    logging.basicConfig(level=settings["log_level"].upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    config.one_thread_for_libraries()
    _serve(settings)


def _line(one: Chosen) -> str:
    """A setting as a line of TOML, which read again says the same."""
    name = one.setting.name
    if one.text is None:
        return f"# {name} is not set"
    bare = one.text.isdecimal() or one.setting.parse is config.switch
    return f"{name} = {one.text if bare else json.dumps(one.text, ensure_ascii=False)}  # {one.source}"


def _serve(settings: Settings) -> None:
    from vecdb.client.installed import require_engine

    require_engine()
    from vecdb.engine.database import Database
    from vecdb.engine.options import EngineOptions
    from vecdb.model.info import Limits, ServerInfo
    from vecdb.model.version import VERSION
    from vecdb.wire.lifetime import run
    from vecdb.wire.server import Server, ServerOptions

    database = Database.open(settings["data"], EngineOptions(**settings.options("engine")))
    try:
        info = ServerInfo(limits=Limits(**settings.options("limits")))
        server = Server(database, ServerOptions(info=info, **settings.options("server")))
    except BaseException:
        database.close()
        raise

    def ready() -> None:
        click.echo(f"vecdb {VERSION} ready on {server.address}, data in {settings['data']}")

    run(server, database.close, ready, grace_s=settings["grace"], limit_s=settings["grace"] + CLOSE_LIMIT_S)
