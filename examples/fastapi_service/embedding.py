"""Vectors without a model: each word, and each pair of neighbouring characters, adds to one number of the vector.

Texts with words in common come out near each other, in any language. Texts that mean the same in other words
do not: for that, put an embedding model in the place of ``embed``, and its name and dimension beside it.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MODEL = "hashed-words-512"
DIM = 512


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """A vector of length 1 for each text, ``[n, 512]``; zero for a text without letters or digits."""
    vectors = np.zeros((len(texts), DIM), np.float32)
    for row, text in zip(vectors, texts, strict=True):
        for feature in _features(text.lower()):
            number = zlib.crc32(feature.encode())
            row[number % DIM] += 1.0 if number & 0x8000_0000 else -1.0
        row /= np.linalg.norm(row) or 1.0
    return vectors


def _features(text: str) -> list[str]:
    words: list[str] = re.findall(r"\w+", text)
    return words + [word[i : i + 2] for word in words for i in range(len(word) - 1)]
