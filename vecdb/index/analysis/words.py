"""Texts fall into words by arithmetic on bytes: an object is made of distinct words only, and not of all of these.

Most words of most texts are ASCII letters and digits between spaces, with a comma or a bracket at the most. They are
cut, folded, counted and told apart here. What else stands between two spaces, a *chunk*, is left to whoever knows more.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vecdb.index.analysis.splitting import MAX_TERM
from vecdb.index.packed import PackedTerms, lengths_of
from vecdb.index.ranges import spread
from vecdb.model.point import Int64

EDGES = '.,;:!?()[]"'
"""Never part of a term where a chunk begins or ends."""
_OTHER, _SPACE, _WORD, _EDGE = range(4)
_LETTER = ord("a")  # digits are lower


@dataclass(frozen=True, slots=True)
class Words:
    """What some texts fall into. ``distinct`` words, in small letters; each occurrence of one: its place there, and the
    row of its text; ``chunks`` and the rows of theirs."""

    distinct: PackedTerms
    places: Int64
    rows: Int64
    chunks: list[str]
    chunk_rows: Int64

    def listed(self) -> list[bytes]:
        """Each of the distinct words."""
        sizes = self.distinct.sizes()
        apart = np.full(len(self.distinct.blob) + len(sizes), ord(" "), dtype=np.uint8)
        apart[spread(self.distinct.offsets[:-1] + np.arange(len(sizes)), sizes)] = self.distinct.blob
        return apart.tobytes().split()

    def with_digits(self) -> Int64:
        """The places of those of the distinct words that are not all letters."""
        if not len(self.distinct):
            return np.zeros(0, dtype=np.int64)
        return np.flatnonzero(np.logical_or.reduceat(self.distinct.blob < _LETTER, self.distinct.offsets[:-1]))


def words_of(rows: Sequence[int], texts: Sequence[str]) -> Words:
    """The words of texts of these rows, ascending; a row may have several texts."""
    encoded = _encoded("\n".join(texts))
    raw = b"".join((b"\n", encoded.lower(), b"\n"))
    data = np.frombuffer(raw, dtype=np.uint8)
    kinds = np.frombuffer(raw.translate(_KINDS), dtype=np.uint8)
    in_word = kinds == _WORD
    bounds = np.flatnonzero(in_word[1:] != in_word[:-1]) + 1
    begins, sizes = bounds[::2], bounds[1::2] - bounds[::2]
    in_space = kinds == _SPACE
    number = np.cumsum(in_space, dtype=np.int32)  # of the chunk that each byte is in: the spaces before it
    of_word = number[begins]
    is_left = np.zeros(int(number[-1]) + 1, dtype=np.bool_)
    is_left[number[np.flatnonzero(kinds == _OTHER)]] = True
    is_left[of_word[1:][of_word[1:] == of_word[:-1]]] = True
    is_left[of_word[sizes > MAX_TERM]] = True
    left = np.flatnonzero(is_left)
    chunk_begins, chunk_sizes = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    if len(left):
        spaces = np.flatnonzero(in_space)
        chunk_begins, chunk_sizes = spaces[left - 1] + 1, spaces[left] - spaces[left - 1] - 1
        in_word[spread(chunk_begins, chunk_sizes)] = False
        taken = ~is_left[of_word]
        begins, sizes = begins[taken], sizes[taken]
    words = PackedTerms.cut(data[in_word], sizes)
    firsts, places, _ = words.distinct()
    chunks = [
        raw[begin:end].decode("utf-8", "surrogatepass").lower()
        for begin, end in zip(chunk_begins.tolist(), (chunk_begins + chunk_sizes).tolist(), strict=True)
    ]
    text_sizes = lengths_of(texts) if encoded.isascii() else lengths_of([_encoded(text) for text in texts])
    ends = np.cumsum(text_sizes + 1)  # of texts, and the signs between them
    of_rows = np.array(rows, dtype=np.int64)
    return Words(
        words.take(firsts),
        places,
        np.repeat(of_rows, np.diff(begins.searchsorted(ends, "right"), prepend=0)),
        chunks,
        np.repeat(of_rows, np.diff(chunk_begins.searchsorted(ends, "right"), prepend=0)),
    )


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _kinds() -> bytes:
    """By byte, what it is."""
    kinds = bytearray([_OTHER]) * 256
    for kind, characters in (
        (_SPACE, [chr(code) for code in range(128) if chr(code).isspace()]),
        (_WORD, string.ascii_lowercase + string.digits),
        (_EDGE, EDGES),
    ):
        for character in characters:
            kinds[ord(character)] = kind
    return bytes(kinds)


_KINDS = _kinds()
