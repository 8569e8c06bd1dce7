"""The query language: words, ``"a phrase"``, ``prefix*``, each with ``+`` (must) or ``-`` (must not) before it.

Every text is a query. What is no sign where it stands (a lone one, a star inside a word, a quote that nothing closes)
is a character like others. The signs and quotes that Chinese keyboards type are signs and quotes too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

_QUOTES = '"\u201c\u201d\uff02'
_MUST, _NOT, _STAR = "+\uff0b", "-\uff0d", "*\uff0a"
_CLAUSE = re.compile(
    rf"(?P<sign>[{_MUST}\{_NOT}]?)(?:[{_QUOTES}](?P<phrase>[^{_QUOTES}]*)[{_QUOTES}]|(?P<word>[^\s{_QUOTES}]+))"
)


class Sign(Enum):
    """What a clause says of the texts found: some of these words, this without fail, or never this."""

    SHOULD = ""
    MUST = "+"
    NOT = "-"


@dataclass(frozen=True, slots=True)
class Clause:
    """A part of a query. ``words``: plain text, any of whose terms is enough; a word with a sign is wanted whole."""

    kind: Literal["words", "phrase", "prefix"]
    text: str
    sign: Sign = Sign.SHOULD


def parse(text: str) -> tuple[Clause, ...]:
    """The clauses of a query, in order. Never an error."""
    out = []
    for found in _CLAUSE.finditer(text):
        sign = Sign.MUST if found["sign"] in tuple(_MUST) else Sign.NOT if found["sign"] in tuple(_NOT) else Sign.SHOULD
        if found["word"] is None:
            if found["phrase"].strip():
                out.append(Clause("phrase", found["phrase"], sign))
        elif found["word"].strip(_MUST + _NOT + _STAR):
            word = found["word"].rstrip(_STAR)
            out.append(Clause("words" if word == found["word"] else "prefix", word, sign))
    return tuple(out)


def plain(text: str) -> tuple[Clause, ...]:
    """A text as plain words, in which nothing is a sign."""
    return (Clause("words", text),)


def only_excludes(clauses: Sequence[Clause]) -> bool:
    """Whether a query says only what must not be: there is nothing to find it by."""
    return bool(clauses) and all(clause.sign is Sign.NOT for clause in clauses)
