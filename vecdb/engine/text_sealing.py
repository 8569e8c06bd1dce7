"""The files of a sealed segment's text fields: ``t<number>.slots`` where slots and bodies differ."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vecdb.engine.gathering import Gathering
from vecdb.engine.segment import Part
from vecdb.engine.text_index import TextIndex
from vecdb.model.schema import TextField
from vecdb.storage.codec import TEXT

Listing = Mapping[str, tuple[int, str]]


def stem(key: int) -> str:
    """What the names of a field's files begin with, before the first dot."""
    return f"t{key ^ TEXT}" if key >= TEXT else str(key)


def is_terms(name: str) -> bool:
    """Whether a file holds postings, without which a segment is still whole."""
    return name.endswith(".terms")


class TextWriter(Gathering):
    """Collects the texts of one field."""

    def __init__(self, key: int) -> None:
        super().__init__(key)
        self.field = TextField()

    def open(self, folder: Path) -> TextIndex:
        """What is known of the postings just written."""
        return TextIndex()


def describe_texts(part: Part, key: int, listing: Listing) -> dict[str, Any]:
    """The manifest's entry of a text field of a sealed segment."""
    return {"texts": len(part), "same_rows": part.same_rows}


def load_texts(folder: Path, key: int, about: Mapping[str, Any], listing: dict[str, tuple[int, str]]) -> TextIndex:
    """What is known of the postings of a text field."""
    return TextIndex()
