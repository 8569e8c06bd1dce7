"""Re-rank what a search by words finds with a cross-encoder, which reads question and passage together.

    python examples/reranking.py "who invented the telephone"

With `pip install sentence-transformers` it uses the cross-encoder that MODEL names, which that library downloads the
first time. Where it is not there, a stand-in scores by the words that question and passage share, and says so: that
shows how the parts fit, not how good a cross-encoder is.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from itertools import pairwise

import vecdb

MODEL = "cross-encoder/ms-marco-MiniLM-L-6-v2"

PASSAGES = [
    "The telephone rang all day in the office of the patent lawyer, and nobody who worked there invented an excuse.",
    "Alexander Graham Bell was awarded the first patent for the telephone in 1876; Elisha Gray filed on the same day.",
    "Antonio Meucci built a voice device he called telettrofono in the 1850s, and Congress honoured him in 2002.",
    "The telegraph, which sends letters as short and long signals, was older by four decades.",
    "Radio needs no wire: Guglielmo Marconi sent his first signals across the Atlantic in 1901.",
    "A telephone exchange connects the lines of its subscribers; the first opened in New Haven in 1878.",
]


class CrossEncoder:
    """Scores by a model that has read many questions with their answers."""

    def __init__(self) -> None:
        from sentence_transformers import CrossEncoder as Model

        self._model = Model(MODEL)

    def __call__(self, question: str, hits: Sequence[vecdb.Hit]) -> Sequence[float]:
        return self._model.predict([(question, hit.text) for hit in hits])


class SharedWords:
    """Scores by the share of the question's words, and of its pairs of words, that the passage has."""

    def __call__(self, question: str, hits: Sequence[vecdb.Hit]) -> Sequence[float]:
        asked = self._parts(question)
        return [len(asked & self._parts(hit.text or "")) / len(asked) for hit in hits]

    @staticmethod
    def _parts(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", text.lower())
        return {(word,) for word in words} | set(pairwise(words)) or {()}


def scorer() -> CrossEncoder | SharedWords:
    """The cross-encoder, or what stands in for it."""
    try:
        return CrossEncoder()
    except (ImportError, OSError) as error:  # OSError: the model is not here and cannot be downloaded
        print(f"no cross-encoder, so a stand-in counts shared words: {error}")
        return SharedWords()


def main(question: str) -> None:
    """Print what is found for a question, before and after."""
    with tempfile.TemporaryDirectory() as folder, vecdb.open(folder) as db:
        docs = db.create_collection("passages", dim=None, analyzer="english")
        docs.upsert(range(len(PASSAGES)), texts=PASSAGES)

        print(f"\nby words: {question}")
        for hit in docs.search(text=question, limit=3):
            print(f"  {hit.score:6.2f}  {hit.text}")

        # The first 50 hits are scored, 16 at a time, within two seconds; if that fails, the hits stay as they were.
        rerank = vecdb.Rerank(scorer(), depth=50, batch=16, timeout=2)
        found = docs.search(text=question, limit=3, rerank=rerank)
        print("\nre-ranked:")
        for hit in found:
            print(f"  {hit.rerank_score or 0:6.2f}  {hit.text}")
        for warning in found.warnings:
            print(f"  {warning}")


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or "who invented the telephone")
