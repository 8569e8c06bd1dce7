"""Sets of questions with judgements of what answers them, and the measures of an answer."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

DEPTH, DEEP = 10, 100
"""Hits that nDCG, and that recall looks at."""

Record = dict[str, str]
Judgements = Mapping[str, Mapping[str, float]]


def read(folder: Path) -> tuple[list[Record], list[Record], Judgements]:
    """(documents, queries, grade of query and document)."""
    with gzip.open(folder / "docs.jsonl.gz", "rt", encoding="utf-8") as lines:
        documents = [json.loads(line) for line in lines]
    queries = [json.loads(line) for line in (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    grades: dict[str, dict[str, float]] = defaultdict(dict)
    for line in (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        grades[query][document] = float(grade)
    return documents, queries, grades


def text_of(document: Record) -> str:
    """Title and text, as one text."""
    return f"{document.get('title', '')} {document['text']}"


def ndcg(grades: Sequence[float], judged: Sequence[float]) -> float:
    """nDCG with grades as gain (Järvelin and Kekäläinen 2002), of what was found against the best order there is."""

    def gain(values: Sequence[float]) -> float:
        return sum(value / float(np.log2(rank + 2)) for rank, value in enumerate(values))

    return gain(grades[:DEPTH]) / gain(sorted(judged, reverse=True)[:DEPTH])


def recall(grades: Sequence[float], judged: Sequence[float]) -> float:
    """The share of what has a grade that is among the first hits."""
    return sum(grade > 0 for grade in grades[:DEEP]) / sum(grade > 0 for grade in judged)
