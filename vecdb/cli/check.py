"""``vecdb check``: everything derived against the rows it came from."""

from __future__ import annotations

import click

from vecdb.cli import exits, printed
from vecdb.cli.target import Target, target


@click.command()
@target
@printed.as_json
def check(where: Target, as_json: bool) -> None:
    """Verify every index of every collection against its rows. Exits with 4 when there is damage.

    A line for each thing that is wrong. Writes go on meanwhile; the call takes as long as it takes.

    Example: vecdb check --data ./data
    """
    with where.open() as db:
        collections = db.list_collections()
        problems = db.check()
    if as_json:
        printed.document({"collections": len(collections), "problems": problems})
    else:
        for problem in problems:
            click.echo(problem)
        points = sum(collection.points for collection in collections)
        verdict = {0: "nothing is wrong", 1: "1 thing is wrong"}.get(len(problems), f"{len(problems)} things are wrong")
        click.echo(f"{verdict}: {len(collections):,} collections, {points:,} points")
    if problems:
        raise SystemExit(exits.DAMAGE)
