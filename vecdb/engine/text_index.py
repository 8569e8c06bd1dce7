"""What has been made of the postings of one text field in one segment.

The postings of a sealed segment are a file, or are not known: of a segment whose rows were written while indexing was
deferred, read again after a crash, or whose file is damaged. Those of a growing segment come with the rows. Whoever
needs postings that are not known makes them from the bodies (``engine/texts.py``), and here they stay.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vecdb.index.analysis.contract import Identity
from vecdb.index.postings.contract import Postings
from vecdb.index.postings.growing import GrowingPostings, Share
from vecdb.storage.codec import UInt64


@dataclass(frozen=True, slots=True)
class NewTexts:
    """The texts of one field that some new rows bring: their slots (uint64 ``[n]``, ascending), and their postings in
    shares, by ``analyzer``; None where nobody analyzed them.
    """

    slots: UInt64
    shares: Sequence[Share] | None = None
    analyzer: Identity | None = None

    def count_terms(self) -> int:
        """How many terms the texts have together, with repetitions; of texts that were analyzed."""
        return sum(_count_terms(share) for share in self.shares or ())


class TextIndex:
    """Postings of the first ``known`` texts of a part, by ``analyzer``; shared by all parts of a growing segment.

    Readers need no lock. ``making`` is held by whoever adds: the publisher, which never waits for it, or who makes
    what is missing. What the publisher could not add is missing until somebody makes it.
    """

    def __init__(self, analyzer: Identity | None = None, whole: Postings | None = None) -> None:
        self.making = threading.Lock()
        self.analyzer = analyzer
        self._whole = whole
        self._growing = GrowingPostings()
        self.known = 0 if whole is None else len(whole)

    @property
    def in_file(self) -> bool:
        """Whether the postings are those of a sealed file."""
        return self._whole is not None

    def upto(self, n: int) -> Postings | None:
        """The postings of the first ``n`` texts; None where they are not known."""
        if self.known < n:
            return None
        return self._whole if self._whole is not None else self._growing.upto(n)

    def offer(self, at: int, new: NewTexts) -> bool:
        """Add the postings of new texts, of which ``at`` come before (publisher only); False when that cannot be."""
        if new.shares is None or new.analyzer is None or not self.making.acquire(blocking=False):
            return False
        try:
            if self.known != at or (at and self.analyzer != new.analyzer):
                return False
            self.add(new.shares, len(new.slots), new.analyzer)
            return True
        finally:
            self.making.release()

    def add(self, shares: Sequence[Share], n: int, analyzer: Identity) -> None:
        """Add the postings of the next ``n`` texts (``making`` held)."""
        self.analyzer = analyzer
        self._growing.append(shares, n)
        self.known += n

    def nbytes(self) -> tuple[int, int]:
        """(anonymous, mapped) bytes."""
        postings = self.upto(self.known)
        return (0, 0) if postings is None or not self.known else postings.nbytes()


def _count_terms(share: Share) -> int:
    lengths = share.chunk.lengths
    return int((lengths if share.positions is None else lengths[share.positions]).sum(dtype=np.int64))
