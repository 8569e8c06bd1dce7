"""``vecdb healthcheck``: one question to a server, answered by the exit status."""

from __future__ import annotations

import click


@click.command()
@click.option("--address", default="127.0.0.1:50051", show_default=True, help="The server: host:port, or unix:/path.")
@click.option("--service", default="", help="One service, such as vecdb.v1.SearchService. [the whole server]")
@click.option("--timeout", default=3.0, show_default=True, help="Seconds to wait.")
def healthcheck(address: str, service: str, timeout: float) -> None:
    """Exit with 0 if a server is serving, with 1 if it is not or does not answer."""
    from vecdb.client.health import health

    status = health(address, service, timeout)
    click.echo(status)
    if status != "SERVING":
        raise SystemExit(1)
