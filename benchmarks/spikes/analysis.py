"""Spike: what analysis costs and finds. Gives the figures of docs/analyzers.md.

    VECDB_TEST_DATA=... python -m benchmarks.spikes.analysis [--analyzer multilingual]

For each set: nDCG@10 of BM25 by postings in memory over title and text, postings (pairs of a term and a document)
per 1,000 characters, terms per 1,000 characters, and characters and terms analyzed a second of processor time.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.judged import DEPTH, Judgements, Record, ndcg, read, text_of
from vecdb.index import bm25
from vecdb.index.analysis.analyzer import NAMES, analyzer
from vecdb.index.analysis.column import Column
from vecdb.index.analysis.contract import Analyzer

SETS = ("scifact", "cranfield", "qbqtc-zh-8k")
PARALLEL = "xquad-multilingual"
LANGUAGES = ("en", "zh", "es", "de", "el", "ru", "tr", "ar", "vi", "th", "hi", "ro")


class Postings:
    """BM25 over a column of documents, in memory."""

    def __init__(self, column: Column) -> None:
        self._column = column
        self._numbers = {term: number for number, term in enumerate(column.terms)}
        self._lengths = column.lengths.astype(np.int64)
        self.count = len(column.rows)

    def top(self, terms: Sequence[str]) -> list[int]:
        """The numbers of the DEPTH best documents that hold any of the terms, best first."""
        scores = np.zeros(len(self._lengths))
        for term, times in Counter(terms).items():
            if (number := self._numbers.get(term)) is not None:
                some = slice(self._column.starts[number], self._column.starts[number + 1])
                numbers, counts = self._column.rows[some], self._column.counts[some]
                weight = times * bm25.idf(len(scores), len(numbers))
                scores[numbers] += bm25.score(counts, self._lengths[numbers], weight, float(self._lengths.mean()))
        best = np.argsort(-scores, kind="stable")[:DEPTH]
        return [int(number) for number in best if scores[number] > 0]


def measure(by: Analyzer, documents: list[Record], queries: list[Record], grades: Judgements) -> str:
    texts = [text_of(document) for document in documents]
    characters = sum(map(len, texts))
    by.column(["数据", "data"])  # loads the dictionaries
    start = time.process_time()
    column = by.column(texts)
    taken = time.process_time() - start
    terms = int(column.lengths.sum(dtype=np.int64))
    index = Postings(column)
    found = []
    for query in queries:
        judged = grades[query["id"]]
        if any(judged.values()):
            hits = index.top(by.query(query["text"]))
            found.append(ndcg([judged.get(documents[hit]["id"], 0.0) for hit in hits], list(judged.values())))
    return (
        f"{np.mean(found):.3f} | {1000 * index.count / characters:5.0f} | {1000 * terms / characters:5.0f} | "
        f"{characters / taken / 1e6:5.2f} | {terms / taken / 1e6:5.2f}"
    )


def sets(data: Path) -> Iterator[tuple[str, list[Record], list[Record], Judgements]]:
    for name in SETS:
        yield name, *read(data / name)
    documents, queries, grades = read(data / PARALLEL)
    for language in LANGUAGES:
        own = [document for document in documents if document["lang"] == language]
        yield f"xquad {language}", own, [query for query in queries if query["lang"] == language], grades


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--analyzer", choices=NAMES, default="multilingual")
    chosen = parser.parse_args().analyzer
    print("| set | nDCG@10 | postings / 1,000 characters | terms / 1,000 | M characters / s | M terms / s |")
    print("|---|---|---|---|---|---|")
    for name, documents, queries, grades in sets(Path(os.environ["VECDB_TEST_DATA"])):
        # A new one for each set: none profits from what another has taught its memory.
        print(f"| {name} | {measure(analyzer(chosen), documents, queries, grades)} |", flush=True)


if __name__ == "__main__":
    main()
