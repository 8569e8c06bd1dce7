"""Folding: what is the same to a reader becomes the same text, and each character still knows where it came from.

Compatibility forms (full width, ligatures: NFKC), case, decimal digits of all scripts, hyphens and apostrophes of all
shapes; soft hyphens and joiners vanish. ``fold_accents`` also takes off accents of Latin, Greek and Cyrillic letters
and the points of Hebrew and Arabic, never the vowels of Indic scripts or the voicing of kana.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from unicodedata import normalize

from vecdb.index.analysis.scripts import MARKS

Spans = list[tuple[int, int]]
Fold = Callable[[str], str]


def _digits() -> dict[int, str]:
    return {
        code: str(unicodedata.decimal(chr(code)))
        for code in range(0x80, 0x20000)
        if unicodedata.category(chr(code)) == "Nd"
    }


_SAME = (
    str.maketrans(
        {
            **dict.fromkeys("\u00ad\u034f\u061c\u0640\u200c\u200d\u200e\u200f\u2060\ufeff", None),
            **{chr(code): None for code in range(0xFE00, 0xFE10)},  # variation selectors
            **dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-"),
            **dict.fromkeys("\u2018\u2019\u02bc\uff07", "'"),
        }
    )
    | _digits()
)

# Letters that have no accent to take off, and yet are typed without it; the forms of Arabic letters that are
# interchanged in writing (as Lucene's ArabicNormalizer has them).
_PLAIN = str.maketrans(
    {
        "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h", "ŧ": "t",
        "ى": "ي", "ة": "ه", "ی": "ي", "ک": "ك",
    }
)  # fmt: skip
_ACCENTS = re.compile("[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc]")
PLACE = "\u9fff"
"""The last of the characters of _UNIFIED: no other folds to it."""
_UNIFIED = re.compile("([\u4e00-\u9fff]+)")  # folding leaves these as they are, and nothing joins them
_NOT_SAME = re.compile("[^\x00-\xac\u3000-\u9fff\u2014\u201c\u201d\u2026]")  # and what else is not in _SAME
_PIECE = re.compile(f".[{MARKS}]*", re.DOTALL)


def fold(text: str) -> str:
    """``text`` without differences of width, case and typography. Folding again changes nothing."""
    if text.isascii():
        return text.lower()
    folded = normalize("NFKC", normalize("NFKC", text).casefold())
    if _NOT_SAME.search(folded):
        folded = folded.translate(_SAME)
    while "i\u0307" in folded:  # the Turkish İ is two characters in lower case
        folded = folded.replace("i\u0307", "i")
    return normalize("NFKC", folded)


def chinese_apart(text: str) -> tuple[list[str], str]:
    """The longest runs of Chinese in a text, whose folding is themselves, and the fold of the text with PLACE for each.

    Folding is slow where much of a text is not ASCII, and does nothing to most of a Chinese one.
    """
    pieces = _UNIFIED.split(text)
    return pieces[1::2], fold(PLACE.join(pieces[::2]))


def plain(folded: str) -> str:
    """Folded text without accents."""
    if folded.isascii():
        return folded
    return normalize("NFC", _ACCENTS.sub("", normalize("NFD", folded)).translate(_PLAIN))


def spans(text: str, fold: Fold) -> Spans:
    """For each character of ``fold(text)``, the start and end in ``text`` of the piece that it comes from.

    A piece is a letter with its marks, or more where folding makes one of several (Korean letters).
    """
    pieces = _PIECE.findall(text)
    folded = [fold(piece) for piece in pieces]
    if "".join(folded) != fold(text):
        pieces, folded = _joined(pieces, fold)
    out: Spans = []
    start = 0
    for piece, made in zip(pieces, folded, strict=True):
        out += [(start, start + len(piece))] * len(made)
        start += len(piece)
    return out


def _joined(pieces: list[str], fold: Fold) -> tuple[list[str], list[str]]:
    """The pieces and what they fold to, those in one that fold differently together than apart."""
    text = "".join(pieces)
    joined, folded = [""], [""]
    for piece in pieces:
        made, both = fold(piece), fold(joined[-1] + piece)
        # What vanishes stays with its neighbour: the next piece may meet what stood before it.
        if not made or not folded[-1] or both != folded[-1] + made:
            joined[-1] += piece
            folded[-1] = both
        else:
            joined.append(piece)
            folded.append(made)
    whole = fold(text)
    return (joined, folded) if "".join(folded) == whole else ([text], [whole])
