"""Spike: which fusion of words and vectors finds best. Gives the choice of defaults in docs/hybrid.md.

    VECDB_TEST_DATA=... python -m benchmarks.spikes.fusions [--sets scifact]

For each set and analyzer: nDCG@10 and recall@100 of BM25 and of exact vectors, and of their fusions by method, weight
of the words' leg (the vectors' is one less it) and depth of both legs.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.judged import DEEP, Record, ndcg, read, recall, text_of
from vecdb.index import bm25
from vecdb.index.analysis.analyzer import analyzer

VECTORS = {"scifact": "minilm-384.npz", "cranfield": "minilm-384.npz", "qbqtc-zh-8k": "e5-small-384.npz"}
ANALYZERS = {
    "scifact": ("multilingual", "english"),
    "cranfield": ("multilingual", "english"),
    "qbqtc-zh-8k": ("multilingual", "chinese"),
}
DEPTHS = (50, 100, 200)
WEIGHTS = (0.3, 0.5, 0.7)

Scores = NDArray[np.float64]
Leg = tuple[NDArray[np.int64], Scores]  # documents best first, and their scores
Fusion = Callable[[Leg], Scores]


def keyword_scores(texts: Sequence[Sequence[str]], queries: Sequence[Sequence[str]]) -> Scores:
    """BM25 of every query and document, ``[queries, documents]``; 0 where no term is held."""
    found: dict[str, list[tuple[int, int]]] = {}
    for number, terms in enumerate(texts):
        for term, count in Counter(terms).items():
            found.setdefault(term, []).append((number, count))
    lengths = np.array([len(terms) for terms in texts])
    scores = np.zeros((len(queries), len(texts)))
    for row, terms in zip(scores, queries, strict=True):
        for term, times in Counter(terms).items():
            if term in found:
                numbers, counts = np.array(found[term]).T
                weight = times * bm25.idf(len(texts), len(numbers))
                row[numbers] += bm25.score(counts, lengths[numbers], weight, float(lengths.mean()))
    return scores


def legs(scores: Scores, depth: int) -> list[Leg]:
    """The best ``depth`` of each row; of equals the smaller number; scores of -inf are no hits."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
    out = []
    for row, best in zip(scores, order, strict=True):
        best = best[np.isfinite(row[best])]
        out.append((best, row[best]))
    return out


def reciprocal(k: int) -> Fusion:
    return lambda leg: 1.0 / (k + 1 + np.arange(len(leg[0])))


def relative(leg: Leg) -> Scores:
    low, high = leg[1].min(), leg[1].max()
    return (leg[1] - low) / (high - low) if high > low else np.ones(len(leg[0]))


def distribution(leg: Leg) -> Scores:
    mean, spread = leg[1].mean(), leg[1].std()
    if spread == 0:
        return np.full(len(leg[0]), 0.5)
    return np.clip((leg[1] - (mean - 3 * spread)) / (6 * spread), 0.0, 1.0)


FUSIONS: Mapping[str, Fusion] = {
    "rrf 60": reciprocal(60),
    "rrf 20": reciprocal(20),
    "rrf 10": reciprocal(10),
    "relative": relative,
    "distribution": distribution,
}


def fused(by: Fusion, words: Leg, near: Leg, weight: float, n: int) -> NDArray[np.int64]:
    scores = np.full(n, -np.inf)
    for leg, share in ((words, weight), (near, 1 - weight)):
        if len(leg[0]):
            held = np.where(np.isfinite(scores[leg[0]]), scores[leg[0]], 0.0)
            scores[leg[0]] = held + share * by(leg)
    order = np.argsort(-scores, kind="stable")[:DEEP]
    return order[np.isfinite(scores[order])]


def judged(
    answers: Sequence[NDArray[np.int64]],
    documents: Sequence[Record],
    queries: Sequence[Record],
    grades: Mapping[str, Mapping[str, float]],
) -> tuple[float, float]:
    """(nDCG@10, recall@100) over the queries that have something to find."""
    gains, recalls = [], []
    for query, answer in zip(queries, answers, strict=True):
        wanted = grades[query["id"]]
        if any(wanted.values()):
            found = [wanted.get(documents[hit]["id"], 0.0) for hit in answer[:DEEP].tolist()]
            gains.append(ndcg(found, list(wanted.values())))
            recalls.append(recall(found, list(wanted.values())))
    return float(np.mean(gains)), float(np.mean(recalls))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="*", default=list(VECTORS))
    data = Path(os.environ["VECDB_TEST_DATA"])
    print("| set | analyzer | method | depth | " + " | ".join(f"words {w}" for w in WEIGHTS) + " | recall@100 at .5 |")
    print("|---|---|---|---|" + "---|" * (len(WEIGHTS) + 1))
    for name in parser.parse_args().sets:
        documents, queries, grades = read(data / name)
        judge = partial(judged, documents=documents, queries=queries, grades=grades)
        vectors = np.load(data / name / VECTORS[name])
        near = vectors["queries"].astype(np.float32) @ vectors["docs"].astype(np.float32).T
        for kind in ANALYZERS[name]:
            by = analyzer(kind)
            words = keyword_scores(
                [by.terms(text_of(document)) for document in documents],
                [by.query(query["text"]) for query in queries],
            )
            words[words == 0] = -np.inf
            for leg, scores in (("words", words), ("vectors", near)):
                quality, recall = judge([hits for hits, _ in legs(scores, DEEP)])
                print(f"| {name} | {kind} | {leg} alone | | | {quality:.4f} | | {recall:.3f} |", flush=True)
            for depth in DEPTHS:
                pairs = list(zip(legs(words, depth), legs(near, depth), strict=True))
                for method, fusion in FUSIONS.items():
                    figures = [
                        judge([fused(fusion, a, b, weight, len(documents)) for a, b in pairs]) for weight in WEIGHTS
                    ]
                    row = " | ".join(f"{quality:.4f}" for quality, _ in figures)
                    print(f"| {name} | {kind} | {method} | {depth} | {row} | {figures[1][1]:.3f} |", flush=True)


if __name__ == "__main__":
    main()
