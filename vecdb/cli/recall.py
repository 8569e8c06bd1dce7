"""``vecdb recall``: which share of the true neighbours searches find."""

from __future__ import annotations

from typing import Any

import click

from vecdb.cli import printed
from vecdb.cli.filters import filtered
from vecdb.cli.target import Target, target
from vecdb.cli.vectors import from_file


@click.command()
@click.argument("collection")
@click.option("--k", type=int, default=10, show_default=True, help="Of how many hits, 1..100.")
@click.option("--vector-file", metavar="FILE.npy", help="What to search for, [n, dim]: a numpy file.")
@click.option(
    "--sample",
    type=int,
    default=100,
    show_default=True,
    help="Without a file: so many of the queries asked lately, or of the stored vectors.",
)
@click.option("--ef", type=int, help="How widely graphs are searched. [chosen]")
@click.option("--target-recall", type=float, help="Instead of --ef: the recall that searches are to have, up to 1.")
@click.option("--using", metavar="FIELD", help="The vector field. [the default one]")
@filtered
@target
@printed.as_json
def recall(
    where: Target, collection: str, k: int, vector_file: str | None, sample: int, as_json: bool, **how: Any
) -> None:
    """Measure searches of COLLECTION against exact ones. `vecdb stats` shows what is measured in idle time.

    Example: vecdb recall docs --target-recall 0.95
    """
    queries = None if vector_file is None else from_file(vector_file, "--vector-file")
    with where.open() as db:
        measured = db.collection(collection).measure_recall(k, queries, sample=sample, **how)
    about = {"k": measured.k, "queries": measured.queries, "stored": measured.stored, "took_ms": measured.took_ms}
    found = None if measured.recall != measured.recall else measured.recall
    if as_json:
        segments = [
            {"segment": s.segment, "ef": s.ef, "wanted": s.wanted, "found": s.found, "recall": s.recall}
            for s in measured.segments
        ]
        printed.document({"recall": found, **about, "segments": segments})
        return
    printed.facts({"recall": "nothing to find" if found is None else f"{found:.4f}", **about})
    if measured.segments:
        click.echo()
        printed.rows(
            measured.segments,
            {
                "segment": lambda s: str(s.segment),
                "ef": lambda s: "scanned" if s.ef is None else str(s.ef),
                "wanted": lambda s: f"{s.wanted:,}",
                "found": lambda s: f"{s.found:,}",
                "recall": lambda s: f"{s.recall:.4f}",
            },
        )
