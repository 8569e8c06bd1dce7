"""The text of the demo: what is stored, and what is kept back to ask with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from vecdb.cli.demo import guide, stdlib
from vecdb.cli.demo.passages import Passage, passages

T = TypeVar("T")

HELD_OUT = 300


@dataclass(frozen=True)
class Corpus:
    """``stored`` passages, and ``held_out`` ones that are not stored but searched for."""

    stored: Sequence[Passage]
    held_out: Sequence[Passage]

    @cached_property
    def fingerprint(self) -> str:
        """The same for the same stored passages, on every machine."""
        digest = hashlib.sha256()
        for passage in self.stored:
            for part in (passage.id, passage.title, passage.text):
                digest.update(part.encode() + b"\0")
        return digest.hexdigest()[:16]


def gather(most: int) -> Corpus:
    """Up to ``most`` passages of the standard library, taken evenly, and the whole guide. Deterministic."""
    library = _evenly(passages(stdlib.documents()), most)
    held_out = _evenly(library, min(HELD_OUT, len(library) // 10))
    kept_back = {passage.id for passage in held_out}
    stored = [passage for passage in library if passage.id not in kept_back]
    return Corpus([*stored, *passages(guide.documents())], held_out)


def _evenly(items: Sequence[T], n: int) -> Sequence[T]:
    """``n`` of the items, or all if there are fewer, from everywhere among them, in order."""
    return items if n >= len(items) else [items[i * len(items) // n] for i in range(n)]
