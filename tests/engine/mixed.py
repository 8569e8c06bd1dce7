"""Collections with values of every kind at the key ``v``, in segments of every state, with deaths; and what they hold.

Shared by the tests of orders, facets and groups: each compares the engine with a few plain lines over the same dict.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from tests.engine.handle import PLAIN, SMALL, Handle, gaussian
from vecdb.engine.database import Database
from vecdb.model.context import CallContext
from vecdb.storage.memory import MemoryKV

IDS = [*(f"{i:03d}" for i in range(40)), "é", "日本", "😀", "a\0", "a"]

SCALARS = [None, False, True, -1, 0, 1, 1.0, 1.5, 2**53, 2**53 + 1, 2.0**53, 2**63, 2**64 - 1, -0.5, 1e300]
SCALARS += ["", "1", "a", "b", "é", "\uffff", "😀", "2020-01-01T00:00:00Z"]
SCALARS += ["long " * 60, "long " * 60 + "!", "a\0b"]  # not in columns

scalars = st.sampled_from(SCALARS)
held = st.one_of(scalars, st.lists(scalars, max_size=3), st.just({"w": 1}), st.just([[1], {"w": 2}]))
payloads = st.one_of(st.none(), st.just({}), st.builds(lambda v: {"v": v}, held))
histories = st.lists(
    st.tuples(
        st.sampled_from(["upsert", "upsert", "upsert", "update", "delete", "seal"]),
        st.lists(st.tuples(st.sampled_from(IDS), payloads), min_size=1, max_size=12, unique_by=lambda row: row[0]),
    ),
    min_size=1,
    max_size=8,
)

Payload = dict[str, Any] | None


@contextlib.contextmanager
def collection(history: list[tuple[str, list[tuple[str, Payload]]]], folder: Any) -> Iterator[tuple[Handle, Any]]:
    """A collection in which a history happened, and its points: payloads by id."""
    db = Database(MemoryKV(), folder / "segments", SMALL)
    db.create_collection(CallContext(), "c", PLAIN)
    c, points = Handle(db), {}
    try:
        for what, rows in history:
            carry_out(c, points, what, rows)
        yield c, points
        assert db.check(CallContext()) == []
    finally:
        db.close()


def carry_out(c: Handle, points: dict[str, Payload], what: str, rows: list[tuple[str, Payload]]) -> None:
    ids = [i for i, _ in rows]
    if what == "upsert":
        c.upsert(ids, gaussian(len(ids), seed=len(points)), [p for _, p in rows])
        points |= dict(rows)
    elif what == "update":
        c.update(ids, payloads=[p for _, p in rows])
        points |= {i: p for i, p in rows if i in points and p is not None}
    elif what == "delete":
        c.delete(*ids)
        for i in ids:
            points.pop(i, None)
    else:
        c.seal()


def elements(payload: Payload) -> list[Any]:
    """The scalars at ``v``, and those in an array there."""
    value = (payload or {}).get("v", [])
    return [e for e in (value if isinstance(value, list) else [value]) if not isinstance(e, list | dict)]


def kind(value: Any) -> tuple[int, Any]:
    """Null, booleans, numbers, strings; within each in order."""
    if value is None:
        return 0, 0
    if isinstance(value, bool):
        return 1, value
    return (2, value) if isinstance(value, int | float) else (3, value.encode())
