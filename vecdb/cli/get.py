"""``vecdb get`` and ``vecdb count``: points by id, and how many there are."""

from __future__ import annotations

from typing import Any

import click

from vecdb.cli import exits, printed
from vecdb.cli.filters import filtered
from vecdb.cli.points import as_document, as_facts
from vecdb.cli.target import Target, target


@click.command()
@click.argument("collection")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--with-vectors", is_flag=True, help="Show the vectors too.")
@target
@printed.as_json
def get(where: Target, collection: str, ids: tuple[str, ...], with_vectors: bool, as_json: bool) -> None:
    """Print points of COLLECTION by their ids, in the order asked. Exits with 1 when one is not there.

    Example: vecdb get docs 17 18 --json
    """
    with where.open() as db:
        found = db.collection(collection).get(ids, with_vectors=with_vectors)
    for i, point in enumerate(found):
        if as_json:
            printed.document(as_document(point))
        else:
            click.echo("\n" * (i > 0), nl=False)
            printed.facts(as_facts(point))
    missing = set(ids) - {point.id for point in found}
    for id in dict.fromkeys(ids):
        if id in missing:
            click.echo(f"Error: NOT_FOUND: no point {id!r} in {collection}", err=True)
    if missing:
        raise SystemExit(exits.REFUSED)


@click.command()
@click.argument("collection")
@filtered
@target
@printed.as_json
def count(where: Target, collection: str, filter: dict[str, Any] | None, as_json: bool) -> None:
    """Print how many points COLLECTION has.

    Example: vecdb count docs --filter '{"lang": "zh"}'
    """
    with where.open() as db:
        points = db.collection(collection).count(filter=filter)
    if as_json:
        printed.document({"count": points})
    else:
        click.echo(points)
