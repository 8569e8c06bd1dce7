"""``vecdb import``: points from a file into a collection."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from vecdb.cli import printed
from vecdb.cli.target import Target, target

if TYPE_CHECKING:
    from vecdb.client.load import LoadPlan, LoadReport

PARTS = ("id", "vector", "text", "payload")


@click.command("import")
@click.argument("collection")
@click.argument("file")
@click.option("--format", metavar="NAME", help="What the file is, if its name does not tell; jsonl for -.")
@click.option("--id", "id_", metavar="COLUMN", help="The column of ids. [guessed]")
@click.option("--vector", multiple=True, metavar="[FIELD=]COLUMN", help="A column of vectors; repeatable. [guessed]")
@click.option("--text", multiple=True, metavar="[FIELD=]COLUMN", help="A column of texts; repeatable. [guessed]")
@click.option(
    "--payload", multiple=True, metavar="[KEY=]COLUMN", help="A column for the payload; repeatable. [all others]"
)
@click.option("--payload-object", metavar="COLUMN", help="The column that holds the whole payload, an object.")
@click.option("--without", multiple=True, type=click.Choice(PARTS), help="No such part; without id: row numbers.")
@click.option("--json-column", "json_columns", multiple=True, metavar="COLUMN", help="Its text is JSON; repeatable.")
@click.option("--create", is_flag=True, help="Make the collection, by what is in the file, if it is not there.")
@click.option("--metric", metavar="NAME", help="With --create: cosine, euclidean or dot. [what the file says, cosine]")
@click.option("--model", metavar="NAME", help="The embedding model, which must agree with the field's.")
@click.option("--durability", metavar="NAME", help="fsync or os. [the server's]")
@click.option("--batch", type=int, metavar="COUNT", help="Rows of one write at most. [10000, and 8 MiB]")
@click.option("--skip-bad", is_flag=True, help="Write rows that cannot be points to a file instead of stopping.")
@click.option("--rejects", metavar="FILE", help="That file. [FILE.rejects.jsonl]")
@click.option("--checkpoint", metavar="FILE", help="How far the import is. [FILE.COLLECTION.load.json]")
@click.option("--no-checkpoint", is_flag=True, help="Keep none: an import that ends half way begins anew.")
@click.option("--restart", is_flag=True, help="Begin anew, also where it could go on.")
@click.option("--dry-run", is_flag=True, help="Read and check the first rows, tell what would be done, write nothing.")
@click.option("--quiet", is_flag=True, help="No progress on standard error.")
@target
@printed.as_json
def import_(
    where: Target,
    collection: str,
    file: str,
    format: str | None,
    create: bool,
    metric: Any,
    checkpoint: str | None,
    no_checkpoint: bool,
    skip_bad: bool,
    quiet: bool,
    dry_run: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Write the points of FILE into COLLECTION.

    FILE is parquet, jsonl, csv, tsv, npy, npz, fvecs, bvecs, ivecs or hdf5; - is standard input. Which column
    is what is guessed and shown; --dry-run shows it alone. An import that was interrupted, started again, goes
    on where it was.

    Example: vecdb import docs points.parquet --create
    """
    columns = _columns(given)
    from vecdb.client.load import load, open_source, plan

    with open_source(file, format) as source:
        if create:
            seen = plan(source, metric=metric, **columns)
            if dry_run:
                printed.document(_planned(seen)) if as_json else click.echo(str(seen))
                return
        with where.open(make=create) as db:
            if create:
                fields = {name: replace(field, model=given["model"]) for name, field in seen.vectors.items()}
                db.create_collection(
                    collection, vectors=fields, texts=seen.texts or None, sparse=seen.sparse or None, exist_ok=True
                )
            report = load(
                db.collection(collection),
                source,
                on_error="skip" if skip_bad else "raise",
                checkpoint=False if no_checkpoint else checkpoint,
                progress=not quiet and not dry_run,
                dry_run=dry_run,
                **columns,
                **given,
            )
    if as_json:
        printed.document(_loaded(report))
    else:
        click.echo(str(report))


def _columns(given: dict[str, Any]) -> dict[str, Any]:
    """The columns as ``load`` takes them, taken out of what was given."""
    from vecdb.client.load import GUESS

    without = given.pop("without")
    id, whole = given.pop("id_"), given.pop("payload_object")
    vector, text, payload = (_by_name(given.pop(part), part) for part in ("vector", "text", "payload"))
    if whole is not None and payload:
        raise click.UsageError("--payload and --payload-object are two ways to one thing: give one of them")
    chosen = {"id": id, "vector": vector, "text": text, "payload": whole or payload}
    if without and (both := [part for part in without if chosen[part]]):
        raise click.UsageError(f"--without {both[0]} and a column for it: give one of them")
    columns = {part: None if part in without else column or GUESS for part, column in chosen.items()}
    return {**columns, "json_columns": given.pop("json_columns")}


def _by_name(given: tuple[str, ...], part: str) -> dict[str, str]:
    """``FIELD=COLUMN`` as field and column; a column alone is the unnamed field, or its own key of the payload."""
    found = {}
    for text in given:
        name, separator, column = text.partition("=")
        found[name if separator or part == "payload" else ""] = column if separator else text
    return found


def _planned(plan: LoadPlan) -> dict[str, Any]:
    return asdict(plan) | {"dry_run": True}


def _loaded(report: LoadReport) -> dict[str, Any]:
    return {
        "source": report.source,
        "collection": report.collection,
        "read": report.read,
        "written": report.written,
        "skipped": report.skipped,
        "resumed_from": report.resumed_from,
        "seconds": report.seconds,
        "mapping": report.mapping,
        "bad": [{"row": bad.row, "column": bad.column, "reason": str(bad.reason)} for bad in report.bad],
        "rejects": report.rejects and str(report.rejects),
        "checkpoint": report.checkpoint and str(report.checkpoint),
        "warnings": report.warnings,
        "dry_run": report.dry_run,
    }
