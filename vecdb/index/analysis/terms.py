"""What a text becomes, and which of its terms are for what."""

from __future__ import annotations

from dataclasses import dataclass

from vecdb.model.token import Token


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
