"""``vecdb snapshot``: an archive of collections, while they are read and written."""

from __future__ import annotations

import sys

import click

from vecdb.cli import printed
from vecdb.cli.archives import said
from vecdb.cli.target import Target, target


@click.command()
@click.option("-o", "--output", default="-", show_default=True, metavar="FILE", help="Where to; - is standard output.")
@click.option("--collection", "collections", multiple=True, metavar="NAME", help="Only this one; repeatable. [all]")
@click.option("--base", metavar="FILE", help="An earlier archive: only what came since, to be restored after it.")
@click.option("--quiet", is_flag=True, help="No progress on standard error.")
@target
@printed.as_json
def snapshot(
    where: Target, output: str, collections: tuple[str, ...], base: str | None, quiet: bool, as_json: bool
) -> None:
    """Write an archive of collections as they are at one commit.

    All of them, unless some are named. Reads and writes go on meanwhile. The file gets its name when it is complete
    and on the disk, and replaces one that is there. What is said about it goes to standard error when the archive
    goes to standard output.

    Example: vecdb snapshot -o nightly.vdb
    """
    beside = output == "-"
    if beside and sys.stdout.isatty():
        raise click.UsageError("an archive is nothing to look at: give -o FILE, or a pipe")
    with where.open() as db:
        summary = db.snapshot(
            sys.stdout.buffer if beside else output, list(collections) or None, base, progress=not quiet
        )
    if as_json:
        printed.document(summary, err=beside)
    elif not (beside and quiet):
        click.echo(said(summary), err=beside)
