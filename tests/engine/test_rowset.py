"""Sets of rows do what sets of numbers do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecdb.engine.snapshots.rowset import RowSet
from vecdb.errors import DataLoss

bounds = st.integers(0, 70)


def rows(some: set[int]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.array(sorted(some), np.uint64)


def made(bound: int, some: set[int]) -> RowSet:
    found = RowSet(bound)
    found.add(rows(some))
    return found


def held(of: RowSet) -> set[int]:
    return {row for row in range(of.bound) if of.has(rows({row}))[0]}


@given(st.data(), bounds, bounds)
def test_as_sets_of_numbers(data: st.DataObject, bound: int, other_bound: int) -> None:
    some = data.draw(st.sets(st.integers(0, bound - 1)) if bound else st.just(set()))
    others = data.draw(st.sets(st.integers(0, other_bound - 1)) if other_bound else st.just(set()))
    first = data.draw(st.integers(0, bound))
    one, other = made(bound, some), made(other_bound, others)
    assert held(one) == some
    assert one.count() == len(some)
    assert one.first() == min(some, default=None)
    assert held(one.since(first)) == {row for row in some if row >= first}
    assert held(one.both(other)) == some & others
    assert held(one.without(other)) == some - others
    assert held(one.grown(bound + 9)) == some
    assert held(RowSet.decode("it", one.encode(), bound)) == some
    sample = one.sample(5, seed=1).tolist()
    assert len(sample) == min(5, len(some))
    assert set(sample) <= some
    assert sample == sorted(set(sample)) == one.sample(5, seed=1).tolist()
    assert not one.has(rows({bound, bound + 100})).any()


def test_a_sample_is_spread_over_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vecdb.engine.snapshots.rowset._PIECE_BYTES", 8)
    sample = made(1_000, set(range(0, 1_000, 3))).sample(300, seed=0)
    assert len(sample) == 300
    assert not np.any(sample % 3)
    assert sample.max() > 900


def test_bits_of_another_size_are_damage() -> None:
    encoded = made(100, {1, 99}).encode()
    for name, payload, bound in [("a", encoded, 108), ("b", encoded, 92), ("c", encoded[:-3], 100), ("d", b"", 100)]:
        with pytest.raises(DataLoss, match=name):
            RowSet.decode(name, payload, bound)
