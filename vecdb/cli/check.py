"""``vecdb check``: everything derived against the rows it came from; and what to do with rows that are damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vecdb.cli import exits, printed
from vecdb.cli.target import Target, target

if TYPE_CHECKING:
    from vecdb.engine.repair import RepairReport

SHOWN_IDS = 20


@click.command()
@target
@click.option(
    "--repair",
    "new",
    metavar="NEW_DIR",
    help="With --data: check nothing, but write what is intact there to this new directory.",
)
@printed.as_json
def check(where: Target, new: str | None, as_json: bool) -> None:
    """Verify every index of every collection against its rows. Exits with 4 when there is damage.

    A line for each thing that is wrong. Writes go on meanwhile; the call takes as long as it takes.

    With --repair the directory, which nobody may have open, is only read: every point that is intact goes to a new one,
    with the schemas, aliases and times to live. The report says what was lost, by id where it is known. Points of which
    a later version may be what is gone are kept apart, in collections whose names end in .possibly-stale.

    Example: vecdb check --data ./data
    """
    if new is not None:
        return _repair(where, new, as_json)
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
    return None


def _repair(where: Target, new: str, as_json: bool) -> None:
    if where.data is None:
        raise click.UsageError("--repair is for a directory: give --data too")
    from vecdb.client.installed import require_engine

    require_engine()
    from vecdb.engine.repair import repair

    report = repair(where.data, new)
    if as_json:
        printed.document(report)
    else:
        _print(report)
    if not report.whole:
        raise SystemExit(exits.DAMAGE)


def _print(report: RepairReport) -> None:
    for problem in report.problems:
        click.echo(f"damaged: {problem}")
    if not report.complete:
        click.echo("the list of collections was not read whole: there may have been others")
    for one in report.collections:
        click.echo(f"collection {one.name!r}: {one.points:,} points salvaged, {one.lost_points:,} lost")
        if one.stale_name is not None:
            click.echo(f"  {one.stale:,} possibly stale, kept apart in {one.stale_name!r}")
        if one.lost:
            more = f" and {one.lost_points - SHOWN_IDS:,} more" if one.lost_points > SHOWN_IDS else ""
            click.echo(f"  lost: {', '.join(one.lost[:SHOWN_IDS])}{more}")
        for problem in one.problems:
            click.echo(f"  {problem}")
    click.echo(f"{'nothing was lost' if report.whole else 'something was lost'}: {report.target}")
