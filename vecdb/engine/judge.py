"""Judge stored points one by one: what a filter may ask of them, taken from their bodies.

Exact, and slow: the reference for columns of payloads, and what they fall back to.
"""

from __future__ import annotations

import orjson

from vecdb.engine.prepare import FieldIds
from vecdb.model.filter import Facts, Filter, matches
from vecdb.storage import codec
from vecdb.storage.codec import Body


def facts_of(body: Body, fields: FieldIds) -> Facts:
    """What a filter may ask of a decoded body."""
    return Facts(
        body.id,
        body.seq,
        None if body.payload is None else orjson.loads(body.payload),
        {name: body.texts[number] for name, number in fields.texts.items() if number in body.texts},
        {name for name, number in fields.vectors.items() if number in body.slots},
    )


def judge(filter: Filter, raw_body: bytes | None, fields: FieldIds) -> bool:
    """Whether an encoded body matches; a missing one does not."""
    return raw_body is not None and matches(filter, facts_of(codec.decode_body(raw_body), fields))
