"""``vecdb healthcheck``: one question to a server, answered by the exit status."""

from __future__ import annotations

import click

from vecdb import config
from vecdb.cli import exits
from vecdb.cli.flags import chosen, flags

ADDRESS = tuple(setting for setting in config.CLIENT if setting.name == "address")


@click.command()
@flags(ADDRESS)
@click.option("--service", default="", help="One service, such as vecdb.v1.SearchService. [the whole server]")
@click.option("--timeout", default=3.0, show_default=True, help="Seconds to wait.")
def healthcheck(address: str | None, service: str, timeout: float) -> None:
    """Exit with 0 if a server is serving, else with 3.

    Example: vecdb healthcheck --address db.internal:50051
    """
    where = chosen(ADDRESS, {"address": address})["address"]
    from vecdb.client.health import health

    status = health(where, service, timeout)
    click.echo(status + (_why(where, timeout) if status == "NOT_SERVING" else ""))
    if status != "SERVING":
        raise SystemExit(exits.NO_ANSWER)


def _why(address: str, timeout: float) -> str:
    """What the server says of its state; nothing when it says nothing."""
    import vecdb

    try:
        with vecdb.connect(address, timeout=timeout) as db:
            stats = db.stats()
    except vecdb.VecdbError:
        return ""
    return "" if stats.state == "serving" else f": {stats.state}, {stats.read_only_reason}"
