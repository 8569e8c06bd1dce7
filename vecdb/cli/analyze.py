"""``vecdb analyze``: the terms that a text is found by."""

from __future__ import annotations

import click

from vecdb.cli import printed
from vecdb.cli.target import Target, target


@click.command()
@click.argument("collection")
@click.argument("texts", nargs=-1, required=True, metavar="TEXT...")
@click.option("--field", default="", metavar="NAME", help="The text field. [the unnamed one]")
@target
@printed.as_json
def analyze(where: Target, collection: str, texts: tuple[str, ...], field: str, as_json: bool) -> None:
    """Show the terms that a TEXT of COLLECTION is found by.

    And where they stand. Places are in characters of the text. With --json a line for each text.

    Example: vecdb analyze docs "Node.js 22 is out"
    """
    with where.open() as db:
        found = db.collection(collection).analyze(texts, field=field)
    for i, (text, tokens) in enumerate(zip(texts, found, strict=True)):
        if as_json:
            printed.document({"text": text, "tokens": [token._asdict() for token in tokens]})
            continue
        click.echo("\n" * (i > 0), nl=False)
        if not tokens:
            click.echo("no terms")
            continue
        columns = {
            "term": lambda token: token.term,
            "position": lambda token: str(token.position),
            "start": lambda token: str(token.start),
            "end": lambda token: str(token.end),
            "kind": lambda token: token.kind,
        }
        printed.rows(tokens, columns)
