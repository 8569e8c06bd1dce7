"""Folded text to pieces: runs of one script, words, and the parts of codes and compounds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, zip_longest
from typing import Literal, NamedTuple

from vecdb.index.analysis import folding
from vecdb.index.analysis.scripts import HAN, HANGUL, KANA, LETTERS, MARKS, UNSPACED

MAX_TERM = 128
"""Characters of a term; what is longer is cut, in documents and queries alike. No person types it, encodings do."""

PIECE = 1 << 14
_BETWEEN = re.compile(r"[\s,;!?，。！？；、]")  # no term reaches over these, and no mark joins them

_MAX_WHOLE = 64  # characters of a compound that is a term itself, beside its parts

Script = Literal["cjk", "hangul", "unspaced", "words"]

# `c++` and `c#` are words; so is the c++ of c++11. A compound is words joined by one sign each.
_ELEMENT = rf"[{LETTERS}][{LETTERS}{MARKS}]*(?:\+\+|[+#](?![{LETTERS}]))?"
_COMPOUND = rf"{_ELEMENT}(?:(?:[-._'@&]|(?<=\+\+)){_ELEMENT})*"
_RUNS = re.compile(
    rf"(?P<words>{_COMPOUND})|(?P<cjk>[{HAN}{KANA}]+)|(?P<hangul>[{HANGUL}]+)|(?P<unspaced>[{UNSPACED}]+)"
)
_CJK_RUNS = re.compile(f"([{HAN}{KANA}]+)")
_MAY_HOLD_CJK = re.compile(
    "[\u2e80-\u9fff\uf900-\ufaff\uff66-\uff9f\U0001b000-\U0001b16f\U0001f200-\U0001f2ff\U00020000-\U000323af]"
)
_OTHER_CJK = re.compile(f"(?!{folding.PLACE})[{HAN}{KANA}]")
_ELEMENTS = re.compile(_ELEMENT)
_HAN = re.compile(f"[{HAN}]+")
_CLUSTER = re.compile(f".[{MARKS}]*", re.DOTALL)


def pieces(text: str) -> list[str]:
    """The text in pieces of about PIECE characters where it allows that: a call for one of them holds the GIL.

    What stands between two pieces, white space or a sign, is left out.
    """
    out = []
    start = 0
    while len(text) - start > PIECE and (space := _BETWEEN.search(text, start + PIECE)):
        out.append(text[start : space.start()])
        start = space.end()
    return [*out, text[start:]] if out else [text]


class Part(NamedTuple):
    """A piece of a compound: characters ``start`` to ``end`` of it. A whole stands beside the words at its place."""

    text: str
    position: int
    start: int
    end: int
    is_whole: bool


def runs(folded: str) -> Iterator[tuple[Script, str, int]]:
    """(script, run, start) of what is not space or punctuation."""
    for match in _RUNS.finditer(folded):
        yield match.lastgroup, match[0], match.start()  # type: ignore[misc]


def may_hold_cjk(text: str) -> bool:
    """Whether any character of a text is Han or kana, or may become that when it is folded."""
    return not text.isascii() and _MAY_HOLD_CJK.search(text) is not None


def cjk_apart(text: str) -> tuple[list[str], str]:
    """The runs of Han and kana of a text, folded, and what else there is of it, folded, with a space for each run."""
    runs, skeleton = folding.chinese_apart(text)
    place = folding.PLACE
    if runs and place + place not in skeleton and not _OTHER_CJK.search(skeleton):
        return runs, skeleton.replace(place, " ")
    around = skeleton.split(place)
    pieces = _CJK_RUNS.split("".join(chain.from_iterable(zip_longest(around, runs, fillvalue=""))))
    return pieces[1::2], " ".join(pieces[::2])


def is_han(run: str) -> bool:
    return _HAN.fullmatch(run) is not None


def clusters(run: str) -> list[str]:
    """Characters, each with its marks."""
    return _CLUSTER.findall(run)


def parts(compound: str) -> tuple[list[Part], int]:
    """The parts of a run of words, a whole before its parts, and how many positions they take.

    ``node.js`` is itself, node and js. The English possessive is left off, and so is a lone letter at an apostrophe
    (don't, l'homme). The sign of ``notepad++`` may be forgotten, that of ``c++`` may not.
    """
    if compound.isascii() and compound.isalnum():  # the commonest
        word = compound[:MAX_TERM]
        return [Part(word, 0, 0, len(word), False)], 1
    compound = compound.removesuffix("'s")
    elements = list(_ELEMENTS.finditer(compound))
    out: list[Part] = []
    if len(elements) > 1 and len(compound) <= _MAX_WHOLE:
        out.append(Part(compound, 0, 0, len(compound), True))
    position = 0
    for element in elements:
        word, start, end = element[0], element.start(), element.end()
        if len(word) == 1 and "'" in (compound[start - 1 : start], compound[end : end + 1]):
            continue
        bare = word.rstrip("+#")
        out.append(Part(word[:MAX_TERM], position, start, min(end, start + MAX_TERM), False))
        if 1 < len(bare) < len(word):
            out.append(Part(bare[:MAX_TERM], position, start, start + min(len(bare), MAX_TERM), True))
        position += 1
    return out, position
