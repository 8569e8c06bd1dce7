"""What a text becomes: its terms, where each stands, and of which kind it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["word", "bigram", "whole", "dictionary", "single"]
"""``word``: stands alone. ``bigram``: two neighbouring characters of a script without spaces. ``whole``: what the words
or bigrams from its place on make together (node.js). ``dictionary``: a Chinese word. ``single``: a Han character that
is no word where it stands; there so that a query of that one character finds it."""


class Token(NamedTuple):
    """A term at a place. ``start`` and ``end`` are characters of the text as it was given, ``position`` counts words
    (and characters, where there are no spaces) from 0."""

    term: str
    position: int
    start: int
    end: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class Terms:
    """The tokens of one text, in the order of ``Analyzer.terms``.

    *A phrase* is found where all of ``phrase()`` stand at the same distances from each other. Those kinds depend on
    their own characters alone; which words a dictionary sees, and what is a whole, depends on the neighbours.
    """

    tokens: tuple[Token, ...]

    def index(self) -> list[str]:
        """The terms a document is found by, with repetitions."""
        return [token.term for token in self.tokens]

    def query(self) -> list[str]:
        """The terms a query asks for: all but the characters that are no words, which most texts hold."""
        return [token.term for token in self.tokens if token.kind != "single"]

    def phrase(self) -> list[Token]:
        """The tokens that must stand side by side."""
        return [token for token in self.tokens if token.kind in ("word", "bigram")]
