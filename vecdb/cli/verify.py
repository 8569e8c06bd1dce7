"""``vecdb verify``: whether archives are what they were when they were written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vecdb.cli import printed
from vecdb.cli.archives import facts, opened

if TYPE_CHECKING:
    from vecdb.model.snapshot import SnapshotSummary


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--quiet", is_flag=True, help="No progress on standard error.")
@printed.as_json
def verify(files: tuple[str, ...], quiet: bool, as_json: bool) -> None:
    """Read archives and check every byte, without a database.

    Exits with 4 when there is damage. Checked are all checksums and counts, and the exact answers to the sampled
    queries, which are found again. FILE is an archive, then those that go on from it, in their order; - is standard
    input.

    Example: vecdb verify nightly.vdb
    """
    from vecdb.client.archives.verifying import verify as read

    summaries = read(opened(files), progress=not quiet)
    if as_json:
        for summary in summaries:
            printed.document(summary)
        return
    for file, summary in zip(files, summaries, strict=True):
        _print(file, summary)


def _print(file: str, summary: SnapshotSummary) -> None:
    printed.facts({"archive": file, "damage": "none", **facts(summary)})
    printed.rows(
        summary.collections,
        {
            "collection": lambda c: c.name,
            "aliases": lambda c: ", ".join(c.aliases),
            "points": lambda c: f"{c.points:,}",
            "vectors": lambda c: f"{sum(c.vectors.values()):,}",
        },
    )
    click.echo()
