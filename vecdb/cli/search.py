"""``vecdb search``: the points nearest to a vector, or with words of a text."""

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


_FUSIONS = {"rrf": "Rrf", "relative": "RelativeScore", "distribution": "DistributionScore"}


@click.command()
@click.argument("collection")
@click.option("--vector", metavar="JSON", help="The vector: a JSON list of numbers; - reads it from standard input.")
@click.option("--vector-file", metavar="FILE.npy", help="The vector [dim], or many [n, dim]: a numpy file.")
@click.option("--id", "ids", multiple=True, help="Instead of a vector: points to be near to; may be given again.")
@click.option("--unlike", multiple=True, metavar="ID", help="With --id: points to be far from; may be given again.")
@click.option("--text", metavar="WORDS", help="Words to find; with a vector or --id, a hybrid search of both.")
@click.option("--query-language", is_flag=True, help='--text has operators: "a phrase" +must -not prefix*.')
@click.option(
    "--fuzzy", type=click.IntRange(0, 2), default=0, show_default=True, help="With that: edits a word may be away."
)
@click.option("--field", "boosted", multiple=True, metavar="NAME[^BOOST]", help="A text field to search. [all of them]")
@click.option("--fusion", type=click.Choice(tuple(_FUSIONS)), help="How vector and text become one list. [rrf]")
@click.option("--highlight", is_flag=True, help="Show where the words stand.")
@click.option("--mmr", type=float, help="Hits that differ: 0 (only different) to 1 (only relevant).")
@click.option("--using", metavar="FIELD", help="The vector field. [the default one]")
@filtered
@click.option("--limit", type=int, default=10, show_default=True, help="How many hits.")
@click.option("--offset", type=int, default=0, show_default=True, help="How many of the best to leave out.")
@click.option("--ef", type=int, help="How widely the graph is searched; more finds more. [chosen]")
@click.option("--target-recall", type=float, help="Instead of --ef: the share of the true neighbours to find, up to 1.")
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
    text: str | None,
    query_language: bool,
    fuzzy: int,
    boosted: tuple[str, ...],
    fusion: str | None,
    explain: bool,
    as_json: bool,
    **how: Any,
) -> None:
    """Print the points of COLLECTION by vector, by words, or by both.

    With --json a line for each hit; "query" tells the row of the file that it answers, "group" the value of its group.

    Example: vecdb search docs --text "zero copy" --vector "[0.1, 0.9, 0.2]" --limit 5
    """
    near = (vector is not None) + (vector_file is not None) + bool(ids)
    if near > 1 or (not near and text is None):
        raise click.UsageError("say what to search for: --vector or --vector-file or --id, one of them, or --text")
    if unlike and not ids:
        raise click.UsageError("--unlike needs --id")
    if text is None and (query_language or boosted):
        raise click.UsageError("--query-language and --field need --text")
    if fuzzy and not query_language:
        raise click.UsageError("--fuzzy needs --query-language")
    import vecdb

    fields = dict(map(_boosted, boosted)) or None
    words = vecdb.Query(text or "", fuzzy, fields) if query_language else text
    how |= {"explain": explain, "fields": None if query_language else fields}
    how["fusion"] = None if fusion is None else getattr(vecdb, _FUSIONS[fusion])()
    queries: Any = None
    if vector is not None:
        queries = from_json(vector, "--vector")
    elif vector_file is not None:
        queries = from_file(vector_file, "--vector-file")
    with where.open() as db:
        docs = db.collection(collection)
        if queries is not None and queries.ndim == 2:
            results = docs.search_batch(queries, None if words is None else [words] * len(queries), **how)
        else:
            results = [docs.search(queries, text=words, id=ids or None, unlike=unlike or None, **how)]
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


def _boosted(text: str) -> tuple[str, float]:
    """``title^2``: the field, and how much it counts."""
    name, sign, boost = text.rpartition("^")
    try:
        return (name, float(boost)) if sign else (text, 1.0)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not NAME or NAME^BOOST", param_hint="--field") from None


def _by_group(result: SearchResult) -> Iterator[tuple[dict[str, Any], Iterable[Hit]]]:
    """The hits of each group with what is said of it; all together where there are no groups."""
    if result.groups is None:
        yield {}, result
    else:
        yield from (({"group": group.value}, group.hits) for group in result.groups)


def _indented(answer: Any) -> str:
    import orjson

    return orjson.dumps(answer, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY).decode()
