"""Calls at a fixed rate, and searches beside writes of which each must be found by the search that comes next."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from benchmarks import documents
from benchmarks.rows import row_id
from benchmarks.sets import K

OTHERS = 2**40
"""Numbers of documents, and seed of their texts, that are none of a collection's own."""


@dataclass(slots=True)
class Observed:
    """``taken``: seconds of each call; ``hits``: the fewest of a search; ``missing`` of ``looked_for`` writes were
    acknowledged and not found; ``late``: seconds by which the last call began behind its time.
    """

    taken: list[float] = field(default_factory=list)
    hits: int = K
    looked_for: int = 0
    missing: int = 0
    late: float = 0.0


def paced(call: Callable[[], None], a_second: float, seconds: float, observed: Observed) -> None:
    """Call at a fixed rate for so long; a call that takes longer than its share delays those behind it."""
    began = time.perf_counter()
    for turn in range(round(a_second * seconds)):
        due = began + turn / a_second
        now = time.perf_counter()
        if now < due:
            time.sleep(due - now)
            now = time.perf_counter()
        call()
        observed.taken.append(time.perf_counter() - now)
        observed.late = now - due


class Written:
    """Writes of single documents, each with a word that no other has; searches ask for the words of those that were
    acknowledged since the search before.
    """

    def __init__(self, docs: Any) -> None:
        self._docs = docs
        self._numbers = count()
        self._texts = (text for texts in documents.english(10**9, seed=OTHERS) for text in texts)
        self._others = documents.queries(seed=OTHERS)
        self._acknowledged: list[int] = []
        self._lock = threading.Lock()
        self.found = Observed()

    def write(self) -> None:
        """One document, acknowledged when this returns."""
        number = next(self._numbers)
        text = f"{documents.word(documents.VOCABULARY + number)} {next(self._texts)}"
        self._docs.upsert([row_id(OTHERS + number)], texts=[text], payloads=[{"number": number}])
        with self._lock:
            self._acknowledged.append(number)

    def search(self) -> None:
        """For the acknowledged ones and, as every search, a common and a rarer word; count those not found."""
        with self._lock:
            wanted, self._acknowledged = self._acknowledged, []
        words = [documents.word(documents.VOCABULARY + number) for number in wanted]
        result = self._docs.search(text=" ".join([*words, next(self._others)]), limit=K + len(wanted))
        ids = set(result.ids)
        self.found.hits = min(self.found.hits, len(ids))
        self.found.looked_for += len(wanted)
        self.found.missing += sum(row_id(OTHERS + number) not in ids for number in wanted)


def beside(writes: float, searches: float, seconds: float, docs: Any) -> tuple[Observed, Observed]:
    """(searches, writes) of so many a second each, for so long."""
    both = Written(docs)
    writing = Observed()
    thread = threading.Thread(target=paced, args=(both.write, writes, seconds, writing))
    thread.start()
    paced(both.search, searches, seconds, both.found)
    thread.join()
    return both.found, writing
