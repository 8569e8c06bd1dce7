"""Random payloads and filters that often meet, and what every answer from columns must keep to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from vecdb.index.columns.contract import Columns
from vecdb.index.columns.flatten import fits, flatten
from vecdb.index.columns.growing import NewColumns, Share
from vecdb.model.filter import (
    And,
    Attribute,
    Comparator,
    Compare,
    Exists,
    Facts,
    Filter,
    HasVector,
    In,
    Not,
    Or,
    Prefix,
    Text,
    matches,
)
from vecdb.model.filter.matching import scalars_at
from vecdb.model.filter.tree import walk

FIELDS = {"": 0, "image": 1}
IDS = ["a", "b", "ab", "ä", "2024-01-01T00:00:00Z", "x" * 300, "n\0"]

SCALARS: list[Any] = [
    *(None, True, False, 0, 1, -1, 1.0, 0.0, -0.0, 1.5, 2.5e300, -2.5),
    *(2**53, 2**53 + 1, float(2**53), 2**63 - 1, 2**63, 2**64 - 1, -(2**63), float(2**63), float(2**64), -(2**53) - 1),
    *("", "1", "a", "ab", "b", "ä", "日本", "a\0", "a\0b", "l" * 256, "l" * 257, "é" * 129, "\U0001f600"),
    *("2024-01-01T00:00:00Z", "2024-01-01T01:00:00+01:00", "2024-01-01t00:00:00.5z", "2023-12-31T23:59:60Z"),
    *("2024-02-30T00:00:00Z", "2024-01-01T00:00:00.1234567891Z", "1969-07-20T20:17:40.000000001-04:00"),
]
PATHS = [("a",), ("b",), ("a", "b"), ("a", "b", "a"), ("a.b",), ("nowhere",)]

scalars = st.sampled_from(SCALARS)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "a.b"]), inner, max_size=3),
    max_leaves=6,
)
payloads = st.none() | st.dictionaries(st.sampled_from(["a", "b", "a.b"]), values, max_size=3)
paths = st.sampled_from(PATHS)
strings = st.sampled_from([s for s in SCALARS if isinstance(s, str)])
orderable = st.sampled_from([s for s in SCALARS if isinstance(s, str | int | float) and not isinstance(s, bool)])
orders = st.sampled_from([c for c in Comparator if c is not Comparator.EQ])
frozen = st.lists(values, max_size=3).map(tuple)
conditions: st.SearchStrategy[Any] = st.one_of(
    st.builds(Compare, paths, st.just(Comparator.EQ), scalars),
    st.builds(Compare, paths, st.just(Comparator.EQ), frozen),
    st.builds(Compare, paths, orders, orderable),
    st.builds(In, paths, st.lists(scalars, max_size=4).map(tuple)),
    st.builds(Exists, paths),
    st.builds(Prefix, paths, strings),
    st.builds(Compare, st.just(Attribute.ID), st.sampled_from(Comparator), st.sampled_from(IDS)),
    st.builds(In, st.just(Attribute.ID), st.lists(st.sampled_from(IDS), max_size=3).map(tuple)),
    st.builds(Prefix, st.just(Attribute.ID), st.sampled_from(IDS)),
    st.builds(Compare, st.just(Attribute.VERSION), st.sampled_from(Comparator), st.integers(-1, 9)),
    st.builds(In, st.just(Attribute.VERSION), st.lists(st.integers(-1, 9), max_size=3).map(tuple)),
    st.builds(HasVector, st.sampled_from(["", "image", "unknown"])),
    st.builds(Text, st.just(""), st.just("word")),
)
filters: st.SearchStrategy[Any] = st.recursive(
    conditions,
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple).flatmap(lambda p: st.sampled_from([And(p), Or(p)]))
        | st.builds(Not, inner)
    ),
    max_leaves=4,
)


@dataclass(frozen=True)
class Held:
    """A body as columns are told of it."""

    id: str
    payload: Mapping[str, Any] | None
    vectors: tuple[str, ...] = ("",)


helds = st.builds(
    Held,
    st.sampled_from(IDS),
    payloads,
    st.sets(st.sampled_from(["", "image"])).map(lambda names: tuple(sorted(names))),
)


class Bodies:
    """The ids of bodies by ordinal (see Ids), and what matches says of each."""

    def __init__(self, held: Sequence[Held]) -> None:
        self.held = held
        self.seqs = np.arange(len(held), dtype=np.uint64)

    def take(self, ordinals: Any) -> list[str]:
        return [self.held[i].id for i in ordinals.tolist()]

    def truth(self, filter: Filter) -> list[bool]:
        return [
            matches(filter, Facts(h.id, int(self.seqs[i]), h.payload, {"": "a word"} if i % 2 else {}, h.vectors))
            for i, h in enumerate(self.held)
        ]


def new_columns(held: Sequence[Held]) -> NewColumns:
    """What a write of these bodies gives the columns."""
    vectors = {number: np.array([name in h.vectors for h in held], dtype=np.bool_) for name, number in FIELDS.items()}
    return NewColumns([Share(flatten([h.payload for h in held]))], vectors)


def always_exact(filter: Filter) -> bool:
    """Whether columns promise to answer a filter without doubt, whatever the payloads of this module hold."""
    return all(_exact(node) for node, _ in walk(filter))


def _exact(node: Filter) -> bool:
    if isinstance(node, Text):
        return False
    if isinstance(node, Compare):
        if isinstance(node.value, str):
            return fits(node.value) and node.comparator is Comparator.EQ
        return not isinstance(node.value, tuple)
    if isinstance(node, In):
        return all(fits(value) for value in node.values if isinstance(value, str))
    return not isinstance(node, Prefix)


def check(columns: Columns, bodies: Bodies, filter: Filter, bounded: bool = False) -> None:
    """surely ⊆ truth ⊆ possibly, and one mask where the answer is promised to be exact (unless ``bounded``)."""
    n = len(bodies.held)
    surely, possibly = columns.bounds(filter, FIELDS)
    truth = np.array(bodies.truth(filter), dtype=np.bool_)
    assert surely.shape == possibly.shape == (n,)
    assert surely.dtype == possibly.dtype == np.bool_
    assert not np.any(surely & ~truth), (filter, np.flatnonzero(surely & ~truth))
    assert not np.any(truth & ~possibly), (filter, np.flatnonzero(truth & ~possibly))
    if not bounded and always_exact(filter):
        assert surely is possibly


def check_entries(columns: Columns, bodies: Bodies, path: tuple[str, ...]) -> None:
    """Each different scalar of each body, typed, once; values ascend; what is left out is unknown."""
    entries = columns.entries(path)
    values = entries.values.take(np.arange(len(entries.values)))
    found: list[set[Any]] = [set() for _ in bodies.held]
    for ordinal, code in zip(entries.ordinals.tolist(), entries.codes.tolist(), strict=True):
        key = _typed(values[code])
        assert key not in found[ordinal]
        found[ordinal].add(key)
    assert entries.ordinals.tolist() == sorted(entries.ordinals.tolist())
    unknown = set(entries.unknown.tolist())
    for i, held in enumerate(bodies.held):
        truth = _scalars_at(held.payload, path)
        kept = {_typed(v) for v in truth if not isinstance(v, str) or fits(v)}
        assert found[i] == kept
        assert (i in unknown) == any(isinstance(v, str) and not fits(v) for v in truth)
    keys = [_order(v) for v in values]
    assert keys == sorted(keys) and len({_typed(v) for v in values}) == len(values)


def _scalars_at(payload: Mapping[str, Any] | None, path: tuple[str, ...]) -> list[Any]:
    return scalars_at(payload, path)


def _typed(value: Any) -> tuple[str, Any]:
    return type(value).__name__, value


def _order(value: Any) -> tuple[Any, ...]:
    if value is None:
        return (0,)
    if isinstance(value, bool):
        return (1, value)
    if isinstance(value, str):
        return (3, value.encode())
    return (2, value, isinstance(value, float))
