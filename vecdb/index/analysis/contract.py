"""What an analyzer is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from vecdb.index.analysis.column import Column
from vecdb.index.analysis.terms import Terms

VERSION = 1
"""Raised by whatever changes the terms of any text; what was indexed under another version must be indexed again."""


@dataclass(frozen=True)
class Identity:
    """What is stored with the schema: equal identities give equal terms."""

    name: str
    options: tuple[tuple[str, bool | tuple[str, ...]], ...]
    version: int


class TakesApart(Protocol):
    """What makes terms of a column of texts, or of whatever else is found by postings."""

    @property
    def identity(self) -> Identity: ...

    def column(self, texts: Sequence[Any]) -> Column:
        """The terms of each."""
        ...


class Analyzer(Protocol):
    """One object for what is indexed and what is asked. Deterministic; any thread may call it."""

    @property
    def identity(self) -> Identity: ...

    def terms(self, text: str) -> list[str]:
        """What a document is indexed under, with repetitions: ``analyze(text).index()``, faster."""
        ...

    def column(self, texts: Sequence[str]) -> Column:
        """The same of many documents, faster still: what becomes of a write."""
        ...

    def query(self, text: str) -> list[str]:
        """What plain words ask for: ``analyze(text).query()``."""
        ...

    def prefix(self, beginning: str) -> str:
        """How those terms begin whose words begin so: folded, and not stemmed. Empty if no term begins so."""
        ...

    def analyze(self, text: str) -> Terms:
        """The terms with positions and places in the text, for phrases and highlights."""
        ...
