"""Analyzers that change nothing: what is written one way is found that way only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vecdb.index.analysis.column import Column
from vecdb.index.analysis.contract import Identity
from vecdb.index.analysis.terms import Terms
from vecdb.model.token import Token


class Verbatim:
    """The pieces of a text as they are, by a function that gives them in order."""

    def __init__(self, identity: Identity, split: Callable[[str], list[str]]) -> None:
        self.identity = identity
        self._split = split

    def terms(self, text: str) -> list[str]:
        return self._split(text)

    def column(self, texts: Sequence[str]) -> Column:
        return Column.of(map(self._split, texts), len(texts))

    def query(self, text: str) -> list[str]:
        return self._split(text)

    def prefix(self, beginning: str) -> str:
        return beginning

    def analyze(self, text: str) -> Terms:
        tokens, end = [], 0
        for position, term in enumerate(self._split(text)):
            start = text.index(term, end)
            end = start + len(term)
            tokens.append(Token(term, position, start, end, "word"))
        return Terms(tuple(tokens))


def whole(text: str) -> list[str]:
    """The text as its only term; an empty one has none."""
    return [text] if text else []
