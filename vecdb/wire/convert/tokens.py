"""The terms of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from vecdb.model.token import Kind, Token
from vecdb.v1 import search_pb2
from vecdb.wire.convert.refusals import unknown_kind

_KINDS: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}


def tokens_to_proto(tokens: Sequence[Token]) -> search_pb2.TokenColumns:
    """The tokens of one text."""
    terms, positions, starts, ends, kinds = zip(*tokens, strict=True) if tokens else ((), (), (), (), ())
    return search_pb2.TokenColumns(terms=terms, positions=positions, starts=starts, ends=ends, kinds=kinds)


def tokens_from_proto(message: search_pb2.TokenColumns) -> list[Token]:
    """The inverse. Raises Unimplemented for a kind that is not known here."""
    columns = (message.terms, message.positions, message.starts, message.ends, message.kinds)
    return [
        Token(term, position, start, end, _kind(kind))
        for term, position, start, end, kind in zip(*columns, strict=True)
    ]


def _kind(name: str) -> Kind:
    kind = _KINDS.get(name)
    if kind is None:
        raise unknown_kind("token", "kinds")
    return kind
