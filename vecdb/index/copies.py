"""Rows that equal another bit for bit: found while a graph is built, put into answers when it is searched."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from vecdb.index import flat
from vecdb.index.contract import Mask
from vecdb.model.point import Float32, Int64

_SEED = 100


@dataclass(frozen=True, slots=True)
class Copies:
    """Rows without links, by the row they equal: those of ``firsts[i]`` are ``members[starts[i] : starts[i + 1]]``.

    Ordinals, int64; ``firsts`` ascending without repetition.
    """

    firsts: Int64
    starts: Int64
    members: Int64

    @classmethod
    def of(cls, ordinals: Int64, firsts: Int64) -> Copies:
        """From parallel columns: a copy, and what it equals."""
        order = np.lexsort((ordinals, firsts))
        distinct, starts = np.unique(firsts[order], return_index=True)
        return cls(distinct, np.append(starts, len(order)), ordinals[order])

    def nbytes(self) -> int:
        return self.firsts.nbytes + self.starts.nbytes + self.members.nbytes

    def put_in(self, ordinals: Int64, similarities: Float32, allowed: Mask | None, most: int) -> tuple[Int64, Float32]:
        """The answer with every copy behind the row it equals, without what is not allowed.

        At most ``most`` a query: of many copies of one vector any that are allowed will do.
        """
        query, column = np.nonzero(ordinals >= 0)
        if len(query) == 0:
            return flat.padding(len(ordinals), 0)
        first, similarity = ordinals[query, column], similarities[query, column]
        members, starts = self.members, self.starts
        own = np.ones(len(first), np.int64)
        if allowed is not None:
            kept = allowed[members]
            starts = np.concatenate(([0], np.cumsum(kept)))[starts]
            members = members[kept]
            own = allowed[first].astype(np.int64)
        place = np.minimum(np.searchsorted(self.firsts, first), len(self.firsts) - 1)
        copies = np.where(self.firsts[place] == first, starts[place + 1] - starts[place], 0)
        sizes = own + copies
        before = np.cumsum(sizes) - sizes
        begin = np.searchsorted(query, np.arange(len(ordinals)))  # the first entry of each query
        before -= before[np.minimum(begin, len(before) - 1)][query]
        sizes = np.clip(most - before, 0, sizes)
        source = np.repeat(np.arange(len(first)), sizes)
        number = np.arange(len(source)) - np.repeat(np.cumsum(sizes) - sizes, sizes) - own[source]
        answer = first[source]
        copy = number >= 0
        answer[copy] = members[starts[place[source[copy]]] + number[copy]]
        return flat.padded(query[source], answer, similarity[source], len(ordinals))


class Seen:
    """Which row first had a hash: sorted runs, merged so that each is at least twice as long as the next."""

    def __init__(self) -> None:
        self._runs: list[tuple[NDArray[np.uint64], NDArray[np.uint32]]] = []

    def find(self, hashes: NDArray[np.uint64]) -> Int64:
        """Ordinal int64 ``[n]`` of the row with each hash; -1: none."""
        found: Int64 = np.full(len(hashes), -1, np.int64)
        for keys, ordinals in self._runs:
            place = np.minimum(np.searchsorted(keys, hashes), len(keys) - 1)
            hit = keys[place] == hashes
            found[hit] = ordinals[place[hit]]
        return found

    def add(self, hashes: NDArray[np.uint64], ordinals: NDArray[np.int64] | NDArray[np.uint32]) -> None:
        """Note the ordinals of hashes that were not found."""
        if len(hashes) == 0:
            return
        keys, values = hashes, ordinals.astype(np.uint32)
        while self._runs and len(self._runs[-1][0]) < 2 * len(keys):
            older_keys, older_values = self._runs.pop()
            keys, values = np.concatenate((older_keys, keys)), np.concatenate((older_values, values))
        order = np.argsort(keys, kind="stable")
        self._runs.append((keys[order], values[order]))

    def nbytes(self) -> int:
        return sum(keys.nbytes + values.nbytes for keys, values in self._runs)


def hashed(vectors: Float32) -> NDArray[np.uint64]:
    """A number for the bits of each row ``[n, dim]``, the same for equal rows in this process."""
    bits = np.ascontiguousarray(vectors).view(np.uint32).astype(np.uint64)
    hashes: NDArray[np.uint64] = bits @ _multipliers(bits.shape[1])
    return hashes


@cache
def _multipliers(dim: int) -> NDArray[np.uint64]:
    """Odd 64-bit numbers, one a dimension (multilinear hashing, Lemire and Kaser 2014)."""
    return np.random.default_rng(_SEED).integers(0, 2**63, dim, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


def same_bits(a: Float32, b: Float32) -> NDArray[np.bool_]:
    """Which rows are equal bit for bit, bool ``[n]``."""
    equal = np.ascontiguousarray(a).view(np.uint32) == np.ascontiguousarray(b).view(np.uint32)
    return np.asarray(equal.all(axis=1))
