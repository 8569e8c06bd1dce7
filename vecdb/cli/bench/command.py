"""``vecdb bench``: its options, and how its result is printed."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import IO, TYPE_CHECKING, Any

import click

from vecdb import config
from vecdb.cli import printed
from vecdb.cli.flags import chosen, flags
from vecdb.cli.vectors import from_file

if TYPE_CHECKING:
    from vecdb.cli.bench.callers import Samples
    from vecdb.cli.bench.run import Result

COUNT: Any = {"show_default": True, "metavar": "COUNT"}


@click.command()
@flags(config.CLIENT)
@click.option("--collection", metavar="NAME", help="Search this one. [one of its own, dropped at the end]")
@click.option("--points", type=click.IntRange(100), default=20_000, **COUNT, help="Points of its own collection.")
@click.option("--dim", type=click.IntRange(2, 65_536), default=128, **COUNT, help="Numbers of a vector in it.")
@click.option("--queries", metavar="FILE.npy", help="Search for these vectors [n, dim]. [some near stored points]")
@click.option("--using", default="", metavar="FIELD", help="The vector field. [the unnamed one]")
@click.option("--callers", type=click.IntRange(1, 64), default=4, **COUNT, help="Processes that search at once.")
@click.option(
    "--seconds", type=click.FloatRange(0.1, 3600), default=10.0, show_default=True, help="How long they search."
)
@click.option("--batch", type=click.IntRange(1, 10_000), default=1, **COUNT, help="Searches of one call.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=10, **COUNT, help="Hits of a search.")
@click.option("--ef", type=click.IntRange(1, 10_000), help="How widely the graph is searched. [chosen]")
@click.option("--exact", is_flag=True, help="Compare with every vector instead.")
@click.option("--ids-only", is_flag=True, help="Hits without payload and text.")
@click.option("--samples", metavar="FILE.csv", help="Write every call: caller, when it began, what it took, its error.")
@printed.as_json
def bench(
    address: str | None,
    timeout: str | None,
    collection: str | None,
    points: int,
    dim: int,
    queries: str | None,
    callers: int,
    seconds: float,
    batch: int,
    ids_only: bool,
    samples: str | None,
    as_json: bool,
    **how: Any,
) -> None:
    """Measure how fast and how well a server answers searches.

    Several processes search at once. Without --collection it makes one of random vectors and drops it again;
    one that is named is only read. Beside the rate stands the share of the true hits that was found
    (recall). A run whose vectors are not in graphs is called void.

    Example: vecdb bench --collection docs --callers 8 --seconds 30
    """
    client = chosen(config.CLIENT, {"address": address, "timeout": timeout})
    given = None if queries is None else from_file(queries, "--queries")
    if given is not None and given.ndim == 1:
        given = given[None]
    import vecdb
    from vecdb.cli.bench import filled
    from vecdb.cli.bench.callers import Load
    from vecdb.cli.bench.run import run

    how |= {"with_payload": not ids_only, "with_text": not ids_only}
    with ExitStack() as stack:
        file = stack.enter_context(open(samples, "w", encoding="utf-8", newline="")) if samples else None
        db = stack.enter_context(vecdb.connect(client["address"], client["api_key"], timeout=client["timeout"]))
        if collection is None:
            docs, asked = stack.enter_context(filled.made(db, points, dim))
        else:
            docs = db.collection(collection)
            asked = filled.sampled(docs, how["using"]) if given is None else given
        load = Load(client["address"], client["api_key"], client["timeout"], docs.name, seconds, batch, how)
        keep = partial(_write, file) if file else lambda samples: None
        result = run(docs, load, asked if given is None else given, callers, keep)
    if as_json:
        printed.document(result)
    else:
        _print(result)


def _write(file: IO[str], samples: Sequence[Samples]) -> None:
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow(("caller", "began_s", "took_s", "error"))
    for caller, seen in enumerate(samples):
        for began, took, error in zip(seen.began, seen.took, seen.error, strict=True):
            lines.writerow((caller, f"{began:.6f}", f"{took:.6f}", error))
    file.flush()


def _print(result: Result) -> None:
    figures = result.figures
    processes = "1 process" if result.callers == 1 else f"{result.callers} processes"
    each = "one search a call" if result.batch == 1 else f"{result.batch:,} searches a call"
    kind = "exact, " if result.exact else f"ef {result.ef}, " if result.ef else ""
    facts = {
        "collection": f"{result.collection}: {result.points:,} points",
        "callers": f"{processes} for {result.seconds:g} s, {each}, {kind}{result.limit} hits",
        "searches/s": f"{figures.searches_per_s:,.0f}",
    }
    if figures.p50_ms is not None:
        facts["one call"] = (
            f"p50 {figures.p50_ms:.2f} ms, p95 {figures.p95_ms:.2f}, p99 {figures.p99_ms:.2f}, "
            f"longest {figures.max_ms:.2f} ({figures.calls:,} calls)"
        )
    facts["recall"] = f"{result.recall:.4f} of exact search, over {result.recall_queries} queries"
    if figures.errors:
        facts["errors"] = ", ".join(f"{reason} {calls:,}" for reason, calls in sorted(figures.errors.items()))
    if result.void:
        facts["VOID"] = result.void
    printed.facts(facts)
