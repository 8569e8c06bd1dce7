"""Columns against ``matches``: what they answer is what every body would say of itself."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.index.payloads import PATHS, Bodies, Held, check, check_entries, filters, helds, new_columns
from vecdb.index.columns.growing import GrowingColumns
from vecdb.index.columns.times import parse_times
from vecdb.model.filter.times import parse_time


@given(
    st.lists(helds, max_size=12), st.lists(filters, min_size=1, max_size=8), st.lists(st.integers(0, 12), max_size=4)
)
def test_growing_columns_answer_as_the_bodies_do(held: list[Held], asked: list, cuts: list[int]) -> None:  # type: ignore[type-arg]
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
