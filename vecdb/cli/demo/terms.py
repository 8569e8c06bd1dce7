"""Terms: what a text is counted by. Words where words are written apart, characters and pairs of them in Chinese."""

from __future__ import annotations

import re
from itertools import pairwise

_CHINESE = "\u3400-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_CHINESE}]+|[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_IS_CHINESE = re.compile(rf"[{_CHINESE}]")


def terms(text: str) -> list[str]:
    """The terms of a text, in order. A name in code is taken apart: ``TemporaryFile`` is temporary and file."""
    found: list[str] = []
    for token in _TOKEN.findall(text):
        if is_chinese(token):
            found += token
            found += map("".join, pairwise(token))
        elif len(token) > 1:
            found.append(_singular(token.lower()))
    return found


def is_chinese(term: str) -> bool:
    """Whether a term is made of Chinese characters."""
    return _IS_CHINESE.match(term) is not None


def _singular(word: str) -> str:
    """The word without the s of a plural or of a verb, as far as can be told from its letters."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
