"""``vecdb changes``: what was written to a collection, batch by batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from vecdb.cli import printed
from vecdb.cli.points import as_document
from vecdb.cli.target import Target, target

if TYPE_CHECKING:
    from vecdb import Change

SHOWN_IDS = 5


@click.command()
@click.argument("collection")
@click.option(
    "--after", default="oldest", show_default=True, metavar="TOKEN", help="Where to begin: a token, oldest or now."
)
@click.option("--follow", is_flag=True, help="Go on with what comes, until interrupted.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="End after so many batches.")
@click.option("--token", "token_only", is_flag=True, help="Print the token after the newest write, and nothing else.")
@target
@printed.as_json
def changes(
    where: Target, collection: str, after: str, follow: bool, limit: int | None, token_only: bool, as_json: bool
) -> None:
    """Print what was written to COLLECTION, batch by batch.

    A batch comes whole: its points, and the ids it deleted. How far back that goes is a setting of the server.

    Example: vecdb changes docs --after "$(cat token)" --follow --json
    """
    with where.open() as db:
        docs = db.collection(collection)
        if token_only:
            token = docs.change_token()
            printed.document({"token": token}) if as_json else click.echo(token)
            return
        for i, change in enumerate(docs.changes(after, follow=follow, limit=limit)):
            if as_json:
                printed.document(_document(change))
            else:
                click.echo("\n" * (i > 0), nl=False)
                printed.facts(_facts(change))


def _document(change: Change) -> dict[str, Any]:
    """A change whole; ``expires_at``, in milliseconds since 1970, is 0 for a point that stays."""
    expires_at = change.expires_at.tolist()
    return {
        "seq": change.seq,
        "token": change.token,
        "time": change.time.isoformat(),
        "points": [
            as_document(point) | {"expires_at": when} for point, when in zip(change.points, expires_at, strict=True)
        ],
        "deleted": list(change.deleted),
        "last": change.last,
    }


def _facts(change: Change) -> dict[str, str]:
    facts = {"seq": str(change.seq), "time": change.time.isoformat(sep=" ", timespec="seconds")}
    for what, ids in (("written", change.columns.ids), ("deleted", change.deleted)):
        if len(ids):
            more = [f"... {len(ids):,} in all"] if len(ids) > SHOWN_IDS else []
            facts[what] = ", ".join([*ids[:SHOWN_IDS], *more])
    return facts | {"token": change.token}
