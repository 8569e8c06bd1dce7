"""Where the words asked for stand in the texts of a hit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vecdb.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Highlight:
    """Ask for snippets: up to ``snippets`` (1..10) of each text field, of about ``characters`` (20..1,000)."""

    characters: int = 160
    snippets: int = 1

    def validate(self) -> None:
        """Raise InvalidArgument for numbers out of range."""
        for name, value, low, high in (("characters", self.characters, 20, 1_000), ("snippets", self.snippets, 1, 10)):
            if not low <= value <= high:
                raise InvalidArgument(
                    "out of range", field=f"highlight.{name}", expected=f"{low}..{high}", received=str(value)
                )


@dataclass(frozen=True, slots=True)
class Snippet:
    """A part of the text of ``field``, from character ``offset`` on; ``spans``: (start, end) of the words asked for,
    in characters of the whole text, ascending and apart.
    """

    field: str
    text: str
    offset: int
    spans: Sequence[tuple[int, int]]

    def marked(self, before: str = "**", after: str = "**") -> str:
        """The part with the words asked for between ``before`` and ``after``."""
        out, at = [], self.offset
        for start, end in self.spans:
            out += [self.text[at - self.offset : start - self.offset], before]
            out += [self.text[start - self.offset : end - self.offset], after]
            at = end
        return "".join([*out, self.text[at - self.offset :]])
