"""Write the postings of a new segment from those of the segments it is made of: no text is taken apart again.

The terms of all sources are sorted together; then postings are moved a few million at a time, for a range of terms
after another, in which each source has its postings in one piece. No step of it is a loop over terms or postings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vecdb.index.arrayfile import FileWriter
from vecdb.index.packed import PackedTerms
from vecdb.index.postings.contract import Counts, Postings, TermTable, UInt32
from vecdb.index.postings.lexicon import Outlines, samples_of
from vecdb.index.ranges import gathered, ordering
from vecdb.model.point import Int64

PIECE = 1 << 20
"""Postings that are moved at once, but for a term that has more."""
_NOWHERE = 2**32 - 1


def write(path: Path, sources: Sequence[tuple[Postings, Int64]]) -> None:
    """Write the postings of ``sources``: of each the texts at some ordinals (ascending), one after another.

    Terms that none of these holds are left out.
    """
    used, start = [], 0
    for postings, chosen in sources:
        used.append(_Source.of(postings, chosen, start))
        start += len(chosen)
    lengths = [np.zeros(0, dtype=np.uint32), *(postings.lengths[chosen] for postings, chosen in sources)]
    terms, starts = _unified(used)
    total = int(starts[-1])
    outlines = Outlines.of(terms)
    most = max((source.most for source in used), default=0)
    with FileWriter(path) as file:
        ordinals = file.room(np.dtype(np.uint32), total)
        frequencies = file.room(np.min_scalar_type(most), total)
        for at, of_texts, counts in _moved(used, starts):
            file.fill(ordinals, at, of_texts)
            file.fill(frequencies, at, counts)
        arrays = {
            "ordinals": ordinals,
            "frequencies": frequencies,
            "starts": file.put(_narrow(starts)),
            "offsets": file.put(_narrow(terms.offsets)),
            "blob": file.put(terms.blob),
            "samples": file.put(samples_of(terms)),
            "sizes": file.put(outlines.sizes),
            "letters": file.put(outlines.letters),
            "lengths": file.put(np.concatenate(lengths)),
        }
        file.finish({"arrays": arrays})


@dataclass(slots=True)
class _Source:
    """One source: its table, by ordinal there the ordinal here (_NOWHERE: not taken), and of the terms in use: their
    places there, how many postings each keeps, and then their codes here."""

    table: TermTable
    here: UInt32
    places: Int64
    kept: Int64
    codes: Int64
    most: int

    @staticmethod
    def of(postings: Postings, chosen: Int64, start: int) -> _Source:
        table = postings.table()
        here = np.full(len(postings), _NOWHERE, dtype=np.uint32)
        here[chosen] = np.arange(start, start + len(chosen))
        kept, most = np.zeros(len(table.starts) - 1, dtype=np.int64), 0
        for first, end in _pieces(table.starts):
            begin, stop = int(table.starts[first]), int(table.starts[end])
            taken = here[table.ordinals[begin:stop]] != _NOWHERE
            before = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(taken)])
            kept[first:end] = np.diff(before[table.starts[first : end + 1] - begin])
            most = max(most, int(np.max(table.frequencies[begin:stop], where=taken, initial=0)))
        places = np.flatnonzero(kept)
        return _Source(table, here, places, kept[places], np.zeros(0, dtype=np.int64), most)

    def terms(self) -> PackedTerms:
        """Those in use."""
        return PackedTerms(self.table.offsets, self.table.blob).take(self.places)


def _unified(sources: Sequence[_Source]) -> tuple[PackedTerms, Int64]:
    """The terms of all sources, ascending, and where the postings of each begin; gives the sources their codes."""
    terms = PackedTerms.joined([source.terms() for source in sources])
    order, new = terms.order()
    codes = np.empty(len(terms), dtype=np.int64)
    codes[order] = np.cumsum(new) - 1
    counts, at = np.zeros(int(np.count_nonzero(new)), dtype=np.int64), 0
    for source in sources:
        source.codes = codes[at : at + len(source.places)]
        counts[source.codes] += source.kept
        at += len(source.places)
    return terms.take(order[new]), np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)])


def _moved(sources: Sequence[_Source], starts: Int64) -> Iterator[tuple[int, UInt32, Counts]]:
    """The postings, as (where they belong, ordinals, frequencies) of some terms after others."""
    for first, end in _pieces(starts):
        codes, counts, ordinals, frequencies = [], [], [], []
        for source in sources:
            low, high = source.codes.searchsorted((first, end))
            if low < high:
                begin, stop = source.table.starts[source.places[low]], source.table.starts[source.places[high - 1] + 1]
                here = source.here[source.table.ordinals[begin:stop]]
                taken = here != _NOWHERE
                codes.append(source.codes[low:high])
                counts.append(source.kept[low:high])
                ordinals.append(here[taken])
                frequencies.append(source.table.frequencies[begin:stop][taken])
        if len(codes) == 1:
            yield int(starts[first]), ordinals[0], frequencies[0]
            continue
        # The postings of one term lie in as many places as sources hold it; bring these together, in their order.
        sizes = np.concatenate(counts)
        order = ordering(np.concatenate(codes))
        begins, sizes = (np.cumsum(sizes) - sizes)[order], sizes[order]
        of_texts, times = np.concatenate(ordinals), np.concatenate(frequencies)
        yield int(starts[first]), gathered(of_texts, begins, sizes), gathered(times, begins, sizes)


def _pieces(starts: Int64) -> Iterator[tuple[int, int]]:
    """Ranges of terms that have about PIECE postings together, or one of more."""
    first = 0
    while first < len(starts) - 1:
        end = max(int(starts.searchsorted(starts[first] + PIECE, "right")) - 1, first + 1)
        yield first, end
        first = end


def _narrow(numbers: NDArray[np.integer]) -> NDArray[np.integer]:
    """Offsets in 32 bits where these hold them."""
    return numbers.astype(np.uint32 if int(numbers[-1]) < 2**32 else np.uint64)
