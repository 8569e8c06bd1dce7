"""What a person gets back: points, hits, and a search's result as a lazy sequence over columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
import orjson
from numpy.typing import NDArray

from vecdb.errors import FailedPrecondition
from vecdb.model.filter import Scalar
from vecdb.model.highlight import Snippet
from vecdb.model.point import Float32, Points
from vecdb.model.query import GroupCounts, LegColumns
from vecdb.model.sparse import SparseVector
from vecdb.model.table import table

if TYPE_CHECKING:
    from pandas import DataFrame


class Point:
    """A point read back. What was not asked for, or never given, is None or missing.

    ``version`` is the sequence of the write that made it. ``texts`` and ``vectors`` (float32 ``[dim]``)
    are by field name; ``text`` and ``vector`` are those of the unnamed field. ``sparse`` vectors are by
    field name.
    """

    __slots__ = ("_json", "_payload", "id", "sparse", "texts", "vectors", "version")

    def __init__(
        self,
        id: str,
        version: int,
        json: bytes | None,
        texts: Mapping[str, str],
        vectors: Mapping[str, Float32],
        sparse: Mapping[str, SparseVector] | None = None,
    ) -> None:
        self.id = id
        self.version = version
        self.texts = texts
        self.vectors = vectors
        self.sparse = sparse or {}
        self._json = json
        self._payload: dict[str, Any] | None = None

    @property
    def payload(self) -> dict[str, Any] | None:
        """The payload, parsed when first touched."""
        if self._payload is None and self._json is not None:
            self._payload = orjson.loads(self._json)
        return self._payload

    @property
    def text(self) -> str | None:
        """The text of the unnamed field."""
        return self.texts.get("")

    @property
    def vector(self) -> Float32 | None:
        """The vector of the unnamed field, float32 ``[dim]``."""
        return self.vectors.get("")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._shown())})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        assert isinstance(other, Point)
        return (
            self._key() == other._key()
            and self.payload == other.payload
            and self.vectors.keys() == other.vectors.keys()
            and all(np.array_equal(vector, other.vectors[name]) for name, vector in self.vectors.items())
            and dict(self.sparse) == dict(other.sparse)
        )

    def __hash__(self) -> int:
        return hash((self.id, self.version))

    def _key(self) -> tuple[object, ...]:
        return (self.id, self.version, dict(self.texts))

    def _shown(self) -> Iterator[tuple[str, object]]:
        yield "id", self.id
        yield "payload", self.payload
        yield from ((f"texts[{name!r}]" if name else "text", text) for name, text in self.texts.items())
        yield from ((f"vectors[{name!r}]" if name else "vector", vector) for name, vector in self.vectors.items())
        yield from ((f"sparse[{name!r}]", vector) for name, vector in self.sparse.items())
        yield "version", self.version


class InLeg(NamedTuple):
    """What one leg of a search says of a hit: its ``rank``, from 1, and its ``score`` there.

    Both are None where the hit is not among what the leg gave.
    """

    rank: int | None
    score: float | None


class Hit(Point):
    """A point found: ``score`` is higher for the better, ``distance`` lower (None unless found by one vector alone).

    ``legs``: of a search with several, what each says of the hit, in their order; else None. ``snippets``: where the
    words asked for stand, if a highlight was; else None. ``rerank_score``: what a re-ranker gave it; None if there was
    none, or none that was asked about this hit.
    """

    __slots__ = ("distance", "legs", "rerank_score", "score", "snippets")

    def __init__(
        self,
        id: str,
        version: int,
        json: bytes | None,
        texts: Mapping[str, str],
        vectors: Mapping[str, Float32],
        score: float,
        distance: float | None,
        legs: list[InLeg] | None = None,
        snippets: list[Snippet] | None = None,
        rerank_score: float | None = None,
        sparse: Mapping[str, SparseVector] | None = None,
    ) -> None:
        super().__init__(id, version, json, texts, vectors, sparse)
        self.score = score
        self.distance = distance
        self.legs = legs
        self.snippets = snippets
        self.rerank_score = rerank_score

    def _key(self) -> tuple[object, ...]:
        return (*super()._key(), self.score, self.distance, self.legs, self.snippets, self.rerank_score)

    def _shown(self) -> Iterator[tuple[str, object]]:
        shown = super()._shown()
        yield next(shown)
        yield "score", self.score
        yield "distance", self.distance
        more = (("legs", self.legs), ("snippets", self.snippets), ("rerank_score", self.rerank_score))
        yield from ((name, value) for name, value in more if value is not None)
        yield from shown


@dataclass(frozen=True, slots=True)
class Group:
    """Hits that have a ``value`` in common, as the best of them has it; best first."""

    value: Scalar
    hits: list[Hit]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SearchResult(Sequence[Hit]):
    """The hits of one query, best first; a sequence of Hit that prints as a table.

    Columns: ``scores`` and ``distances`` float32 ``[n]`` (None where hits were not found by one vector), ``ids``,
    ``versions``; of a search with several legs what each says, in ``legs``; ``snippets``; float64 ``rerank_scores``,
    NaN for a hit that the re-ranker was not asked about (None without one, or if it failed).
    ``seq``: token of the state searched; ``took_ms``: milliseconds inside the engine; ``explain``: how the
    answer was found, when asked for; ``warnings``: what to know about it, in words. Of a search with ``group_by`` the
    hits are those of one group after another, and ``groups`` has them apart.
    """

    points: Points
    scores: Float32
    distances: Float32 | None
    seq: int
    took_ms: float
    explain: dict[str, Any] | None = None
    warnings: list[str] = field(default_factory=list)
    group_counts: GroupCounts | None = None
    legs: Sequence[LegColumns] | None = None
    snippets: Sequence[Sequence[Snippet]] | None = None
    rerank_scores: NDArray[np.float64] | None = None

    @property
    def groups(self) -> list[Group] | None:
        """The groups, best first; None without ``group_by``."""
        if self.group_counts is None:
            return None
        ends = np.cumsum(self.group_counts.hits).tolist()
        given = zip(self.group_counts.values, self.group_counts.hits, ends, strict=True)
        return [Group(value, self[end - count : end]) for value, count, end in given]

    @property
    def ids(self) -> list[str]:
        """Ids of the hits."""
        return self.points.ids

    @property
    def versions(self) -> NDArray[np.uint64]:
        """Sequence of the write that made each hit, uint64 ``[n]``."""
        return self.points.versions

    def __len__(self) -> int:
        return len(self.points)

    @overload
    def __getitem__(self, at: int) -> Hit: ...

    @overload
    def __getitem__(self, at: slice) -> list[Hit]: ...

    def __getitem__(self, at: int | slice) -> Hit | list[Hit]:
        if isinstance(at, slice):
            return [self._hit(i) for i in range(*at.indices(len(self)))]
        return self._hit(range(len(self))[at])

    def __iter__(self) -> Iterator[Hit]:
        return map(self._hit, range(len(self)))

    def _hit(self, i: int) -> Hit:
        return Hit(
            *_parts(self.points, i),
            score=float(self.scores[i]),
            distance=None if self.distances is None else float(self.distances[i]),
            legs=None if self.legs is None else [_in_leg(leg, i) for leg in self.legs],
            snippets=None if self.snippets is None else list(self.snippets[i]),
            rerank_score=None if self.rerank_scores is None else _number(self.rerank_scores[i]),
            sparse=_sparse(self.points, i),
        )

    def at(self, positions: NDArray[np.int64]) -> SearchResult:
        """The hits at ``positions``, different ones, in that order, without groups."""
        return replace(
            self,
            points=self.points.at(positions),
            scores=self.scores[positions],
            distances=None if self.distances is None else self.distances[positions],
            group_counts=None,
            legs=None if self.legs is None else [leg.at(positions) for leg in self.legs],
            snippets=None if self.snippets is None else [self.snippets[i] for i in positions.tolist()],
            rerank_scores=None if self.rerank_scores is None else self.rerank_scores[positions],
        )

    def to_pandas(self) -> DataFrame:
        """A row for each hit: id, score, distance (if found by one vector alone), of each of several legs "leg 0 rank"
        and "leg 0 score", rerank_score, snippets (a list), and what was asked for of payload (a dict), texts and
        vectors (arrays, or SparseVector, or None) by field, version. What a hit has no number for is NaN.

        Raises FailedPrecondition where pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise FailedPrecondition(
                "to_pandas needs pandas: pip install pandas", expected="pandas", received="not installed"
            ) from None
        hits = list(self)
        columns: dict[str, Any] = {**self._group_column(), "id": self.ids, "score": self.scores}
        if self.distances is not None:
            columns["distance"] = self.distances
        for i, leg in enumerate(self.legs or ()):
            columns[f"leg {i} rank"] = np.where(leg.ranks > 0, leg.ranks, np.nan)
            columns[f"leg {i} score"] = leg.scores
        if self.rerank_scores is not None:
            columns["rerank_score"] = self.rerank_scores
        if self.snippets is not None:
            columns["snippets"] = [hit.snippets for hit in hits]
        if self.points.payloads is not None:
            columns["payload"] = [hit.payload for hit in hits]
        for name in self.points.texts or ():
            columns[f"text {name}" if name else "text"] = [hit.texts.get(name) for hit in hits]
        for name in self.points.vectors or ():
            columns[f"vector {name}" if name else "vector"] = [hit.vectors.get(name) for hit in hits]
        for name in self.points.sparse or ():
            columns[f"sparse {name}" if name else "sparse"] = [hit.sparse.get(name) for hit in hits]
        return pandas.DataFrame({**columns, "version": self.versions})

    def _group_column(self) -> dict[str, list[Scalar]]:
        """The value of each hit's group; no column without groups."""
        if self.group_counts is None:
            return {}
        groups = zip(self.group_counts.values, self.group_counts.hits, strict=True)
        return {"group": [value for value, count in groups for _ in range(count)]}

    def __repr__(self) -> str:
        shown = self[:_SHOWN]
        columns: dict[str, list[str]] = {
            name: [orjson.dumps(value).decode() for value in values[: len(shown)]]
            for name, values in self._group_column().items()
        }
        columns |= {
            "id": [hit.id for hit in shown],
            "score": [f"{hit.score:.4f}" for hit in shown],
        }
        if self.distances is not None:
            columns["distance"] = [f"{hit.distance:.4f}" for hit in shown]
        for i in range(len(self.legs or ())):
            columns[f"leg {i}"] = [_shown_leg((hit.legs or ())[i]) for hit in shown]
        if self.rerank_scores is not None:
            columns["rerank score"] = ["" if hit.rerank_score is None else f"{hit.rerank_score:.4f}" for hit in shown]
        if self.snippets is not None:
            columns["snippets"] = [" … ".join(snippet.marked() for snippet in hit.snippets or ()) for hit in shown]
        for name in self.points.texts or ():
            columns[f"text {name}" if name else "text"] = [hit.texts.get(name, "") for hit in shown]
        if self.points.payloads is not None:
            columns["payload"] = [(hit._json or b"").decode() for hit in shown]
        hidden = len(self) - len(shown)
        lines = [table(columns)] if shown else []
        if hidden:
            lines.append(f"... and {hidden} more")
        lines.append(f"{len(self)} {'hit' if len(self) == 1 else 'hits'} in {self.took_ms:.1f} ms, seq {self.seq}")
        return "\n".join([*lines, *(f"warning: {warning}" for warning in self.warnings)])


_SHOWN = 20


def _in_leg(leg: LegColumns, i: int) -> InLeg:
    return InLeg(int(leg.ranks[i]), float(leg.scores[i])) if leg.ranks[i] else InLeg(None, None)


def _shown_leg(leg: InLeg) -> str:
    return "" if leg.rank is None else f"{leg.score:.4f} #{leg.rank}"


def _number(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)


@dataclass(frozen=True, slots=True)
class Page:
    """Some points in the order of their ids, and the ``cursor`` of the page after them, None at the end."""

    points: list[Point]
    cursor: str | None


def points_in(columns: Points) -> list[Point]:
    """One Point for each row of ``columns``; they do not keep the columns alive."""
    return [Point(*_parts(columns, i), sparse=_sparse(columns, i)) for i in range(len(columns))]


def _parts(columns: Points, i: int) -> tuple[str, int, bytes | None, dict[str, str], dict[str, Float32]]:
    json = None if columns.payloads is None else columns.payloads[i]
    texts = {name: text for name, held in (columns.texts or {}).items() if (text := held[i]) is not None}
    vectors = {}
    for name, column in (columns.vectors or {}).items():
        if column.rows is None:
            vectors[name] = column.data[i].copy()
        elif (at := int(np.searchsorted(column.rows, i))) < len(column.rows) and column.rows[at] == i:
            vectors[name] = column.data[at].copy()
    return columns.ids[i], int(columns.versions[i]), json, texts, vectors


def _sparse(columns: Points, i: int) -> dict[str, SparseVector]:
    held = {name: column.get(i) for name, column in (columns.sparse or {}).items()}
    return {name: vector for name, vector in held.items() if vector is not None}
