"""The demo from beginning to end."""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import click

import vecdb
from vecdb.cli.demo import measure
from vecdb.cli.demo.corpus import Corpus, gather
from vecdb.cli.demo.embedding import Embedding
from vecdb.cli.demo.questions import QUESTIONS
from vecdb.cli.demo.report import Report
from vecdb.cli.demo.result import Answer, Found, Index, Result, Source
from vecdb.cli.demo.server import ServerProcess, serving
from vecdb.cli.demo.store import Store, opened_or_loaded

HITS = 5


def run(
    folder: Path,
    most: int,
    embedding: Embedding,
    report: Report,
    keep: Callable[[Result], None],
    keep_serving: bool,
) -> None:
    """Gather, store, ask and measure; give the result to ``keep``; serve on if that is wanted."""
    began = time.perf_counter()
    with report.working("reading the documentation of the standard library"):
        corpus = gather(most)
    if not corpus.held_out:
        raise click.ClickException("this Python comes without the sources of its standard library: there is no text")
    text = _text(corpus)
    report.text(text)
    report.fact("vectors", embedding.description)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.FileError(str(folder), error.strerror) from error
    with serving(folder / "database") as server, vecdb.connect(server.address) as db:
        report.fact("server", f"vecdb {db.info().version} on {server.address}, a process of its own")
        if find_spec("hnswlib") is None:
            report.fact("note", "hnswlib is not installed, so every search is exact")
        store = opened_or_loaded(db, corpus, embedding, folder, report.working)
        report.load(store.load, store.reason)
        with report.working("building the index"):
            index = _index(store)
        answers = _answers(store)
        for answer in answers:
            report.answer(answer)
        with report.working("measuring"):
            queries = store.embed([*(passage.text for passage in corpus.held_out), *QUESTIONS])
            plans = measure.plans(store.docs, queries, store.model)
            recall = measure.recall(store.docs, queries, store.model)
            latency = measure.latency(store.docs, queries, store.model)
            exact_latency = measure.latency(store.docs, queries, store.model, exact=True)
            texts = [*(passage.title for passage in corpus.held_out), *QUESTIONS]
            hybrid_latency = measure.latency(store.docs, queries, store.model, texts=texts)
        result = Result(
            vecdb=vecdb.__version__,
            python=platform.python_version(),
            search="hybrid",
            embedding=embedding.name,
            dim=queries.shape[1],
            data=str(folder),
            opened=store.load is None,
            text=text,
            load=store.load,
            index=index,
            answers=answers,
            plans=plans,
            recall_at_10=recall,
            latency_ms=latency,
            exact_latency_ms=exact_latency,
            hybrid_latency_ms=hybrid_latency,
            seconds=time.perf_counter() - began,
        )
        report.figures(result)
        keep(result)
        if keep_serving:
            _keep_serving(server, report, corpus)
        else:
            report.end(folder)


def _text(corpus: Corpus) -> Source:
    guide = Counter(passage.lang for passage in corpus.stored if passage.source.startswith("vecdb/"))
    return Source(
        passages=len(corpus.stored),
        modules=len({passage.source for passage in corpus.stored if not passage.source.startswith("vecdb/")}),
        guide_en=guide["en"],
        guide_zh=guide["zh"],
        held_out=len(corpus.held_out),
    )


def _index(store: Store) -> Index:
    began = time.perf_counter()
    store.docs.wait_indexed()
    stats = store.docs.stats()
    return Index(stats.vectors, stats.indexed, time.perf_counter() - began)


def _answers(store: Store) -> list[Answer]:
    """What a hybrid search finds for each question: by its words and by its vector at once."""
    vectors = store.embed(QUESTIONS)
    results = store.docs.search_batch(vectors, texts=QUESTIONS, limit=HITS, model=store.model, highlight=True)
    return [
        Answer(question, [Found.of(hit) for hit in result]) for question, result in zip(QUESTIONS, results, strict=True)
    ]


def _keep_serving(server: ServerProcess, report: Report, corpus: Corpus) -> None:
    report.serving(server.address, corpus.stored[0].id)
    try:
        server.process.wait()
    except KeyboardInterrupt:
        return  # this is how it is meant to end
    raise click.ClickException("the server ended by itself")
