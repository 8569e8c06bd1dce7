"""Stems by the Snowball algorithms, through PyStemmer: the only file that imports it."""

from __future__ import annotations

import threading
from collections.abc import Callable

LANGUAGES = (
    "arabic", "armenian", "basque", "catalan", "danish", "dutch", "english", "finnish", "french", "german", "greek",
    "hindi", "hungarian", "indonesian", "irish", "italian", "lithuanian", "nepali", "norwegian", "portuguese",
    "romanian", "russian", "serbian", "spanish", "swedish", "tamil", "turkish", "yiddish",
)  # fmt: skip
"""The languages of the oldest release that is allowed."""


class _OfThread(threading.local):
    """A stemmer works in buffers of its own, so each thread has one."""

    def __init__(self, language: str) -> None:
        import Stemmer

        self.stem: Callable[[str], str] = Stemmer.Stemmer(language, 0).stemWord  # 0: words are remembered elsewhere


def stemmer(language: str) -> Callable[[str], str]:
    """The stem of a folded word in one of LANGUAGES; may be called by any thread."""
    threads = _OfThread(language)
    return lambda word: threads.stem(word) or word  # some words are nothing but endings
