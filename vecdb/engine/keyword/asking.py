"""What a keyword leg asks: in which fields, and what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vecdb.engine.keyword import language
from vecdb.engine.keyword.language import Clause
from vecdb.errors import FailedPrecondition, FieldNotFound
from vecdb.model.keyword import Keyword
from vecdb.model.schema import Schema, named


def searched(leg: Keyword, schema: Schema, path: str) -> Mapping[str, float]:
    """The fields that a leg searches, and how much each counts: those named, or all that are indexed.

    Raises FieldNotFound; FailedPrecondition for a field that is not indexed, and where none is.
    """
    if leg.fields is None:
        indexed = {name: 1.0 for name, field in schema.texts.items() if field.keywords}
        if not indexed:
            raise FailedPrecondition(
                "no text field of the collection is indexed for searches by keyword",
                field=f"{path}.keyword",
                expected="a text field with keywords=True",
                received=named(schema.texts),
            )
        return indexed
    for name in leg.fields:
        where = f'{path}.keyword.fields["{name}"]'
        if name not in schema.texts:
            raise FieldNotFound("unknown text field", field=where, expected=named(schema.texts), received=repr(name))
        if not schema.texts[name].keywords:
            raise FailedPrecondition(
                "the field is not indexed for searches by keyword; set_text_field turns that on",
                field=where,
                expected="keywords=True",
                received="keywords=False",
            )
    return leg.fields


def clauses_of(leg: Keyword, text: str) -> Sequence[Clause]:
    """What one of the texts of a leg says."""
    return language.parse(text) if leg.language else language.plain(text)
