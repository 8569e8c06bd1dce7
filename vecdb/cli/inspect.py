"""``vecdb inspect``: what is in a data directory, without opening it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vecdb.cli import exits, printed
from vecdb.cli.target import require_database

if TYPE_CHECKING:
    from vecdb.engine.inspection import Inspection, StoredCollection


@click.command()
@click.option("--data", required=True, metavar="PATH", help="The data directory.")
@printed.as_json
def inspect(data: str, as_json: bool) -> None:
    """Look at a data directory without writing to it.

    This is possible while a server has it open. Tells its format, who has it open, and every collection with
    its segments and sizes. Exits with 4 when a file of a segment is missing or has another size; what is in
    the files, `vecdb check` looks at.

    Example: vecdb inspect --data ./data
    """
    from vecdb.client.installed import require_engine

    require_engine()
    require_database(data)
    from vecdb.engine.inspection import inspect as look

    found = look(data)
    if as_json:
        printed.document(found)
    else:
        _print(found)
    if found.problems:
        raise SystemExit(exits.DAMAGE)


def _print(found: Inspection) -> None:
    printed.facts(
        {
            "path": found.path,
            "format": found.format,
            "database": found.database,
            "open in": f"process {found.holder}" if found.holder else "no process",
            **found.bytes,
            "collections": len(found.collections),
            "dropped, to be purged": len(found.dropped),
        }
    )
    for collection in found.collections:
        click.echo()
        _print_collection(collection)
    for problem in found.problems:
        click.echo(f"wrong: {problem}")


def _print_collection(collection: StoredCollection) -> None:
    fields = collection.schema.vectors.items()
    printed.facts(
        {
            "collection": collection.name,
            "aliases": ", ".join(collection.aliases) or "none",
            "folder": f"segments/{collection.number}",
            "vectors": ", ".join(f"{name} {f.dim} {f.metric}".strip() for name, f in fields) or "none",
            "indexing": collection.indexing,
            "points": collection.points,
            "last write": collection.seq,
            "rows ever written": collection.next_row,
            "rows in no sealed segment": collection.unsealed_rows,
            "log is read from write": collection.covered_seq + 1,
        }
    )
    if collection.segments:
        printed.rows(
            collection.segments,
            {
                "segment": lambda s: str(s.segment),
                "rows": lambda s: f"{s.rows:,}",
                "dead": lambda s: f"{s.dead:,}",
                "index": lambda s: ", ".join(f"{name} {kind}".strip() for name, kind in s.index.items()),
                "texts": lambda s: ", ".join(f"{name} {t['analyzer']}".strip() for name, t in s.texts.items()),
                "disk": lambda s: printed.size(s.disk_bytes),
            },
        )
