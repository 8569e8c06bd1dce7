"""What one call may ask of a server, checked as soon as it is read.

The engine has bounds of its own, which no server passes; these may be lower, and ``AdminService.Info``
tells them. How large a message is, gRPC checks.
"""

from __future__ import annotations

from vecdb.errors import InvalidArgument, TooLarge
from vecdb.model.info import MAX_ANALYZED_TEXTS, MAX_QUERIES_CHARACTERS, Limits
from vecdb.model.keyword import Keyword
from vecdb.model.query import SearchRequest
from vecdb.model.recall import RecallRequest
from vecdb.model.schema import Schema


def check_schema(schema: Schema, limits: Limits) -> None:
    """Refuse a schema with too many fields of a kind, or too long vectors. Raises InvalidArgument."""
    for kind, fields in (("vectors", schema.vectors), ("texts", schema.texts), ("sparse", schema.sparse)):
        _at_most(len(fields), limits.fields, "too many fields", f"schema.{kind}")
    for name, field in schema.vectors.items():
        _at_most(field.dim, limits.dim, "dim out of range", f'schema.vectors["{name}"].dim')


def check_search(request: SearchRequest, limits: Limits) -> None:
    """Refuse a search that is too wide or asks for too much. Raises InvalidArgument, TooLarge."""
    _at_most(len(request.legs), limits.search_legs, "wrong number of legs", "legs")
    window = request.offset + request.limit
    _at_most(window, limits.search_window, "the window is too deep; page with scroll instead", "limit")
    _at_most(request.ef or 0, limits.ef, "ef out of range", "ef")
    for i, leg in enumerate(request.legs):
        _at_most(leg.depth or 0, limits.search_window, "depth out of range", f"legs[{i}].depth")
    if request.queries * request.most_hits > limits.search_hits:
        raise TooLarge(
            "too many hits for one message; ask fewer queries a call",
            field="limit",
            expected=f"queries * limit <= {limits.search_hits}",
            received=str(request.queries * request.most_hits),
        )
    characters = sum(sum(map(len, leg.texts)) for leg in request.legs if isinstance(leg, Keyword))
    if characters > MAX_QUERIES_CHARACTERS:
        raise TooLarge(
            "too much text to search for in one call; ask fewer queries a call",
            field="legs",
            expected=f"<= {MAX_QUERIES_CHARACTERS} characters",
            received=str(characters),
        )


def check_recall(request: RecallRequest, limits: Limits) -> None:
    """Refuse a measurement by searches that are too wide. Raises InvalidArgument."""
    _at_most(request.ef or 0, limits.ef, "ef out of range", "ef")


def check_texts(n: int, field: str) -> None:
    """Refuse more texts than one call analyzes. Raises InvalidArgument."""
    _at_most(n, MAX_ANALYZED_TEXTS, "too many texts", field)


def _at_most(value: int, limit: int, message: str, field: str) -> None:
    if value > limit:
        raise InvalidArgument(message, field=field, expected=f"<= {limit}", received=str(value))
