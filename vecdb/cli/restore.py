"""``vecdb restore``: collections from archives."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from vecdb.cli import printed
from vecdb.cli.archives import opened
from vecdb.cli.target import Target, target

if TYPE_CHECKING:
    from vecdb.model.snapshot import RestoreReport


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--collection", "collections", multiple=True, metavar="NAME", help="Only this one; repeatable. [all]")
@click.option("--rename", multiple=True, metavar="OLD=NEW", help="Under another name; repeatable.")
@click.option("--dry-run", is_flag=True, help="Verify everything, tell what would be made, make nothing.")
@click.option("--quiet", is_flag=True, help="No progress on standard error.")
@target
@printed.as_json
def restore(
    where: Target,
    files: tuple[str, ...],
    collections: tuple[str, ...],
    rename: tuple[str, ...],
    dry_run: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Make collections from archives, all at once or none.

    They come beside those that are there, under names that are free. FILE is an archive, then those that go on from
    it, in their order; - is standard input. Every byte is verified before anything appears. With --data the
    directory is made if it is not there.

    Example: vecdb restore nightly.vdb --data ./new
    """
    names = _renamed(rename)
    with ExitStack() as stack:
        if dry_run and where.is_new:
            where = replace(where, data=stack.enter_context(TemporaryDirectory()), shared=False)
        db = stack.enter_context(where.open(make=True))
        report = db.restore(opened(files), list(collections) or None, names, dry_run, progress=not quiet)
    if as_json:
        printed.document(report)
    else:
        _print(report)


def _renamed(given: tuple[str, ...]) -> dict[str, str]:
    names = {}
    for text in given:
        old, separator, new = text.partition("=")
        if not (old and separator and new):
            raise click.UsageError(f"--rename {text}: give OLD=NEW")
        names[old] = new
    return names


def _print(report: RestoreReport) -> None:
    printed.rows(
        report.collections,
        {
            "would be made" if report.dry_run else "collection": lambda c: c.name,
            "in the archive": lambda c: c.was,
            "points": lambda c: f"{c.points:,}",
            "vectors": lambda c: f"{sum(c.vectors.values()):,}",
            "recall@10": lambda c: ", ".join(
                f"{name}: {share:.3f}" if name else f"{share:.3f}" for name, share in c.recall.items()
            ),
        },
    )
