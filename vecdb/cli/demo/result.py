"""What a run of the demo found out, and its form as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from vecdb import Hit
from vecdb.cli.demo.measure import Latency
from vecdb.cli.demo.store import Load
from vecdb.model.highlight import Snippet


@dataclass(frozen=True, slots=True)
class Found:
    """One hit of a question: its rank by vector and by words (None: not among the first hundred), and, of ``text``,
    the part where the words stand, (start, end) of each in characters of the part.
    """

    id: str
    score: float
    vector_rank: int | None
    words_rank: int | None
    title: str
    lang: str
    text: str
    snippet: str
    words: Sequence[tuple[int, int]]

    @classmethod
    def of(cls, hit: Hit) -> Self:
        """From a hit of the demo's collection."""
        payload = hit.payload or {}
        assert hit.legs is not None  # there were two
        by_vector, by_words = hit.legs
        snippet = hit.snippets[0] if hit.snippets else Snippet("", hit.text or "", 0, ())
        words = [(start - snippet.offset, end - snippet.offset) for start, end in snippet.spans]
        return cls(
            hit.id,
            hit.score,
            by_vector.rank,
            by_words.rank,
            payload["title"],
            payload["lang"],
            hit.text or "",
            snippet.text,
            words,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """A question and its best hits."""

    question: str
    hits: Sequence[Found]


@dataclass(frozen=True, slots=True)
class Source:
    """Passages stored, those of the guide among them, modules they come from, passages kept back as queries."""

    passages: int
    guide_en: int
    guide_zh: int
    modules: int
    held_out: int


@dataclass(frozen=True, slots=True)
class Index:
    """How many vectors there are, how many of them in graphs, and how long that took to wait for."""

    vectors: int
    in_graphs: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Result:
    """Everything. ``load`` is None, and ``opened`` true, when the collection was there already.

    ``plans`` tells how the measured searches were carried out: "graph", "exact".
    """

    vecdb: str
    python: str
    search: str
    embedding: str
    dim: int
    data: str
    opened: bool
    text: Source
    load: Load | None
    index: Index
    answers: Sequence[Answer]
    plans: Sequence[str]
    recall_at_10: float
    latency_ms: Latency
    exact_latency_ms: Latency
    hybrid_latency_ms: Latency
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers."""
        found = asdict(self)
        if self.load is not None:
            found["load"]["points_per_s"] = self.load.points_per_s
        return found
