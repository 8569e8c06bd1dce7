"""Filters as a command line gives them: JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

C = TypeVar("C", bound=Callable[..., Any])


def filtered(command: C) -> C:
    """Add ``--filter`` to a command, which gets it parsed as ``filter`` (None: not given)."""
    return click.option(
        "--filter", metavar="JSON", callback=_parsed, help='Only points that match, such as {"year": {"$gte": 2020}}.'
    )(command)


def _parsed(context: click.Context, option: click.Parameter, text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        given = json.loads(text, object_pairs_hook=_object)  # whole numbers stay whole, however many digits they have
    except ValueError as error:
        raise click.BadParameter(f"not JSON: {error}") from None
    except RecursionError:
        raise click.BadParameter("nested too deep") from None
    if not isinstance(given, dict):
        raise click.BadParameter('an object is expected, such as {"lang": "zh"}')
    return given


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):  # one of the conditions would be lost
        raise ValueError('a key is given twice; join conditions as {"$and": [...]}')
    return made
