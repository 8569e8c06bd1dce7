"""What scoring by BM25 costs: a million documents of about 60 terms, queries of a common, a middling and a rare term.

    python -m benchmarks.spikes.keyword [--documents N] [--queries N]

Postings are drawn, not made of texts, and looked up in a dict: the time is that of ``vecdb/engine/keyword`` alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np

from vecdb.engine.keyword import counting, language
from vecdb.engine.keyword.counting import Field, Source
from vecdb.engine.keyword.matching import asked
from vecdb.engine.keyword.phrases import Verifier
from vecdb.index.analysis.analyzer import analyzer
from vecdb.index.postings.contract import Posting, TermTable
from vecdb.model.context import CallContext

KINDS = {"c": 0.4, "m": 0.05, "r": 0.005}
"""By first letter of a term, the share of documents that hold it."""
TERMS = 8  # of each kind
QUERIES = {
    "common": "c{0}",
    "rare": "r{0}",
    "common middling rare": "c{0} m{0} r{0}",
    "common common": "c{0} c{1}",
    "five, two common": "c{0} c{1} m{0} m{1} r{0}",
    "+rare common": "+r{0} c{0}",
    "+common +common": "+c{0} +c{1}",
    "common -middling": "c{0} -m{0}",
    "middl* rare": "m* r{0}",
}
NEED = 10


class Drawn:
    """Postings of some terms in one segment."""

    def __init__(self, rng: np.random.Generator, documents: int) -> None:
        self.lengths = rng.integers(40, 81, documents).astype(np.uint32)
        self._postings = {}
        for kind, share in KINDS.items():
            for i in range(TERMS):
                ordinals = np.flatnonzero(rng.random(documents) < share).astype(np.uint32)
                frequencies = rng.geometric(0.8, len(ordinals)).clip(1, 20).astype(np.uint8)
                self._postings[f"{kind}{i}"] = Posting(ordinals, frequencies)

    def __len__(self) -> int:
        return len(self.lengths)

    def find(self, terms: Sequence[str]) -> list[Posting | None]:
        return [self._postings.get(term) for term in terms]

    def starting(self, prefix: str, most: int) -> list[str]:
        return [term for term in self._postings if term.startswith(prefix)][:most]

    def near(self, term: str, edits: int, most: int) -> list[tuple[str, int]]:
        return []

    def table(self) -> TermTable:
        raise NotImplementedError("nobody merges what was drawn")

    def nbytes(self) -> tuple[int, int]:
        return 0, 0


def fields(rng: np.random.Generator, parts: Sequence[Drawn], dead: float, allowed: float) -> list[Field]:
    """The drawn segments as a field, a share of whose documents is dead, and of the others a share allowed."""
    sources, base = [], 0
    for part in parts:
        counted = rng.random(len(part)) >= dead if dead else None
        inside = rng.random(len(part)) < allowed if allowed < 1 else None
        both = inside if counted is None else counted if inside is None else counted & inside
        sources.append(Source(part, analyzer("whitespace"), base, counted, both))
        base += len(part)
    return [Field("", tuple(sources), counting.totals(sources))]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spikes.keyword")
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=40, help="of each kind")
    options = parser.parse_args()
    print("| query | segments | dead | allowed | median ms | p95 ms |")
    print("|---|---|---|---|---|---|")
    for segments in (1, 10):
        rng = np.random.default_rng(0)
        parts = [Drawn(rng, options.documents // segments) for _ in range(segments)]
        for dead, allowed in ((0.0, 1.0), (0.01, 1.0), (0.0, 0.1), (0.0, 0.01)):
            searched = fields(rng, parts, dead, allowed)
            for name, shape in QUERIES.items():
                times = []
                for i in range(options.queries):
                    text = shape.format(i % TERMS, (i + 1) % TERMS)
                    began = time.perf_counter()
                    found = asked(CallContext(), language.parse(text), searched, 0)
                    found.find(CallContext(), NEED, options.documents, Verifier(lambda documents: []))
                    times.append(1000 * (time.perf_counter() - began))
                median, p95 = np.percentile(times, [50, 95])
                print(f"| `{name}` | {segments} | {dead:g} | {allowed:g} | {median:.2f} | {p95:.2f} |", flush=True)


if __name__ == "__main__":
    main()
