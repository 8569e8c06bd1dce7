"""What a collection is made of: its vector fields, text fields and their parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from vecdb.errors import FieldNotFound, InvalidArgument

Metric = Literal["cosine", "euclidean", "dot"]
METRICS: tuple[Metric, ...] = get_args(Metric)
MAX_DIM = 65_536
MAX_FIELDS = 64
MAX_TTL_MS = 1_000 * 365 * 86_400_000  # a thousand years: added to a time of now it still is a time
COLLECTION_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")


@dataclass(frozen=True, slots=True)
class VectorField:
    """A dense vector field: ``dim`` 1..65,536 float32, and the parameters of its HNSW graph.

    ``m`` is the number of links a node keeps, ``ef_construction`` the beam width while building
    (Malkov and Yashunin 2016). ``model``, when given, names the embedding model that reads and
    writes may state and must then agree with.
    """

    dim: int
    metric: Metric = "cosine"
    m: int = 16
    ef_construction: int = 200
    model: str | None = None

    def validate(self, path: str) -> None:
        """Refuse what cannot be built. Raises InvalidArgument naming ``path``."""
        _integer(self.dim, f"{path}.dim", 1, MAX_DIM)
        _integer(self.m, f"{path}.m", 2, 128)
        _integer(self.ef_construction, f"{path}.ef_construction", 4, 10_000)
        if self.metric not in METRICS:
            raise InvalidArgument(
                "unknown metric", field=f"{path}.metric", expected=" | ".join(METRICS), received=repr(self.metric)
            )


@dataclass(frozen=True, slots=True)
class TextField:
    """A text field, and how its words are found: ``analyzer`` with its ``options`` (docs/analyzers.md), BM25's ``k1``
    (>= 0: how much repetitions count) and ``b`` (0..1: how much the length of a text counts).

    ``keywords`` False: nothing is indexed, and searches by keyword in this field are refused.
    """

    analyzer: str = "multilingual"
    options: Mapping[str, object] = field(default_factory=dict)
    k1: float = 1.2
    b: float = 0.75
    keywords: bool = True

    def validate(self, path: str) -> None:
        """Check everything but the analyzer, which the engine knows. Raises InvalidArgument naming ``path``."""
        _number(self.k1, f"{path}.k1", 1_000.0)
        _number(self.b, f"{path}.b", 1.0)


@dataclass(frozen=True, slots=True)
class SparseField:
    """A field of sparse vectors (weights at a few of 2^32 dimensions), which are compared by dot product.

    ``model``, when given, names the embedding model that reads and writes may state and must then agree with.
    """

    model: str | None = None


@dataclass(frozen=True, slots=True)
class Schema:
    """The shape of a collection. The unnamed field of each kind is ``""``.

    ``default_vector``: the vector field meant where none is named (None: the unnamed one, or the only one there is).
    ``ttl_ms``: how long points stay that were written without a time of their own, 0 for ever. ``payload_columns``:
    whether values of payloads are kept in columns, from which filters are answered.
    """

    vectors: Mapping[str, VectorField]
    texts: Mapping[str, TextField] = field(default_factory=lambda: {"": TextField()})
    default_vector: str | None = None
    ttl_ms: int = 0
    payload_columns: bool = True
    sparse: Mapping[str, SparseField] = field(default_factory=dict)

    @property
    def main_vector(self) -> str | None:
        """The name of the vector field meant where none is named; None when there is none, or no telling which."""
        if self.default_vector is not None:
            return self.default_vector
        if "" in self.vectors:
            return ""
        return next(iter(self.vectors)) if len(self.vectors) == 1 else None

    @property
    def main_sparse(self) -> str | None:
        """The name of the only field of sparse vectors; None when there is none, or several."""
        return next(iter(self.sparse)) if len(self.sparse) == 1 else None

    def validate(self) -> None:
        """Raise InvalidArgument at the first thing that cannot be a schema."""
        for kind, fields in (("vectors", self.vectors), ("texts", self.texts), ("sparse", self.sparse)):
            if len(fields) > MAX_FIELDS:
                raise InvalidArgument(
                    "too many fields", field=kind, expected=f"at most {MAX_FIELDS}", received=str(len(fields))
                )
            for name in fields:
                if name != "" and not COLLECTION_NAME.fullmatch(name):
                    raise InvalidArgument(
                        "bad field name", field=kind, expected=COLLECTION_NAME.pattern, received=repr(name)
                    )
        for name, vector in self.vectors.items():
            vector.validate(f'vectors["{name}"]')
        for name, text in self.texts.items():
            text.validate(f'texts["{name}"]')
        if self.default_vector is not None and self.default_vector not in self.vectors:
            raise FieldNotFound(
                "the default is no vector field",
                field="default_vector",
                expected=named(self.vectors),
                received=repr(self.default_vector),
            )
        _integer(self.ttl_ms, "ttl_ms", 0, MAX_TTL_MS)

    def differences(self, other: Schema) -> list[tuple[str, str, str]]:
        """What differs in meaning: (path, as it is here, as it is in ``other``)."""
        found: list[tuple[str, str, str]] = []
        kinds: list[tuple[str, Mapping[str, object], Mapping[str, object]]] = [
            ("vectors", self.vectors, other.vectors),
            ("texts", self.texts, other.texts),
            ("sparse", self.sparse, other.sparse),
        ]
        for kind, here, there in kinds:
            for name in sorted({*here, *there}):
                found.append((f'{kind}["{name}"]', _told(here.get(name)), _told(there.get(name))))
        found.append(("default_vector", _told(self.main_vector), _told(other.main_vector)))
        found.append(("ttl_ms", _told(self.ttl_ms), _told(other.ttl_ms)))
        found.append(("payload_columns", _told(self.payload_columns), _told(other.payload_columns)))
        return [(path, mine, others) for path, mine, others in found if mine != others]


def named(fields: Mapping[str, object]) -> str:
    """The names of fields, as a refusal lists them."""
    return " | ".join(repr(name) for name in sorted(fields)) or "no field of this kind"


def validate_collection_name(name: str, field: str = "name") -> None:
    """Raise InvalidArgument unless ``name`` is 1..128 of ``A-Z a-z 0-9 . _ -``."""
    if not COLLECTION_NAME.fullmatch(name):
        raise InvalidArgument(
            "bad collection name", field=field, expected=COLLECTION_NAME.pattern, received=repr(name[:200])
        )


def _told(value: object) -> str:
    return "none" if value is None else repr(value)


def _integer(value: object, path: str, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidArgument("out of range", field=path, expected=f"{low}..{high}", received=repr(value))


def _number(value: object, path: str, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= high:
        raise InvalidArgument("out of range", field=path, expected=f"0..{high:g}", received=repr(value))
