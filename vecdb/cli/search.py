"""``vecdb search``: the nearest points to a vector."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from vecdb.cli import printed
from vecdb.cli.filters import filtered
from vecdb.cli.points import hit_document
from vecdb.cli.target import Target, target
from vecdb.cli.vectors import from_file, from_json

if TYPE_CHECKING:
    from vecdb import Hit, SearchResult


@click.command()
@click.argument("collection")
@click.option("--vector", metavar="JSON", help="The vector: a JSON list of numbers; - reads it from standard input.")
@click.option("--vector-file", metavar="FILE.npy", help="The vector [dim], or many [n, dim]: a numpy file.")
@click.option("--id", "ids", multiple=True, help="Instead of a vector: points to be near to; may be given again.")
@click.option("--unlike", multiple=True, metavar="ID", help="With --id: points to be far from; may be given again.")
@click.option("--using", default="", metavar="FIELD", help="The vector field. [the unnamed one]")
@filtered
@click.option("--limit", type=int, default=10, show_default=True, help="How many hits.")
@click.option("--offset", type=int, default=0, show_default=True, help="How many of the best to leave out.")
@click.option("--ef", type=int, help="How widely the graph is searched; more finds more. [chosen]")
@click.option("--exact", is_flag=True, help="Compare with every vector instead.")
@click.option("--min-score", type=float, help="No hits below this score.")
@click.option("--group-by", metavar="KEY", help="Gather hits by a value; --limit is then the number of groups.")
@click.option("--group-size", type=int, default=3, show_default=True, help="How many hits of each group.")
@click.option("--with-vectors", is_flag=True, help="With --json: the vectors too.")
@click.option("--explain", is_flag=True, help="Tell how each answer was found.")
@target
@printed.as_json
def search(
    where: Target,
    collection: str,
    vector: str | None,
    vector_file: str | None,
    ids: tuple[str, ...],
    unlike: tuple[str, ...],
    explain: bool,
    as_json: bool,
    **how: Any,
) -> None:
    """Print the points of COLLECTION nearest to a vector or points.

    With --json a line for each hit; "query" tells the row of the file that it answers, "group" the value of its group.

    Example: vecdb search docs --vector "[0.1, 0.9, 0.2]" --limit 5
    """
    if (vector is not None) + (vector_file is not None) + bool(ids) != 1:
        raise click.UsageError("say what to search for: --vector or --vector-file or --id, one of them")
    if unlike and not ids:
        raise click.UsageError("--unlike needs --id")
    queries: Any = None
    if vector is not None:
        queries = from_json(vector, "--vector")
    elif vector_file is not None:
        queries = from_file(vector_file, "--vector-file")
    with where.open() as db:
        docs = db.collection(collection)
        if queries is None:
            results = [docs.search(id=ids, unlike=unlike or None, explain=explain, **how)]
        elif queries.ndim == 1:
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
        for about, hits in _by_group(result):
            for hit in hits:
                printed.document({"query": i} | about | hit_document(hit))
        if explain:
            printed.document({"query": i, "explain": result.explain})


def _by_group(result: SearchResult) -> Iterator[tuple[dict[str, Any], Iterable[Hit]]]:
    """The hits of each group with what is said of it; all together where there are no groups."""
    if result.groups is None:
        yield {}, result
    else:
        yield from (({"group": group.value}, group.hits) for group in result.groups)


def _indented(answer: Any) -> str:
    import orjson

    return orjson.dumps(answer, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY).decode()
