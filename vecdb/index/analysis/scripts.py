"""Which characters belong together: the scripts that are split in their own ways, and what makes a word elsewhere."""

from __future__ import annotations

import re
import unicodedata

HAN = "\u2e80-\u2fdf\u3005\u3007\u3021-\u3029\u3038-\u303b\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
KANA = "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\U0001b000-\U0001b16f"
HANGUL = "\u1100-\u11ff\u3131-\u318e\ua960-\ua97f\uac00-\ud7a3\ud7b0-\ud7ff"
UNSPACED = "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ecd\u0edc-\u0edf\u1000-\u103f\u1050-\u108f\u1780-\u17d3"
"""Thai, Lao, Myanmar and Khmer: no spaces between words."""

_LAST = 0x323B0  # no letter lies above


def _ranges(wanted: list[bool]) -> str:
    """The characters at which ``wanted`` holds, as the inside of a class of a regular expression."""
    parts, start = [], None
    for code, is_wanted in enumerate([*wanted, False]):
        if is_wanted and start is None:
            start = code
        elif not is_wanted and start is not None:
            parts.append(f"{re.escape(chr(start))}-{re.escape(chr(code - 1))}")
            start = None
    return "".join(parts)


def _classes() -> tuple[str, str]:
    split = re.compile(f"[{HAN}{KANA}{HANGUL}{UNSPACED}]")
    marks = [unicodedata.category(chr(code)).startswith("M") for code in range(_LAST)]
    letters = [chr(code).isalnum() and not split.match(chr(code)) for code in range(_LAST)]
    return _ranges(marks), _ranges(letters)


MARKS, LETTERS = _classes()
"""Combining marks; and letters and digits of the scripts that put spaces between words. As Unicode's word
boundaries (UAX #29) have it, a mark belongs to its letter: without, no Hindi word would stay in one piece."""
