"""``vecdb compact``: give back the space of what was deleted."""

from __future__ import annotations

import click

from vecdb.cli import printed
from vecdb.cli.target import Target, target


@click.command()
@click.argument("collection")
@target
@printed.as_json
def compact(where: Target, collection: str, as_json: bool) -> None:
    """Give back the space of deleted points of COLLECTION. Takes as long as it takes.

    Example: vecdb compact docs
    """
    with where.open() as db:
        freed = db.collection(collection).compact()
    if as_json:
        printed.document({"freed_bytes": freed})
    else:
        click.echo(f"freed {printed.size(freed)}")
