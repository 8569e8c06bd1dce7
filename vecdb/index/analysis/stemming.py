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


_SLICE = 2048  # words stemmed in one call, which holds the GIL: for 1 ms


class _OfThread(threading.local):
    """A stemmer works in buffers of its own, so each thread has one."""

    def __init__(self, language: str) -> None:
        import Stemmer

        made = Stemmer.Stemmer(language, 0)  # 0: words are remembered elsewhere
        self.stem: Callable[[str], str] = made.stemWord
        self.stem_many: Callable[[list[bytes]], list[bytes]] = made.stemWords


class Snowball:
    """The stems of folded words in one of LANGUAGES; may be called by any thread.

    Some words are nothing but endings: these are their own stems.
    """

    def __init__(self, language: str) -> None:
        self._threads = _OfThread(language)

    def stem(self, word: str) -> str:
        """That of one word."""
        return self._threads.stem(word) or word

    def stems(self, words: list[bytes]) -> list[bytes]:
        """Those of some words, all in UTF-8."""
        out: list[bytes] = []
        for at in range(0, len(words), _SLICE):
            some = words[at : at + _SLICE]
            made = self._threads.stem_many(some)
            out += made if all(made) else [stem or word for stem, word in zip(made, some, strict=True)]
        return out
