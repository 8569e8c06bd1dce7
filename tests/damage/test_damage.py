"""Promise 5: whatever file is damaged, no crash, no wrong answer, no silent loss; docs/format.md says what instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.damage.cases import Case, all_cases, one_of_each
from tests.damage.directory import folder, make_both
from tests.damage.table import cells, outcomes, page, read_table, table


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with folder() as made:
        make_both(made)
        yield made


def check(place: Path, chosen: Sequence[Case]) -> dict[tuple[str, str], set[str]]:
    """Damage, and compare with the page."""
    found = outcomes(place, chosen)
    assert [f"{case}: {outcome}" for case, outcome in found if outcome.startswith("WRONG")] == []
    said = read_table(page()[1])
    news = {key: outcomes - said[key] for key, outcomes in cells(found).items() if outcomes - said[key]}
    assert news == {}, "docs/format.md does not say so; run python -m tests.damage"
    return cells(found)


def test_a_file_of_each_kind_damaged_in_each_way(place: Path) -> None:
    check(place, one_of_each(all_cases(place, flips=1)))


@pytest.mark.slow
def test_every_file_damaged_in_every_way(place: Path, bounded: Callable[[int], int]) -> None:
    found = check(place, all_cases(place, flips=bounded(12)))
    if bounded(12) == 12:
        assert table(found) == page()[1], "run python -m tests.damage"
