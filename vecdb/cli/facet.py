"""``vecdb facet``: how many points have which values."""

from __future__ import annotations

from typing import Any

import click

from vecdb.cli import printed
from vecdb.cli.filters import filtered
from vecdb.cli.target import Target, target


@click.command()
@click.argument("collection")
@click.argument("key")
@filtered
@click.option("--limit", type=int, default=100, show_default=True, help="How many values, those of most points.")
@target
@printed.as_json
def facet(where: Target, collection: str, key: str, filter: dict[str, Any] | None, limit: int, as_json: bool) -> None:
    """Count the points of COLLECTION by their values at KEY.

    KEY is a path into the payload, such as source.page; a value in an array counts once for each point.

    Example: vecdb facet docs lang --filter '{"year": 2020}'
    """
    with where.open() as db:
        found = db.collection(collection).facet(key, filter=filter, limit=limit)
    if not as_json:
        click.echo(repr(found))
        return
    printed.document(
        {
            "values": [{"value": held.value, "count": held.count} for held in found.values],
            "distinct": found.distinct,
            "present": found.present,
            "missing": found.missing,
            "min": found.min,
            "max": found.max,
        }
    )
