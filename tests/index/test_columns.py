"""Columns against ``matches``: what they answer is what every body would say of itself."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.index.payloads import FIELDS, PATHS, Bodies, Held, check, check_entries, filters, helds, new_columns
from vecdb.errors import DataLoss
from vecdb.index.columns import bounds, merge
from vecdb.index.columns import flatten as flattening
from vecdb.index.columns import growing as growing_columns
from vecdb.index.columns import sealed as sealed_columns
from vecdb.index.columns.contract import Columns
from vecdb.index.columns.growing import GrowingColumns
from vecdb.index.columns.sealed import SealedColumns
from vecdb.index.columns.texts import PackedTexts
from vecdb.index.columns.times import parse_times
from vecdb.model.filter import Comparator, Compare, Exists, Filter, Prefix
from vecdb.model.filter.times import parse_time


@given(
    st.lists(helds, max_size=12), st.lists(filters, min_size=1, max_size=8), st.lists(st.integers(0, 12), max_size=4)
)
def test_growing_columns_answer_as_the_bodies_do(held: list[Held], asked: list[Filter], cuts: list[int]) -> None:
    bodies = Bodies(held)
    growing = GrowingColumns()
    views = []
    ends = sorted({min(cut, len(held)) for cut in cuts} | {len(held)})
    for start, end in zip([0, *ends], ends, strict=False):
        growing.append(new_columns(held[start:end]), end - start)
        upto = Bodies(held[:end])
        views.append((growing.upto(end, bodies, bodies.seqs[:end]), upto))
        for filter in asked[:2]:  # what is asked between appends must not disturb what comes
            check(*views[-1], filter)
    for columns, upto in views:  # an older view shows its own rows, whatever came since
        for filter in asked:
            check(columns, upto, filter)
        for path in PATHS:
            check_entries(columns, upto, path)


def sealed(path: Path, sources: list[tuple[Columns, Bodies, list[int]]]) -> tuple[SealedColumns, Bodies]:
    """The columns of some bodies of some segments, written and mapped."""
    bodies = Bodies([source.held[i] for _, source, chosen in sources for i in chosen])
    seqs = [source.seqs[chosen] for _, source, chosen in sources]
    bodies.seqs = np.concatenate(seqs) if seqs else np.zeros(0, dtype=np.uint64)
    ids = [held.id.encode() for held in bodies.held]
    offsets = np.cumsum([0, *map(len, ids)]).astype(np.uint64)
    packed = PackedTexts(offsets, np.frombuffer(b"".join(ids), dtype=np.uint8))
    merge.write(path, [(columns, np.array(chosen, dtype=np.int64)) for columns, _, chosen in sources], packed)
    return SealedColumns(path, bodies, bodies.seqs), bodies


segments = st.lists(st.lists(helds, max_size=8), min_size=1, max_size=3)


@given(segments, st.lists(filters, min_size=1, max_size=8), st.randoms())
def test_sealed_columns_answer_as_the_bodies_do(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[Held]], asked: list[Filter], random: Random
) -> None:
    for columns, bodies in merged(tmp_path_factory, parts, random):
        assert len(columns) == len(bodies.held)
        for filter in asked:
            check(columns, bodies, filter)
        for path in PATHS:
            check_entries(columns, bodies, path)


@given(segments, st.lists(filters, min_size=1, max_size=8), st.randoms())
def test_what_is_past_the_bounds_is_doubtful_and_never_wrong(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[Held]], asked: list[Filter], random: Random
) -> None:
    with ExitStack() as patches:
        for module, names in (
            (flattening, {"MAX_PATHS": 2, "MAX_STEPS": 2}),
            (growing_columns, {"MAX_PATHS": 2, "MAX_STEPS": 2}),
            (bounds, {"MAX_STEPS": 2}),
            (sealed_columns, {"MAX_STEPS": 2}),
            (merge, {"MAX_PATHS": 2, "MAX_LONG_STRINGS": 1, "SHORT_BYTES": 20}),
        ):
            patches.enter_context(patch.multiple(module, **names))
        for columns, bodies in merged(tmp_path_factory, parts, random):
            assert len(columns.paths()) <= 2
            for filter in asked:
                check(columns, bodies, filter, bounded=True)


def test_a_path_that_later_writes_have_no_room_for(tmp_path: Path) -> None:
    """Its column goes on, and knows of which bodies it does not know."""
    held = [Held("a", {"a": 1, "b": 1}), Held("b", {"c": 1, "a": 1, "b": 2}), Held("c", {"b": 2})]
    bodies = Bodies(held)
    with patch.object(flattening, "MAX_PATHS", 2), patch.object(growing_columns, "MAX_PATHS", 2):
        growing = GrowingColumns()
        for one in held:
            growing.append(new_columns([one]), 1)
        grown = growing.upto(3, bodies, bodies.seqs)
        parts: list[tuple[Columns, Bodies, list[int]]] = []
        for i, one in enumerate(held):
            single, body = GrowingColumns(), Bodies([one])
            single.append(new_columns([one]), 1)
            body.seqs += np.uint64(i)
            parts.append((single.upto(1, body, body.seqs), body, [0]))
    for columns in (grown, sealed(tmp_path / "columns", parts)[0]):
        surely, possibly = columns.bounds(Compare(("b",), Comparator.EQ, 2), FIELDS)
        assert (surely.tolist(), possibly.tolist()) == ([False, False, True], [False, True, True])
        surely, possibly = columns.bounds(Exists(("c",)), FIELDS)
        assert not surely[[0, 2]].any() and possibly[1] and not possibly[0]


def merged(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[Held]], random: Random
) -> list[tuple[Columns, Bodies]]:
    """Columns that grow, those sealed from most of their bodies, and those of a merge of both."""
    folder = tmp_path_factory.mktemp("columns")
    sources: list[tuple[Columns, Bodies, list[int]]] = []
    for held in parts:
        growing, bodies = GrowingColumns(), Bodies(held)
        for start in range(0, len(held), 3):
            growing.append(new_columns(held[start : start + 3]), len(held[start : start + 3]))
        sources.append((growing.upto(len(held), bodies, bodies.seqs), bodies, some_of(len(held), random)))
    first = sealed(folder / "first", sources)
    again = sealed(folder / "again", [(*first, some_of(len(first[1].held), random)), sources[0]])
    return [(columns, bodies) for columns, bodies, _ in sources] + [first, again]


def some_of(n: int, random: Random) -> list[int]:
    return [i for i in range(n) if random.random() < 0.8]


def test_what_differs_little(tmp_path: Path) -> None:
    """Values that one another representation would take for the same, or for no value."""
    values: list[Any] = [2**53, 2**53 + 1, float(2**53), 2**64 - 1, float(2**64), 2**63, -(2**63), 1, 1.0, True, "1"]
    values += [-0.0, None, [], {}, [[1]], [{}], "2024-01-01T00:00:00Z", "2024-01-01T01:00:00+01:00"]
    bodies = Bodies([Held(str(i), {"v": value}) for i, value in enumerate(values)])
    growing = GrowingColumns()
    growing.append(new_columns(bodies.held), len(values))
    grown = growing.upto(len(values), bodies, bodies.seqs)
    for columns in (grown, sealed(tmp_path / "columns", [(grown, bodies, list(range(len(values))))])[0]):

        def found(comparator: Comparator, value: Any, columns: Columns = columns) -> list[Any]:
            surely, possibly = columns.bounds(Compare(("v",), comparator, value), FIELDS)
            assert surely is possibly
            return [values[i] for i in np.flatnonzero(surely)]

        assert found(Comparator.EQ, 2**53 + 1) == [2**53 + 1]
        assert found(Comparator.GT, 2**53) == [2**53 + 1, 2**64 - 1, float(2**64), 2**63]
        assert found(Comparator.GT, float(2**53)) == found(Comparator.GT, 2**53)
        assert found(Comparator.EQ, 2**53) == [2**53, float(2**53)]
        assert found(Comparator.GTE, 2**64 - 1) == [2**64 - 1, float(2**64)]
        assert found(Comparator.LT, -(2**63) + 1) == [-(2**63)]
        assert list(map(type, found(Comparator.EQ, 1))) == [int, float]
        assert list(map(type, found(Comparator.EQ, True))) == [bool]
        assert found(Comparator.EQ, 0) == [-0.0]
        assert found(Comparator.EQ, None) == [None]
        assert found(Comparator.EQ, "2024-01-01T00:00:00Z") == ["2024-01-01T00:00:00Z"]
        assert len(found(Comparator.LTE, "2024-01-01T00:00:00.000Z")) == 2
        assert columns.bounds(Exists(("v",)), FIELDS)[0].all()
        surely, possibly = columns.bounds(Compare(("v",), Comparator.EQ, ()), FIELDS)
        assert not surely.any()
        assert [values[i] for i in np.flatnonzero(possibly)] == [[], [[1]], [{}]]  # whoever has an array


def test_a_file_that_is_none_of_this_segment_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "columns"
    _, bodies = sealed(path, [])
    with pytest.raises(DataLoss, match="another segment"):
        SealedColumns(path, bodies, np.zeros(1, dtype=np.uint64))
    for raw in (b"", b"\0" * 15, b"\0" * 16, path.read_bytes()[:-1], b"[" + path.read_bytes()[1:]):
        path.write_bytes(raw)
        with pytest.raises(DataLoss):
            SealedColumns(path, bodies, bodies.seqs)


def test_a_few_long_strings_do_not_widen_all(tmp_path: Path) -> None:
    """Short and long strings are sorted apart: the order is that of their bytes all the same."""
    texts = [part * times + end for part in ("a", "é", "日") for times in (1, 20, 31, 32, 60, 80) for end in ("", "b")]
    bodies = Bodies([Held(str(i), {"v": text}) for i, text in enumerate(texts)])
    growing = GrowingColumns()
    growing.append(new_columns(bodies.held), len(texts))
    grown = growing.upto(len(texts), bodies, bodies.seqs)
    columns, _ = sealed(tmp_path / "columns", [(grown, bodies, list(range(len(texts))))])
    check_entries(columns, bodies, ("v",))
    for text in texts:
        check(columns, bodies, Compare(("v",), Comparator.GTE, text))
        check(columns, bodies, Prefix(("v",), text))


@given(
    st.lists(
        st.from_regex(
            r"(00|1[9]|20)\d\d-[01]\d-[0-3]\d[Tt ][0-2]\d:[0-6]\d:[0-6]\d(\.\d{0,10})?([Zz]|[+-][0-2]\d:[0-6]\d)?",
            fullmatch=True,
        ),
        max_size=20,
    )
)
def test_times_are_read_as_one_by_one(texts: list[str]) -> None:
    texts = [text for text in texts if text.isascii()]
    places, seconds, nanos = parse_times(np.array([t.encode() for t in texts] or [b""]))
    found = dict(zip(places.tolist(), zip(seconds.tolist(), nanos.tolist(), strict=True), strict=True))
    assert found == {i: time for i, text in enumerate(texts) if (time := parse_time(text)) is not None}
