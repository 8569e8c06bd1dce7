"""``vecdb search``: the nearest points to a vector."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vecdb.cli import printed
from vecdb.cli.points import hit_document
from vecdb.cli.target import Target, target

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@click.command()
@click.argument("collection")
@click.option("--vector", metavar="JSON", help="The vector: a JSON list of numbers; - reads it from standard input.")
@click.option("--vector-file", metavar="FILE.npy", help="The vector [dim], or many [n, dim]: a numpy file.")
@click.option("--using", default="", metavar="FIELD", help="The vector field. [the unnamed one]")
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
    """Print the nearest points of COLLECTION to a vector, best first.

    With --json a line for each hit; "query" tells the row of the file that it answers.

    Example: vecdb search docs --vector "[0.1, 0.9, 0.2]" --limit 5
    """
    if (vector is None) == (vector_file is None):
        raise click.UsageError("say what to search for: --vector or --vector-file, one of them")
    queries = _from_json(vector) if vector is not None else _from_file(Path(vector_file or ""))
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


def _from_json(text: str) -> NDArray[np.float32]:
    import numpy as np
    import orjson

    given = sys.stdin.read() if text == "-" else text
    try:
        numbers = orjson.loads(given)
    except orjson.JSONDecodeError as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint="--vector") from None
    if not isinstance(numbers, list) or not all(type(number) in (int, float) for number in numbers):
        raise click.BadParameter("a list of numbers is expected, such as [0.1, 0.9]", param_hint="--vector")
    return np.array(numbers, dtype=np.float32)


def _from_file(file: Path) -> NDArray[np.float32]:
    import numpy as np

    try:
        array = np.load(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise click.BadParameter(f"{file} is no numpy file: {error}", param_hint="--vector-file") from None
    if not isinstance(array, np.ndarray) or array.ndim not in (1, 2) or array.dtype.kind not in "fiu":
        raise click.BadParameter(f"{file} is no array of numbers [dim] or [n, dim]", param_hint="--vector-file")
    return array


def _indented(answer: Any) -> str:
    import orjson

    return orjson.dumps(answer, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY).decode()
