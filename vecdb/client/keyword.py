"""Searches by words as people write them, to legs of the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vecdb.client.filters import Where
from vecdb.client.numbers import real, whole
from vecdb.errors import InvalidArgument
from vecdb.model import keyword

Fields = str | Sequence[str] | Mapping[str, float]
"""A text field, several, or several with how much each counts (above 0; 1 is as usual)."""


@dataclass(frozen=True, slots=True)
class Query:
    """A text in the query language, in place of plain words: ``"a phrase"``, ``+must``, ``-not``, ``prefix*``.

    ``fuzzy`` (0..2): edits that a word may be away. ``fields``: the text fields searched (None: all), as a name, a
    list, or a dict of how much each counts. The language is told in docs/client.md.
    """

    text: str
    fuzzy: int = 0
    fields: Fields | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Keyword:
    """A leg of a search: points that hold words of ``text``, best first by BM25.

    ``text``: plain words, or a Query. ``fields``: the text fields searched (None: all), as a name, a list, or a dict of
    how much each counts. ``fuzzy`` (0..2): edits that a word may be away. With several legs, ``weight`` (> 0) is its
    share in the fusion and ``depth`` (1..10,000, None: chosen) the hits it contributes. ``filter`` (a dict, or what F
    makes) narrows this leg alone.
    """

    text: str | Query
    fields: Fields | None = None
    fuzzy: int = 0
    weight: float = 1.0
    depth: int | None = None
    filter: Where | None = None


def to_keyword(
    texts: Sequence[object], paths: Sequence[str], fields: object, fuzzy: object = 0, within: str = ""
) -> keyword.Keyword:
    """A leg of one text for each query, at ``paths`` of what was given: all plain, or all Query with the same options.

    ``fields`` and ``fuzzy``, at ``within`` of what was given, are of plain words; a Query has its own. Raises
    InvalidArgument.
    """
    words, language = texts, any(isinstance(text, Query) for text in texts)
    if language:
        words, fuzzy, fields = _queries(texts, paths, fields, fuzzy, within)
    return keyword.Keyword(
        texts=[a_text(one, path) for one, path in zip(words, paths, strict=True)],
        language=language,
        fuzzy=whole(fuzzy, f"{within}fuzzy"),
        fields=_to_fields(fields, f"{within}fields"),
    )


def text_list(texts: object) -> list[object]:
    """What of each query is asked. Raises InvalidArgument."""
    if isinstance(texts, np.ndarray):
        texts = texts.tolist()
    if not isinstance(texts, Iterable) or isinstance(texts, str | bytes | Mapping):
        raise InvalidArgument(
            "not a list of texts",
            field="texts",
            expected="a text, or a Query, for each query",
            received=type(texts).__name__,
        )
    return list(texts)


def _queries(
    texts: Sequence[object], paths: Sequence[str], fields: object, fuzzy: object, within: str
) -> tuple[list[str], int, Fields | None]:
    """The texts of queries, and the options that they share."""
    found: list[Query] = []
    for text, path in zip(texts, paths, strict=True):
        if not isinstance(text, Query):
            raise InvalidArgument(
                "not a query as the others are", field=path, expected="Query", received=type(text).__name__
            )
        if found and (text.fuzzy, text.fields) != (found[0].fuzzy, found[0].fields):
            raise InvalidArgument(
                "queries of one batch differ in their options",
                field=path,
                expected=f"fuzzy={found[0].fuzzy!r}, fields={found[0].fields!r}",
                received=f"fuzzy={text.fuzzy!r}, fields={text.fields!r}",
            )
        found.append(text)
    for name, given in (("fields", fields is not None), ("fuzzy", fuzzy != 0)):
        if given:
            raise InvalidArgument(
                "a Query has its own", field=within + name, expected=f"Query(..., {name}=...)", received="both"
            )
    return [query.text for query in found], found[0].fuzzy, found[0].fields


def _to_fields(given: object, path: str) -> dict[str, float] | None:
    if given is None:
        return None
    if isinstance(given, str):
        return {given: 1.0}
    if isinstance(given, Mapping):
        return {_name(name, path): real(boost, f'{path}["{name}"]') for name, boost in given.items()}
    if not isinstance(given, Iterable) or isinstance(given, bytes):
        raise InvalidArgument(
            "not text fields", field=path, expected="a name, a list or a dict", received=type(given).__name__
        )
    names = [_name(name, f"{path}[{i}]") for i, name in enumerate(given)]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise InvalidArgument(
                "a field is searched twice", field=f"{path}[{i}]", expected="different fields", received=repr(name)
            )
    return dict.fromkeys(names, 1.0)


def a_text(value: object, path: str) -> str:
    """A text that can be UTF-8. Raises InvalidArgument."""
    if not isinstance(value, str):
        raise InvalidArgument("not a text", field=path, expected="str or Query", received=type(value).__name__)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(
            "not valid Unicode", field=path, expected="no lone surrogates", received=ascii(value[:40])
        ) from None
    return value


def _name(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise InvalidArgument("not a name", field=path, expected="str", received=type(value).__name__)
    return value
