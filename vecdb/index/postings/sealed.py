"""Postings of a sealed segment, read in place from their file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vecdb.errors import DataLoss
from vecdb.index.arrayfile import FileReader
from vecdb.index.packed import PackedTerms
from vecdb.index.postings.contract import Counts, Posting, TermTable, UInt32
from vecdb.index.postings.lexicon import STEP, Lexicon, Outlines


class SealedPostings:
    """See Postings. The caller has verified the checksum of the file.

    Raises DataLoss for a file that is no such thing, here or when its bytes are asked for; OSError for one that cannot
    be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = FileReader(path)
        with self._making_sense():
            arrays = {name: self._file.array(ref) for name, ref in self._file.document["arrays"].items()}
            terms = PackedTerms(arrays["offsets"], arrays["blob"])
            self._lexicon = Lexicon(terms, arrays["samples"], Outlines(arrays["sizes"], arrays["letters"]))
            self._starts: NDArray[np.integer] = arrays["starts"]
            self._ordinals: UInt32 = arrays["ordinals"]
            self._frequencies: Counts = arrays["frequencies"]
            self._lengths: UInt32 = arrays["lengths"]
            terms_told = (len(arrays["sizes"]), len(arrays["letters"]), len(self._starts) - 1)
            if terms_told != (len(terms),) * 3 or len(arrays["samples"]) != len(range(0, len(terms), STEP)):
                raise ValueError(f"{terms_told} terms in place of {len(terms)}")
            if int(terms.offsets[-1]) != len(terms.blob):
                raise ValueError(f"{int(terms.offsets[-1])} bytes of terms in place of {len(terms.blob)}")
            if (int(self._starts[-1]), len(self._frequencies)) != (len(self._ordinals),) * 2:
                raise ValueError(f"{int(self._starts[-1])} postings in place of {len(self._ordinals)}")

    def __len__(self) -> int:
        return len(self._lengths)

    @property
    def lengths(self) -> UInt32:
        return self._lengths

    def find(self, terms: Sequence[str]) -> list[Posting | None]:
        with self._making_sense():
            return [None if (at := self._lexicon.find(term)) is None else self._posting(at) for term in terms]

    def starting(self, prefix: str, most: int) -> list[str]:
        with self._making_sense():
            begin, end = self._lexicon.starting(prefix)
            return self._lexicon.terms.strings(np.arange(begin, min(end, begin + most)))

    def near(self, term: str, edits: int, most: int) -> list[tuple[str, int]]:
        with self._making_sense():
            places, away = self._lexicon.near(term, edits)
            nearest = np.argsort(away, kind="stable")[:most]
            terms = self._lexicon.terms.strings(places[nearest])
            return list(zip(terms, away[nearest].tolist(), strict=True))

    def table(self) -> TermTable:
        terms = self._lexicon.terms
        with self._making_sense():
            for numbers in (terms.offsets, self._starts):
                if int(numbers[0]) or np.any(numbers[1:] < numbers[:-1]):
                    raise ValueError("numbers that must ascend do not")
            return TermTable(
                terms.offsets.astype(np.int64),
                terms.blob,
                self._starts.astype(np.int64),
                self._ordinals,
                self._frequencies,
            )

    def nbytes(self) -> tuple[int, int]:
        return 0, self._file.nbytes()

    def _posting(self, at: int) -> Posting:
        begin, end = int(self._starts[at]), int(self._starts[at + 1])
        if not 0 <= begin < end <= len(self._ordinals) or int(self._ordinals[end - 1]) >= len(self):
            raise ValueError(f"term {at} has postings {begin} to {end}")
        return Posting(self._ordinals[begin:end], self._frequencies[begin:end])

    @contextmanager
    def _making_sense(self) -> Iterator[None]:
        """Whatever numpy and Python say of bytes that make no sense is a loss of data."""
        try:
            yield
        except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, MemoryError) as error:
            raise DataLoss(f"{self._path} does not make sense: {error}") from error
