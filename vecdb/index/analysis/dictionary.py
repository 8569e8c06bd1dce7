"""Chinese words by jieba's dictionary and model, through rjieba: the only file that imports it."""

from __future__ import annotations

from functools import cache
from typing import Protocol, cast


class _Jieba(Protocol):
    def cut(self, sentence: str, hmm: bool = True) -> list[str]: ...


@cache
def _jieba() -> _Jieba:
    import rjieba

    return cast(_Jieba, rjieba)


_SLICE = 4096  # characters; one call holds the GIL, for 1.5 ms


def words(run: str) -> list[str]:
    """The words that a run of Han characters falls into, in order, nothing left out."""
    if len(run) <= _SLICE:
        return _jieba().cut(run)
    return [word for at in range(0, len(run), _SLICE) for word in _jieba().cut(run[at : at + _SLICE])]
