"""Chinese words by jieba's dictionary and model, through rjieba: the only file that imports it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Protocol, cast

import numpy as np


class _Jieba(Protocol):
    def cut(self, sentence: str, hmm: bool = True) -> list[str]: ...


@cache
def _jieba() -> _Jieba:
    import rjieba

    return cast(_Jieba, rjieba)


BREAK = "\n"
"""A word of its own; no word reaches over it."""
_SLICE = 4096  # characters; one call holds the GIL, for 1.5 ms


def words(run: str) -> list[str]:
    """The words that a run of Han characters falls into, in order, nothing left out."""
    if len(run) <= _SLICE:
        return _jieba().cut(run)
    return [word for at in range(0, len(run), _SLICE) for word in _jieba().cut(run[at : at + _SLICE])]


def words_of_many(runs: Sequence[str]) -> list[str]:
    """The words of some runs as each gives them alone, in fewer calls; between two runs stands a BREAK."""
    if len(runs) < 2:
        return words("".join(runs))
    out: list[str] = []
    ends = np.cumsum(np.fromiter(map(len, runs), dtype=np.int64, count=len(runs)) + 1)
    start = taken = 0
    while start < len(runs):
        end = max(int(ends.searchsorted(taken + _SLICE, "right")), start + 1)
        out += words(runs[start]) if end == start + 1 else _jieba().cut(BREAK.join(runs[start:end]))
        out.append(BREAK)
        start, taken = end, int(ends[end - 1])
    out.pop()
    return out
