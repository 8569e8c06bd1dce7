"""``vecdb stats`` and ``vecdb info``: what a database says of itself."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

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
        _print(answer)


def _print(answer: CollectionStats | DatabaseStats) -> None:
    fields = asdict(answer)
    nbytes, segments, pins = fields.pop("bytes"), fields.pop("segments", []), fields.pop("pins", [])
    sizes = {(name if name.endswith("_bytes") or name in _COUNTS else f"{name}_bytes"): n for name, n in nbytes.items()}
    printed.facts(fields | dict(sorted(sizes.items())))
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
