"""The terms of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from vecdb.model.token import Kind, Token
from vecdb.v1 import search_pb2
from vecdb.wire.convert.refusals import lengths_differ, unknown_kind

_KINDS: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}


def tokens_to_proto(tokens: Sequence[Token]) -> search_pb2.TokenColumns:
    """The tokens of one text."""
    terms, positions, starts, ends, kinds = zip(*tokens, strict=True) if tokens else ((), (), (), (), ())
    return search_pb2.TokenColumns(terms=terms, positions=positions, starts=starts, ends=ends, kinds=kinds)


def tokens_from_proto(message: search_pb2.TokenColumns, path: str) -> list[Token]:
    """The inverse. Raises InvalidArgument, or Unimplemented for a kind of token that is not known here."""
    for name in ("positions", "starts", "ends", "kinds"):
        found = len(getattr(message, name))
        if found != len(message.terms):
            raise lengths_differ(f"{path}.{name}", f"{len(message.terms)} entries", found)
    columns = (message.terms, message.positions, message.starts, message.ends, message.kinds)
    return [
        Token(term, position, start, end, _kind(kind, f"{path}.kinds"))
        for term, position, start, end, kind in zip(*columns, strict=True)
    ]


def _kind(name: str, path: str) -> Kind:
    kind = _KINDS.get(name)
    if kind is None:
        raise unknown_kind("token", path)
    return kind
