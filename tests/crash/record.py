"""What a crash workload writes, said so briefly that a line through a pipe can hold it.

A write has a number, unique for a whole chain of crashes. Everything it stores follows from that number and
its operations, so the record says only which ids and which columns; both sides compute the values.

Lines are JSON. ``x?`` is said before the call, ``x!`` after it returned, ``x-`` when it was refused:

    {"e": "write?", "w": 17, "c": "busy-1", "ops": [["upsert", [3, 4], "vpt", "", [], 0]], "d": true}
    {"e": "write!", "w": 17, "seq": 9, "count": 2}          {"e": "write-", "w": 17, "reason": "CLOSED"}
    {"e": "create?", "c": "busy-1"} and "create!"; "drop?" and "drop!"
    {"e": "add?", "c": "busy-1", "f": "extra-40"} and "add!"; "shed?" and "shed!" when a vector field is dropped;
        "move?" and "move!" with "to" when it is renamed
    {"e": "set?", "c": "busy-1", "k": "indexing", "v": "deferred"} and "set!"      see ``settings``
    {"e": "restore?", "c": "copy", "of": "busy-1", "seq": 30} and "restore!"       a collection made of an archive
    {"e": "read?", "r": 4, "c": "busy-1"}          {"e": "read!", "r": 4, "ask": [...], "got": ...}     see ``reads``
    {"e": "report", ...}                                     see ``report``
    {"e": "bug", "text": "..."}                              something that must never happen
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from vecdb.model.collection import CollectionInfo
from vecdb.model.filter.expression import F
from vecdb.model.point import (
    Clear,
    Condition,
    DeleteIds,
    DeleteWhere,
    Operation,
    PayloadMode,
    Put,
    PutMode,
    Rows,
    UpdateWhere,
    VectorColumn,
)
from vecdb.model.schema import Schema, SparseField, TextField, VectorField
from vecdb.model.sparse import SparseColumn, SparseVector, SparseVectors

FIELDS = {"": ("v", "h"), "side": ("s", "r")}
"""Vector fields, and the letters that give them to every row, or to every other row."""
DIMS = {"": 8, "side": 5}
PAYLOAD, SPARSE = "p", "w"
TEXTS = {"": "t", "title": "n"}
"""Text fields, and the letter that gives one to every row."""
EXTRA, EXTRA_DIM = "x", 3
"""The letter that gives every row a vector of a field that comes and goes. No name of such a field is used twice, so
what is there of it says nothing about the order in which it went and in which others wrote.
"""
LASTING, FLEETING = 3_600_000, 1
"""Times to live, in milliseconds: longer than any chain of rounds, and over before anybody can look."""


@dataclass(frozen=True, slots=True)
class Op:
    """``kind``: upsert, insert, update, merge, delete, clear; delete_where, update_where and merge_where take points by
    their payload's row ``ids[0]``. A merge puts a key into the payload and takes another out. ``gives``: letters of the
    columns a put carries; ``extra``: the field that EXTRA stands for. ``condition``: ("absent",), ("exists",),
    ("version", one for each id) or ("row", what the payload says); it stands in batches of one operation only.
    ``ttl_ms`` as the engine takes it.
    """

    kind: str
    ids: tuple[int, ...] = ()
    gives: str = ""
    extra: str = ""
    condition: tuple[Any, ...] = ()
    ttl_ms: int = 0

    def vectors(self) -> dict[str, Sequence[int]]:
        """By field, the positions among the rows that carry a vector."""
        n = len(self.ids)
        given = {field: rows_with_vector(field, self.gives, n) for field in FIELDS}
        found: dict[str, Sequence[int]] = {field: rows for field, rows in given.items() if rows}
        return found | ({self.extra: range(n)} if EXTRA in self.gives and n else {})


@dataclass(frozen=True, slots=True)
class Write:
    """One batch. ``durable``: it asked for fsync."""

    number: int
    collection: str
    ops: tuple[Op, ...]
    durable: bool

    def event(self) -> dict[str, Any]:
        """The line that announces it."""
        ops = [[op.kind, op.ids, op.gives, op.extra, op.condition, op.ttl_ms] for op in self.ops]
        return {"e": "write?", "w": self.number, "c": self.collection, "ops": ops, "d": self.durable}

    @staticmethod
    def of(event: dict[str, Any]) -> Write:
        """Read back from its line."""
        ops = tuple(
            Op(kind, tuple(ids), gives, extra, tuple(condition), ttl_ms)
            for kind, ids, gives, extra, condition, ttl_ms in event["ops"]
        )
        return Write(event["w"], event["c"], ops, event["d"])

    @property
    def nbytes(self) -> int:
        """About the bytes that it stores."""
        sources = [(op, Source(self.number, k, i)) for k, op in enumerate(self.ops) for i in range(len(op.ids))]
        vectors = sum(4 * DIMS.get(f, EXTRA_DIM) * len(rows) for op in self.ops for f, rows in op.vectors().items())
        return vectors + sum(len(payload(source)) for op, source in sources if PAYLOAD in op.gives)

    def operations(self) -> list[Operation]:
        """What the engine is given."""
        return [_operation(self.number, k, op) for k, op in enumerate(self.ops)]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a stored value comes from: row ``i`` of operation ``k`` of write ``w``."""

    w: int
    k: int
    i: int


def schema(collection: str) -> Schema:
    """Metrics differ by name, so that prepared and stored vectors differ too."""
    metric = ("cosine", "euclidean", "dot")[sum(collection.encode()) % 3]
    vectors = {"": VectorField(DIMS[""], metric, m=4, ef_construction=20)}  # type: ignore[arg-type]
    vectors["side"] = VectorField(DIMS["side"], "euclidean", m=4, ef_construction=20)
    return Schema(vectors, {name: TextField() for name in TEXTS}, sparse={"": SparseField()})


def settings(info: CollectionInfo) -> dict[str, Any]:
    """What can be set of a collection and is to stay so, by the names that events have for it; ``name``: of its own."""
    return {
        "name": info.name,
        "aliases": list(info.aliases),
        "indexing": info.indexing,
        "text": text_setting(info.schema.texts[""]),
        "ttl_ms": info.schema.ttl_ms,
        "columns": info.schema.payload_columns,
    }


def first_settings(name: str) -> dict[str, Any]:
    """The settings of a collection that has just been made."""
    return settings(CollectionInfo(name, schema(name), "auto", 0, 0))


def text_setting(field: TextField) -> list[Any]:
    """A declared text field, as events have it."""
    return [field.analyzer, field.keywords]


def point_id(n: int) -> str:
    """The id of point ``n``; some take several bytes a character."""
    return f"点{n:04d}" if n % 7 == 3 else f"p{n:04d}"


def payload(source: Source) -> bytes:
    """From a few bytes to more than a value that is kept apart takes."""
    pad = "x" * ((7919 * source.w + 104_729 * source.i) % 1_100)
    return orjson.dumps({"w": source.w, "k": source.k, "i": source.i, "pad": pad})


def merged(source: Source) -> dict[str, Any]:
    """What a merge puts into a payload; it takes ``pad`` out."""
    return {"m": [source.w, source.k, source.i]}


def text(source: Source, field: str = "") -> str:
    """Some words, in one of two languages; a title has a word of its own."""
    return f"{'文本' if source.w % 2 else 'text'}{field and ' ' + field} {source.w} {source.k} {source.i}"


def vector(source: Source, field: str) -> NDArray[np.float32]:
    """float32 ``[dim]``; no two sources have the same."""
    family = field if field in DIMS else EXTRA  # a field that comes and goes may be renamed
    data: NDArray[np.float32] = _vectors(source.w, source.k, family, source.i // 64)[source.i % 64]
    return data


def sparse(source: Source) -> dict[int, float]:
    """Weights by dimension, exact in float32; some dimensions are of many sources."""
    return {source.w % 40: 1.5, 100 + source.i % 8: 0.5 + source.w % 5, 1_000_000 + source.w: 2.0}


def rows_with_vector(field: str, gives: str, n: int) -> Sequence[int] | None:
    """Positions among ``n`` rows that carry a vector of ``field``; None where the column is not given."""
    every, other = FIELDS[field]
    if every in gives:
        return range(n)
    return range(0, n, 2) if other in gives else None


def sparse_shown(given: SparseVector | None) -> dict[str, float] | None:
    """A sparse vector as JSON has it."""
    return None if given is None else {str(index): weight for index, weight in given.to_dict().items()}


@lru_cache(maxsize=4096)
def _vectors(w: int, k: int, family: str, block: int) -> NDArray[np.float32]:
    draw = np.random.default_rng([w, k, len(family), block])
    return draw.standard_normal((64, DIMS.get(family, EXTRA_DIM))).astype(np.float32)


def _operation(w: int, k: int, op: Op) -> Operation:
    if op.kind == "delete":
        return DeleteIds([point_id(n) for n in op.ids], _condition(op))
    if op.kind == "clear":
        return Clear()
    if op.kind == "delete_where":
        return DeleteWhere(F("i") == op.ids[0])
    if op.kind == "update_where":
        return UpdateWhere(F("i") == op.ids[0], payload(Source(w, k, op.ids[0])))
    if op.kind == "merge_where":
        more = orjson.dumps(merged(Source(w, k, op.ids[0])))
        return UpdateWhere(F("i") == op.ids[0], more, PayloadMode.MERGE, [("pad",)])
    n = len(op.ids)
    sources = [Source(w, k, i) for i in range(n)]
    vectors: dict[str | None, VectorColumn] = {}
    for field, given in op.vectors().items():
        data = np.stack([vector(sources[i], field) for i in given])
        vectors[field] = VectorColumn(data, None if len(given) == n else np.array(given, dtype=np.int64))
    merges = op.kind == "merge"
    payloads = [orjson.dumps(merged(s)) if merges else payload(s) for s in sources]
    rows = Rows(
        ids=[point_id(number) for number in op.ids],
        vectors=vectors,
        texts={field: [text(s, field) for s in sources] for field, letter in TEXTS.items() if letter in op.gives},
        payloads=payloads if merges or PAYLOAD in op.gives else None,
        sparse={"": SparseColumn(_sparse(sources))} if SPARSE in op.gives and n else {},
    )
    return Put(
        PutMode.UPDATE if merges else PutMode[op.kind.upper()],
        rows,
        PayloadMode.MERGE if merges else PayloadMode.REPLACE,
        [("pad",)] if merges else (),
        (op.ttl_ms,) if op.ttl_ms else (),
        _condition(op),
    )


def _condition(op: Op) -> Condition | None:
    match op.condition:
        case ("absent",):
            return Condition(absent=True)
        case ("exists",):
            return Condition(exists=True)
        case ("version", *versions):
            return Condition(versions=versions)
        case ("row", row):
            return Condition(filter=F("i") == row)
    return None


def _sparse(sources: Sequence[Source]) -> SparseVectors:
    weights = [sparse(source) for source in sources]
    indices = np.array([index for given in weights for index in given], dtype=np.uint32)
    values = np.array([value for given in weights for value in given.values()], dtype=np.float32)
    return SparseVectors.of([len(given) for given in weights], indices, values)
