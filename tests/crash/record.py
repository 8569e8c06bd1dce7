"""What a crash workload writes, said so briefly that a line through a pipe can hold it.

A write has a number, unique for a whole chain of crashes. Everything it stores follows from that number and
its operations, so the record says only which ids and which columns; both sides compute the values.

Lines are JSON. ``x?`` is said before the call, ``x!`` after it returned, ``x-`` when it was refused:

    {"e": "write?", "w": 17, "c": "busy-1", "ops": [["upsert", [3, 4], "vpt"]], "d": true}
    {"e": "write!", "w": 17, "seq": 9, "count": 2}          {"e": "write-", "w": 17, "reason": "CLOSED"}
    {"e": "create?", "c": "busy-1"} and "create!"; "drop?" and "drop!"
    {"e": "add?", "c": "busy-1", "f": "extra-40"} and "add!"; "shed?" and "shed!" when a vector field is dropped
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

from vecdb.model.filter.expression import F
from vecdb.model.point import (
    Clear,
    DeleteIds,
    DeleteWhere,
    Operation,
    Put,
    PutMode,
    Rows,
    UpdateWhere,
    VectorColumn,
)
from vecdb.model.schema import Schema, TextField, VectorField

FIELDS = {"": ("v", "h"), "side": ("s", "r")}
"""Vector fields, and the letters that give them to every row, or to every other row."""
DIMS = {"": 8, "side": 5}
PAYLOAD, TEXT = "p", "t"
EXTRA, EXTRA_DIM = "x", 3
"""The letter that gives every row a vector of a field that comes and goes. Each such field has a name of its own, so
what is there of it says nothing about the order in which it went and in which others wrote.
"""


@dataclass(frozen=True, slots=True)
class Op:
    """``kind``: upsert, insert, update, delete, clear; delete_where and update_where take points by their payload's
    row ``ids[0]``. ``gives``: letters of the columns a put carries; ``extra``: the field that EXTRA stands for.
    """

    kind: str
    ids: tuple[int, ...] = ()
    gives: str = ""
    extra: str = ""

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
        ops = [[op.kind, list(op.ids), op.gives, op.extra] for op in self.ops]
        return {"e": "write?", "w": self.number, "c": self.collection, "ops": ops, "d": self.durable}

    @staticmethod
    def of(event: dict[str, Any]) -> Write:
        """Read back from its line."""
        ops = tuple(Op(kind, tuple(ids), gives, extra) for kind, ids, gives, extra in event["ops"])
        return Write(event["w"], event["c"], ops, event["d"])

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
    return Schema(vectors, {"": TextField()})


def point_id(n: int) -> str:
    """The id of point ``n``; some take several bytes a character."""
    return f"点{n:04d}" if n % 7 == 3 else f"p{n:04d}"


def payload(source: Source) -> bytes:
    """From a few bytes to more than a value that is kept apart takes."""
    pad = "x" * ((7919 * source.w + 104_729 * source.i) % 1_100)
    return orjson.dumps({"w": source.w, "k": source.k, "i": source.i, "pad": pad})


def text(source: Source) -> str:
    """Some words, in one of two languages."""
    return f"{'文本' if source.w % 2 else 'text'} {source.w} {source.k} {source.i}"


def vector(source: Source, field: str) -> NDArray[np.float32]:
    """float32 ``[dim]``; no two sources have the same."""
    data: NDArray[np.float32] = _vectors(source.w, source.k, field, source.i // 64)[source.i % 64]
    return data


def rows_with_vector(field: str, gives: str, n: int) -> Sequence[int] | None:
    """Positions among ``n`` rows that carry a vector of ``field``; None where the column is not given."""
    every, other = FIELDS[field]
    if every in gives:
        return range(n)
    return range(0, n, 2) if other in gives else None


@lru_cache(maxsize=4096)
def _vectors(w: int, k: int, field: str, block: int) -> NDArray[np.float32]:
    draw = np.random.default_rng([w, k, len(field), block])
    return draw.standard_normal((64, DIMS.get(field, EXTRA_DIM))).astype(np.float32)


def _operation(w: int, k: int, op: Op) -> Operation:
    if op.kind == "delete":
        return DeleteIds([point_id(n) for n in op.ids])
    if op.kind == "clear":
        return Clear()
    if op.kind == "delete_where":
        return DeleteWhere(F("i") == op.ids[0])
    if op.kind == "update_where":
        return UpdateWhere(F("i") == op.ids[0], payload(Source(w, k, op.ids[0])))
    n = len(op.ids)
    sources = [Source(w, k, i) for i in range(n)]
    vectors: dict[str | None, VectorColumn] = {}
    for field, given in op.vectors().items():
        data = np.stack([vector(sources[i], field) for i in given])
        vectors[field] = VectorColumn(data, None if len(given) == n else np.array(given, dtype=np.int64))
    rows = Rows(
        ids=[point_id(number) for number in op.ids],
        vectors=vectors,
        texts={"": [text(s) for s in sources]} if TEXT in op.gives else {},
        payloads=[payload(s) for s in sources] if PAYLOAD in op.gives else None,
    )
    return Put(PutMode[op.kind.upper()], rows)
