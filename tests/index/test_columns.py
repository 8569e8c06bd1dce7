"""Columns against ``matches``: what they answer is what every body would say of itself."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.index.payloads import PATHS, Bodies, Held, check, check_entries, filters, helds, new_columns
from vecdb.index.columns.contract import Columns
from vecdb.index.columns.growing import GrowingColumns
from vecdb.index.columns.merge import write
from vecdb.index.columns.sealed import SealedColumns
from vecdb.index.columns.texts import PackedTexts
from vecdb.index.columns.times import parse_times
from vecdb.model.filter import Filter
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
    write(path, [(columns, np.array(chosen, dtype=np.int64)) for columns, _, chosen in sources], packed)
    return SealedColumns(path, bodies, bodies.seqs), bodies


@given(
    st.lists(st.lists(helds, max_size=8), min_size=1, max_size=3),
    st.lists(filters, min_size=1, max_size=8),
    st.randoms(),
)
def test_sealed_columns_answer_as_the_bodies_do(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[Held]], asked: list[Filter], random: Random
) -> None:
    folder = tmp_path_factory.mktemp("columns")
    sources = []
    for held in parts:
        growing, bodies = GrowingColumns(), Bodies(held)
        growing.append(new_columns(held), len(held))
        chosen = [i for i in range(len(held)) if random.random() < 0.8]
        sources.append((growing.upto(len(held), bodies, bodies.seqs), bodies, chosen))
    first = sealed(folder / "first", sources)
    left = [i for i in range(len(first[1].held)) if random.random() < 0.8]
    again = sealed(folder / "again", [(*first, left), sources[0]])  # merged with one that still grew
    for columns, bodies in (first, again):
        assert len(columns) == len(bodies.held)
        for filter in asked:
            check(columns, bodies, filter)
        for path in PATHS:
            check_entries(columns, bodies, path)


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
