"""What an analyzer makes of a text: terms, and where they stand."""

from __future__ import annotations

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
