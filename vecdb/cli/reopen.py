"""``vecdb reopen``: take writes again after the disk failed."""

from __future__ import annotations

import click

from vecdb.cli import printed
from vecdb.cli.target import Target, target


@click.command()
@target
@printed.as_json
def reopen(where: Target, as_json: bool) -> None:
    """Take writes again after the disk failed.

    Opens the store of a database again that is read-only since a write or a sync failed; its server goes on. It also
    does so by itself, after pauses that grow to a minute. Fails, and reads go on, while the disk refuses.

    Example: vecdb reopen --address db.internal:50051
    """
    with where.open() as db:
        db.reopen()
        state = db.stats().state
    if as_json:
        printed.document({"state": state})
    else:
        click.echo(state)
