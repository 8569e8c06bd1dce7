"""``vecdb stats`` and ``vecdb info``: what a database says of itself."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from vecdb.cli import printed
from vecdb.cli.target import Target, target

if TYPE_CHECKING:
    from vecdb.model.collection import CollectionStats, DatabaseStats


@click.command()
@click.argument("collection", required=False)
@target
@printed.as_json
def stats(where: Target, collection: str | None, as_json: bool) -> None:
    """Counts and bytes of COLLECTION, or of the whole database.

    Example: vecdb stats docs
    """
    with where.open() as db:
        answer = db.stats() if collection is None else db.collection(collection).stats()
    if as_json:
        printed.document(answer)
    else:
        print_stats(answer)


def print_stats(answer: CollectionStats | DatabaseStats) -> None:
    """Print them for people."""
    fields = asdict(answer)
    nbytes, segments, recall = fields.pop("bytes"), fields.pop("segments", []), fields.pop("recall", {})
    pins = fields.pop("pins", [])
    sizes = {(name if name.endswith("_bytes") or name in _COUNTS else f"{name}_bytes"): n for name, n in nbytes.items()}
    known = {f"recall of {name}" if name else "recall": _told(known) for name, known in recall.items()}
    printed.facts(fields | known | dict(sorted(sizes.items())))
    if segments:
        click.echo()
        printed.rows(
            segments,
            {
                "segment": lambda s: str(s["segment"]),
                "state": lambda s: s["state"],
                "index": lambda s: ", ".join(f"{name}: {kind}" if name else kind for name, kind in s["index"].items()),
                "live": lambda s: f"{s['live']:,}",
                "dead": lambda s: f"{s['dead']:,}",
                "anonymous": lambda s: printed.size(s["anonymous_bytes"]),
                "mapped": lambda s: printed.size(s["mapped_bytes"]),
                "disk": lambda s: printed.size(s["disk_bytes"]),
                "recall": lambda s: ", ".join(map(_at_default, s["recall"].values())),
            },
        )
    if pins:  # they keep what was deleted since from giving its space back
        click.echo()
        printed.rows(
            pins,
            {
                "pin": lambda p: str(p["id"]),
                "for": lambda p: p["purpose"],
                "as of commit": lambda p: f"{p['commit']:,}",
                "since": lambda p: printed.moment(p["since_ms"]),
            },
        )


def _told(recall: dict[str, Any]) -> str:
    """Recall as one line: at a few widths, by how many queries, and when."""
    some = ", ".join(f"{recall['by_ef'][ef]:.3f} at ef {ef}" for ef in _SHOWN_EF if ef in recall["by_ef"])
    when = datetime.fromtimestamp(recall["measured_at_ms"] / 1000, UTC)
    return (
        f"@{recall['k']} {some}; {recall['queries']:,} queries, {recall['stored']:,} of them stored vectors, "
        f"{when:%Y-%m-%d %H:%M} UTC"
    )


def _at_default(recall: dict[str, Any]) -> str:
    return f"{recall['by_ef'].get(_DEFAULT_EF, float('nan')):.3f}"


_DEFAULT_EF = 96  # of a search for ten hits that names none
_SHOWN_EF = (32, _DEFAULT_EF, 256, 1_024)


# Among the bytes of a store, what counts something else.
_COUNTS = (
    "store_sst_files",
    "store_blob_files",
    "store_level0_files",
    "store_write_stopped",
    "store_background_errors",
)


@click.command()
@target
@printed.as_json
def info(where: Target, as_json: bool) -> None:
    """Release, features and limits of a server, or of vecdb here.

    Example: vecdb info --address db.internal:50051
    """
    with where.open() as db:
        answer = db.info()
    if as_json:
        printed.document(answer)
        return
    fields = asdict(answer)
    limits = {f"limit: {name}": value for name, value in fields.pop("limits").items()}
    printed.facts(fields | {"features": ", ".join(answer.features)} | limits)
