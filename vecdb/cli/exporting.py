"""``vecdb export``: all points of a collection into a file."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from vecdb.cli import printed
from vecdb.cli.filters import filtered
from vecdb.cli.target import Target, target


@click.command()
@click.argument("collection")
@click.option(
    "-o", "--output", default="-", show_default=True, metavar="FILE", help="Where to; - is standard output (jsonl)."
)
@filtered
@click.option("--format", metavar="NAME", help="parquet, jsonl or npy. [by the name's extension]")
@click.option("--without-vectors", is_flag=True, help="Leave the vectors out.")
@click.option("--without-text", is_flag=True, help="Leave the texts out.")
@click.option("--without-payload", is_flag=True, help="Leave the payloads out.")
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@click.option("--quiet", is_flag=True, help="No progress on standard error.")
@target
@printed.as_json
def export(
    where: Target,
    collection: str,
    output: str,
    filter: dict[str, Any] | None,
    format: str | None,
    without_vectors: bool,
    without_text: bool,
    without_payload: bool,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Write points of COLLECTION to a file: all, or those that match.

    They come in the order of their ids, and `vecdb import` reads them back equal.
    What is said about it goes to standard error when the points go to standard output.

    Example: vecdb export docs -o docs.parquet
    """
    from vecdb.client.load import export as write

    with where.open() as db:
        report = write(
            db.collection(collection),
            output,
            filter=filter,
            format=format,
            with_vectors=not without_vectors,
            with_text=not without_text,
            with_payload=not without_payload,
            overwrite=overwrite,
            progress=not quiet,
        )
    beside = not report.paths
    if as_json:
        printed.document(asdict(report) | {"paths": [str(path) for path in report.paths]}, err=beside)
    elif not (beside and quiet):
        click.echo(str(report), err=beside)
