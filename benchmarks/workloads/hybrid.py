"""hybrid: what searches by words, by vectors and by both find on sets with judgements, through the SDK, embedded.

Titles and texts are one text field, every setting is the default, and the English sets are measured with the analyzer
of their language too. Keyword search stands beside bm25s, given the same terms.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

import vecdb
from benchmarks import filled
from benchmarks.figure import Figure
from benchmarks.judged import DEEP, DEPTH, Judgements, Record, ndcg, read, recall, text_of
from benchmarks.run import Run
from benchmarks.setup import Setup
from vecdb.index.analysis.analyzer import analyzer

SIZE = 8_000  # the largest set; the others are as large as they are
BATCH = 500
VECTORS = {"scifact": "minilm-384.npz", "cranfield": "minilm-384.npz", "qbqtc-zh-8k": "e5-small-384.npz"}
ANALYZERS = {"scifact": ("english", "multilingual"), "cranfield": ("english", "multilingual")}
DEFAULT_ANALYZER = "multilingual"
PARALLEL = "xquad-multilingual"
LANGUAGES = ("en", "zh", "es", "de", "el", "ru", "tr", "ar", "vi", "th", "hi", "ro")

MOST_FROM_BM25S = 0.01
LEAST_KEYWORD = {"qbqtc-zh-8k, multilingual": 0.788, "xquad zh, multilingual": 0.90}
LEAST_LANGUAGE = 0.75
LEAST_HYBRID = {"scifact, english": 0.713, "cranfield, english": 0.407, "qbqtc-zh-8k, multilingual": 0.827}
LEAST_ABOVE = 1e-9
SHARES = (0.3, 0.7)
"""Of the words in a hybrid, beside equal shares, which are the default."""
IDS_ONLY: Any = {"with_payload": False, "with_text": False}

Answers = Sequence[Sequence[str]]
"""Ids by query, best first."""


def measure(setup: Setup) -> Run:
    """Grades of the hits of every query, by set and way of searching."""
    run = Run.begin("hybrid", setup.size)
    for name, file in VECTORS.items():
        documents, queries, grades = read(setup.data / name)
        vectors = np.load(setup.data / name / file)
        some = documents[: setup.size]
        if len(some) < len(documents):
            run.doubt(f"{len(some):,} of the documents of {name}")
        for kind in ANALYZERS.get(name, (DEFAULT_ANALYZER,)):
            what = f"{name}, {kind}"
            with _stored(setup, what, some, kind, vectors["docs"].astype(np.float32)) as docs:
                for way, answers in _ways(docs, queries, vectors["queries"].astype(np.float32)):
                    _note(run, what, way, answers, queries, grades)
            _note(run, what, "bm25s", _bm25s(some, queries, kind), queries, grades)
    documents, queries, grades = read(setup.data / PARALLEL)
    for language in LANGUAGES if setup.size >= SIZE else LANGUAGES[:2]:
        some, asked = ([record for record in records if record["lang"] == language] for records in (documents, queries))
        what = f"xquad {language}, {DEFAULT_ANALYZER}"
        with _stored(setup, what, some, DEFAULT_ANALYZER, None) as docs:
            _note(run, what, "keyword", _batched(docs, asked, None), asked, grades)
    return run


@contextmanager
def _stored(setup: Setup, what: str, documents: Sequence[Record], kind: str, vectors: Any) -> Iterator[Any]:
    """A collection of the documents, settled."""
    options = {} if setup.size >= SIZE else setup.options()
    with filled.embedded(setup.folder(what.replace(", ", "-").replace(" ", "-")), **options) as db:
        docs = db.create_collection(filled.NAME, dim=None if vectors is None else vectors.shape[1], analyzer=kind)
        for start in range(0, len(documents), BATCH):
            part = documents[start : start + BATCH]
            docs.upsert(
                [document["id"] for document in part],
                None if vectors is None else vectors[start : start + len(part)],
                texts=[text_of(document) for document in part],
            )
        docs.compact(timeout=filled.SETTLE_S)
        docs.wait_indexed(timeout=filled.SETTLE_S)
        yield docs


def _ways(docs: Any, queries: Sequence[Record], vectors: Any) -> Iterator[tuple[str, Answers]]:
    """(what a way of searching is called, its answers)."""
    yield "keyword", _batched(docs, queries, None)
    yield "vector", [result.ids for result in docs.search_batch(vectors, limit=DEEP, **IDS_ONLY)]
    for way, how in (("ef 96", {"ef": 96}), ("exact", {"exact": True})):
        found = docs.search_batch(vectors, limit=DEEP, **how, **IDS_ONLY)
        yield f"vector, {way}", [result.ids for result in found]
    yield "hybrid", _batched(docs, queries, vectors)
    yield "hybrid, relative score", _batched(docs, queries, vectors, fusion=vecdb.RelativeScore())
    yield "hybrid, distribution score", _batched(docs, queries, vectors, fusion=vecdb.DistributionScore())
    for share in SHARES:
        yield f"hybrid, words {share:g}", _weighted(docs, queries, vectors, share)


def _batched(docs: Any, queries: Sequence[Record], vectors: Any, **options: Any) -> Answers:
    texts = [query["text"] for query in queries]
    return [result.ids for result in docs.search_batch(vectors, texts=texts, limit=DEEP, **IDS_ONLY, **options)]


def _weighted(docs: Any, queries: Sequence[Record], vectors: Any, share: float) -> Answers:
    """Hybrid searches in which the words have that share."""
    answers = []
    for query, vector in zip(queries, vectors, strict=True):
        legs = [vecdb.Keyword(query["text"], weight=share), vecdb.Near(vector, weight=1 - share)]
        answers.append(docs.search(legs=legs, limit=DEEP, **IDS_ONLY).ids)
    return answers


def _bm25s(documents: Sequence[Record], queries: Sequence[Record], kind: str) -> Answers:
    """What bm25s finds by the terms of our analyzer."""
    import bm25s

    by = analyzer(kind)
    index = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    index.index([by.terms(text_of(document)) for document in documents], show_progress=False)
    answers = []
    for query in queries:
        terms = by.query(query["text"])
        scores = index.get_scores(terms) if terms else np.zeros(len(documents))
        best = np.argsort(-scores, kind="stable")[:DEEP]
        answers.append([documents[i]["id"] for i in best.tolist() if scores[i] > 0])
    return answers


def _note(run: Run, what: str, way: str, answers: Answers, queries: Sequence[Record], grades: Judgements) -> None:
    """Keep, of each query that has an answer: grades of what was found, and all grades."""
    asked = [query["id"] for query in queries]
    kept = [
        {"found": [grades[query].get(i, 0.0) for i in ids], "judged": sorted(grades[query].values(), reverse=True)}
        for query, ids in zip(asked, answers, strict=True)
        if any(grades[query].values())
    ]
    run.add("answers", {"set": what, "way": way, "queries": kept})


def figures(samples: dict[str, Any]) -> list[Figure]:
    """nDCG@10 and recall@100 by set and way, means over queries; differences to bm25s; hybrid above both its legs."""
    quality, out = {}, []
    for answers in samples["answers"]:
        queries = answers["queries"]
        key = (answers["set"], answers["way"])
        quality[key] = float(np.mean([ndcg(query["found"], query["judged"]) for query in queries]))
        deep = float(np.mean([recall(query["found"], query["judged"]) for query in queries]))
        out.append(Figure(f"{': '.join(key)}: nDCG@{DEPTH}", quality[key], at_least=_least(*key)))
        out.append(Figure(f"{': '.join(key)}: recall@{DEEP}", deep))
    for what in dict.fromkeys(name for name, way in quality if way == "bm25s"):
        off = abs(quality[what, "keyword"] - quality[what, "bm25s"])
        out.append(Figure(f"{what}: keyword off bm25s", off, at_most=MOST_FROM_BM25S))
        above = quality[what, "hybrid"] - max(quality[what, "keyword"], quality[what, "vector"])
        out.append(Figure(f"{what}: hybrid above both legs", above, at_least=LEAST_ABOVE))
    return out


def _least(what: str, way: str) -> float | None:
    """The budget of nDCG@10."""
    if way == "hybrid":
        return LEAST_HYBRID.get(what)
    if way == "keyword" and what.startswith("xquad"):
        return LEAST_KEYWORD.get(what, LEAST_LANGUAGE)
    return LEAST_KEYWORD.get(what) if way == "keyword" else None
