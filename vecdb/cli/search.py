"""``vecdb search``: the nearest points to a vector."""

from __future__ import annotations

from typing import Any

import click

from vecdb.cli import printed
from vecdb.cli.filters import filtered
from vecdb.cli.points import hit_document
from vecdb.cli.target import Target, target
from vecdb.cli.vectors import from_file, from_json


@click.command()
@click.argument("collection")
@click.option("--vector", metavar="JSON", help="The vector: a JSON list of numbers; - reads it from standard input.")
@click.option("--vector-file", metavar="FILE.npy", help="The vector [dim], or many [n, dim]: a numpy file.")
@click.option("--using", default="", metavar="FIELD", help="The vector field. [the unnamed one]")
@filtered
@click.option("--limit", type=int, default=10, show_default=True, help="How many hits.")
@click.option("--offset", type=int, default=0, show_default=True, help="How many of the best to leave out.")
@click.option("--ef", type=int, help="How widely the graph is searched; more finds more. [chosen]")
@click.option("--exact", is_flag=True, help="Compare with every vector instead.")
@click.option("--min-score", type=float, help="No hits below this score.")
@click.option("--with-vectors", is_flag=True, help="With --json: the vectors too.")
@click.option("--explain", is_flag=True, help="Tell how each answer was found.")
@target
@printed.as_json
def search(
    where: Target,
    collection: str,
    vector: str | None,
    vector_file: str | None,
    explain: bool,
    as_json: bool,
    **how: Any,
) -> None:
    """Print the points of COLLECTION nearest to a vector.

    With --json a line for each hit; "query" tells the row of the file that it answers.

    Example: vecdb search docs --vector "[0.1, 0.9, 0.2]" --limit 5
    """
    if (vector is None) == (vector_file is None):
        raise click.UsageError("say what to search for: --vector or --vector-file, one of them")
    if vector is not None:
        queries = from_json(vector, "--vector")
    else:
        queries = from_file(str(vector_file), "--vector-file")
    with where.open() as db:
        docs = db.collection(collection)
        if queries.ndim == 1:
            results = [docs.search(queries, explain=explain, **how)]
        else:
            results = docs.search_batch(queries, explain=explain, **how)
    for i, result in enumerate(results):
        if not as_json:
            click.echo("\n" * (i > 0), nl=False)
            click.echo(repr(result))
            if explain:
                click.echo(_indented(result.explain))
            continue
        for hit in result:
            printed.document({"query": i} | hit_document(hit))
        if explain:
            printed.document({"query": i, "explain": result.explain})


def _indented(answer: Any) -> str:
    import orjson

    return orjson.dumps(answer, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY).decode()
