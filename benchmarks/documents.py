"""Texts for searches by keyword: made ones whose words follow Zipf's law, and Chinese cut out of real titles.

A made word is a rank, written in syllables that no stemmer changes: the k-th commonest word is drawn with probability
ln(1 + 1/k) / ln(1 + VOCABULARY), nearly 1/k. So the words of a text, of a query and of a write are numbers that numpy
draws, millions a second, and the same in every run.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Sized
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.rows import BATCH, row_id
from benchmarks.sets import SEED

WORDS = 60
"""Of a document."""
VOCABULARY = 3_400_000
"""Ranks there are: a million documents hold three million of them. Words of greater ranks are in no document."""
CHINESE_CHARACTERS = 34
"""Of a Chinese document: 60 terms, as the default analyzer counts them."""
_CONSONANTS, _VOWELS = b"bdfghjklmnprtvz", b"aou"
_SYLLABLES = np.array([[c, v] for c in _CONSONANTS for v in _VOWELS], np.uint8)
_LONGEST = 4
_TITLES = "qbqtc-zh-8k"

Ranks = NDArray[np.int64]
T = TypeVar("T", bound=Sized)


def word(rank: int) -> str:
    """The word of a rank, from 0."""
    return bytes(_spelled(np.array([rank]))[0]).replace(b"\0", b"").decode().strip()


def texts(ranks: Ranks) -> list[str]:
    """One text of each row of ranks, ``[n, words]``."""
    spelled = _spelled(ranks.ravel()).reshape(len(ranks), -1)
    return [bytes(row).replace(b"\0", b"").decode() for row in spelled]


def english(count: int, seed: int = SEED) -> Iterator[list[str]]:
    """Texts of ``count`` documents, in batches; another ``seed``, other documents."""
    random = np.random.default_rng(seed)
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        drawn = np.exp(random.random((size, WORDS)) * np.log(VOCABULARY + 1)).astype(np.int64) - 1
        yield texts(drawn)


def chinese(count: int, data: Path, characters: int = CHINESE_CHARACTERS) -> Iterator[list[str]]:
    """Texts of ``count`` documents, in batches: what stands anywhere in a row of real titles."""
    with gzip.open(data / _TITLES / "docs.jsonl.gz", "rt", encoding="utf-8") as lines:
        source = "".join(json.loads(line)["text"] for line in lines)
    random = np.random.default_rng(SEED)
    for start in range(0, count, BATCH):
        places = random.integers(0, len(source) - characters, min(BATCH, count - start)).tolist()
        yield [source[place : place + characters] for place in places]


def numbered(batches: Iterable[T], first: int = 0) -> Iterator[tuple[list[str], T]]:
    """(ids, texts) of each batch; the documents are numbered from ``first``."""
    for some in batches:
        yield [row_id(first + i) for i in range(len(some))], some
        first += len(some)


def queries(seed: int = SEED) -> Iterator[str]:
    """Three words each, without end and none twice: one that about a third of the documents hold, one that one in
    twenty holds, one that one in three hundred holds.
    """
    random = np.random.default_rng(seed)
    asked = set()
    while True:
        ranks = [int(random.integers(*bounds)) for bounds in ((5, 15), (50, 120), (700, 2_000))]
        if tuple(ranks) not in asked:
            asked.add(tuple(ranks))
            yield " ".join(map(word, ranks))


def _spelled(ranks: Ranks) -> NDArray[np.uint8]:
    """The words of ranks, zeros among them, a space behind each, ``[n, 2 * _LONGEST + 1]``."""
    out = np.zeros((len(ranks), 2 * _LONGEST + 1), np.uint8)
    out[:, -1] = ord(" ")
    left, open_ = ranks.copy(), np.ones(len(ranks), bool)
    for place in range(_LONGEST):  # shorter words come first, and hold the smaller ranks
        out[open_, 2 * place : 2 * place + 2] = _SYLLABLES[left[open_] % len(_SYLLABLES)]
        left = left // len(_SYLLABLES) - 1
        open_ = open_ & (left >= 0)
    return out
