"""A leg of a search by words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from vecdb.errors import InvalidArgument
from vecdb.model.filter import Filter

MAX_EDITS = 2
MAX_QUERY_CHARACTERS = 10_000


@dataclass(frozen=True, slots=True)
class Keyword:
    """A leg: the points that hold words of ``texts``, one text for each query, best first by BM25.

    ``language``: the texts are in the query language; else they are plain words. ``fields``: the text fields searched
    and how much each counts (> 0), None: all of them, each 1. ``fuzzy`` (0..2): edits a word may be away. ``weight``,
    ``depth`` and ``filter`` as in Near.
    """

    texts: Sequence[str]
    fields: Mapping[str, float] | None = None
    language: bool = False
    fuzzy: int = 0
    weight: float = 1.0
    depth: int | None = None
    filter: Filter | None = None

    @property
    def queries(self) -> int:
        """How many queries this leg holds."""
        return len(self.texts)

    def cut(self, start: int, stop: int) -> Keyword:
        """The queries from ``start`` up to ``stop``."""
        return replace(self, texts=self.texts[start:stop])

    def take(self, queries: Sequence[int]) -> Keyword:
        """Some of the queries."""
        return replace(self, texts=[self.texts[query] for query in queries])

    def validate(self, path: str) -> None:
        """Check everything that needs no schema. Raises InvalidArgument naming ``path``."""
        if not 0 <= self.fuzzy <= MAX_EDITS:
            raise InvalidArgument(
                "edits out of range", field=f"{path}.fuzzy", expected=f"0..{MAX_EDITS}", received=str(self.fuzzy)
            )
        for i, text in enumerate(self.texts):
            if len(text) > MAX_QUERY_CHARACTERS:
                raise InvalidArgument(
                    "the query is too long",
                    field=f"{path}.texts[{i}]",
                    expected=f"<= {MAX_QUERY_CHARACTERS} characters",
                    received=str(len(text)),
                )
        if self.fields is not None and not self.fields:
            raise InvalidArgument("no field to search", field=f"{path}.fields", expected=">= 1", received="0")
        for name, boost in (self.fields or {}).items():
            if not 0.0 < boost < float("inf"):
                raise InvalidArgument(
                    "a field counts more than nothing",
                    field=f'{path}.fields["{name}"]',
                    expected="> 0",
                    received=str(boost),
                )
