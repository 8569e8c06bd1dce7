"""What a collection is made of: its vector fields, text fields and their parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from vecdb.errors import InvalidArgument

Metric = Literal["cosine", "euclidean", "dot"]
METRICS: tuple[Metric, ...] = get_args(Metric)
MAX_DIM = 65_536
MAX_FIELDS = 64
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
    """A text field. ``analyzer`` names how its keywords are found (keyword search comes later)."""

    analyzer: str = "multilingual"


@dataclass(frozen=True, slots=True)
class Schema:
    """The shape of a collection. The unnamed field of either kind is ``""``."""

    vectors: Mapping[str, VectorField]
    texts: Mapping[str, TextField] = field(default_factory=lambda: {"": TextField()})

    def validate(self) -> None:
        """Raise InvalidArgument at the first thing that cannot be a schema."""
        for kind, fields in (("vectors", self.vectors), ("texts", self.texts)):
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


def validate_collection_name(name: str, field: str = "name") -> None:
    """Raise InvalidArgument unless ``name`` is 1..128 of ``A-Z a-z 0-9 . _ -``."""
    if not COLLECTION_NAME.fullmatch(name):
        raise InvalidArgument(
            "bad collection name", field=field, expected=COLLECTION_NAME.pattern, received=repr(name[:200])
        )


def _integer(value: object, path: str, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidArgument("out of range", field=path, expected=f"{low}..{high}", received=repr(value))
