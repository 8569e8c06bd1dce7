"""The demo's collection: opened if it is what it should be, else loaded."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vecdb import Client, Collection, CollectionNotFound
from vecdb.cli.demo.corpus import Corpus
from vecdb.cli.demo.embedding import Embed, Embedding
from vecdb.model.point import Float32

NAME = "demo"
BATCH = 500
SAME_COSINE = 0.999

Working = Callable[[str], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class Load:
    """How long the loading took, from the first batch sent to the last acknowledged."""

    points: int
    seconds: float
    batch: int = BATCH

    @property
    def points_per_s(self) -> float:
        return self.points / self.seconds


@dataclass(frozen=True, slots=True)
class Store:
    """The collection, ready. ``load`` is None when it was there, else ``reason`` says why it was loaded."""

    docs: Collection
    model: str
    embed: Embed
    load: Load | None
    reason: str | None


def opened_or_loaded(db: Client, corpus: Corpus, embedding: Embedding, folder: Path, working: Working) -> Store:
    """The collection of ``corpus``. The model that its field states names both the embedding and the text."""
    model = f"{embedding.name}-{corpus.fingerprint}"
    docs = db.collection(NAME)
    embed = embedding.remembered(folder)
    reason = _why_not(docs, corpus, model, embed)
    if embed is not None and reason is None:
        return Store(docs, model, embed, None, None)
    try:
        db.drop_collection(NAME)
    except CollectionNotFound:
        pass
    texts = [passage.text for passage in corpus.stored]
    with working("making vectors"):
        embed = embedding.learned(texts, folder)
        vectors = embed(texts)
    docs = db.create_collection(NAME, dim=vectors.shape[1], metric="cosine", model=model)
    with working("loading"):
        load = _load(docs, corpus, vectors, model)
    return Store(docs, model, embed, load, reason)


def _why_not(docs: Collection, corpus: Corpus, model: str, embed: Embed | None) -> str | None:
    """Why what is there cannot be used; None if it can."""
    try:
        info = docs.describe()
    except CollectionNotFound:
        return "there was nothing yet"
    if info.schema.vectors[""].model != model:
        return "the text or the embedding is another than what was there"
    if info.points != len(corpus.stored):
        return "an earlier run did not finish loading"
    if embed is None or not _gives_what_is_there(docs, corpus, embed):
        return "the embedding that was used is not there any more"
    return None


def _gives_what_is_there(docs: Collection, corpus: Corpus, embed: Embed) -> bool:
    """Whether passages from the beginning, the middle and the end get the vectors that are stored."""
    some = [corpus.stored[i] for i in (0, len(corpus.stored) // 2, -1)]
    stored = docs.get([passage.id for passage in some], with_vectors=True)
    if len(stored) != len(some):
        return False
    before = np.array([point.vector for point in stored])
    now = embed([passage.text for passage in some])
    return before.shape == now.shape and bool((_cosines(before, now) > SAME_COSINE).all())


def _cosines(a: Float32, b: Float32) -> Float32:
    cosines: Float32 = np.vecdot(a, b) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return cosines


def _load(docs: Collection, corpus: Corpus, vectors: Float32, model: str) -> Load:
    began = time.perf_counter()
    for start in range(0, len(corpus.stored), BATCH):
        part = corpus.stored[start : start + BATCH]
        docs.upsert(
            ids=[passage.id for passage in part],
            vectors=vectors[start : start + BATCH],
            texts=[passage.text for passage in part],
            payloads=[{"source": passage.source, "title": passage.title, "lang": passage.lang} for passage in part],
            model=model,
        )
    return Load(len(corpus.stored), time.perf_counter() - began)
