"""Texts as people have them, to columns by field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vecdb.client.ids import check_unicode
from vecdb.errors import InvalidArgument


def to_texts(texts: Any, n: int) -> dict[str, list[str | None]]:
    """A str or None for each of ``n`` points, by field. Raises InvalidArgument naming the row."""
    if texts is None:
        return {}
    by_field = texts if isinstance(texts, Mapping) else {"": texts}
    return {field: _to_column(given, n, f'texts["{field}"]') for field, given in by_field.items()}


def _to_column(given: Any, n: int, path: str) -> list[str | None]:
    if not isinstance(given, Iterable) or isinstance(given, str | bytes):
        raise InvalidArgument("texts is no list", field=path, expected="a list of str", received=type(given).__name__)
    texts = list(given)
    for i, text in enumerate(texts):
        if text is not None and not isinstance(text, str):
            raise InvalidArgument(
                "not a text", field=f"{path}[{i}]", expected="str or None", received=type(text).__name__
            )
    if len(texts) != n:
        raise InvalidArgument("columns differ in length", field=path, expected=f"{n} texts", received=str(len(texts)))
    check_unicode([text or "" for text in texts], path)
    return texts
