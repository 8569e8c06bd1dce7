"""How an answer is printed: for people as lines and tables, with ``--json`` as one document a line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import click

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, one document a line.")
"""The option of every command that answers."""


def document(answer: Any, err: bool = False) -> None:
    """One answer as a line of JSON: a dict, a list, a dataclass, numpy arrays inside. ``err``: on standard error."""
    import orjson

    click.echo(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS), err=err)


def facts(pairs: Mapping[str, Any]) -> None:
    """A label and a value a line."""
    width = max(map(len, pairs), default=0)
    for label, value in pairs.items():
        line = f"{label:{width}}  {shown(label, value)}".rstrip()
        click.echo("".join(c if c.isprintable() else " " for c in line))  # a stored text may hold what moves a cursor


def rows(records: Iterable[Any], columns: Mapping[str, Callable[[Any], str]]) -> None:
    """A table: each column is made from a record."""
    from vecdb.model.table import table

    records = list(records)
    click.echo(table({heading: [make(record) for record in records] for heading, make in columns.items()}))


def shown(label: str, value: Any) -> str:
    """A value for people; bytes, by the ending of their label, have a unit."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return size(value) if label.endswith("bytes") else f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return str(value)


def moment(ms: int) -> str:
    """Milliseconds since 1970 as a date and time."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")


def size(nbytes: int) -> str:
    """``1.5 MiB``."""
    amount = float(nbytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(amount) < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
