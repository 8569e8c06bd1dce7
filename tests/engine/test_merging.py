"""Which segments are merged: bounded work for each row, few segments at rest."""

from __future__ import annotations

import random

import pytest

from vecdb.engine.merging import CROWD, DEAD_FRACTION, LEAST_SHARE, Merge, Size, choose

SEAL, MOST = 100, 1_000


def pick(*sizes: int | tuple[int, float], idle: bool = False, most: int = MOST) -> Merge | None:
    made = [Size(s, s, 0.0) if isinstance(s, int) else Size(s[0], s[0], s[1]) for s in sizes]
    return choose(made, seal_bytes=SEAL, max_bytes=most, idle=idle)


def test_nothing_to_merge() -> None:
    for idle in (True, False):
        assert pick(idle=idle) is None
        assert pick(500, idle=idle) is None
    assert pick(100, 100) is None  # two may stand side by side while writes go on


def test_two_are_merged_when_nobody_writes() -> None:
    assert pick(100, 100, idle=True) == Merge(0, 2, rebuild=False)


def test_while_writes_go_on_only_a_crowd_is_merged() -> None:
    assert pick(*[50] * CROWD) is None
    assert pick(*[50] * (CROWD + 1)) == Merge(0, 16, rebuild=False)  # half of the collection at most


def test_the_small_beside_a_large_one_wait_until_they_are_a_fair_share() -> None:
    assert pick(400, 10, 10, 10, 10, idle=True) == Merge(1, 5, rebuild=False)
    assert pick(100, 10, 10, 10, idle=True) == Merge(0, 4, rebuild=False)


def test_a_segment_with_many_dead_is_rebuilt_alone_and_first() -> None:
    assert pick(100, (100, DEAD_FRACTION + 0.01), 100, 100, 100) == Merge(1, 2, rebuild=True)
    assert pick((100, DEAD_FRACTION)) is None


def test_what_has_no_room_is_merged_in_smaller_pieces_or_not_at_all() -> None:
    sizes = [Size(100, 100, 0.0)] * 4
    choose_in = [choose(sizes, seal_bytes=SEAL, max_bytes=MOST, idle=True, room=room) for room in (199, 200, 399, 400)]
    assert choose_in == [None, Merge(0, 2, rebuild=False), Merge(0, 2, rebuild=False), Merge(0, 2, rebuild=False)]
    dead = [Size(100, 100, 0.5), Size(50, 50, 0.5)]
    assert choose(dead, seal_bytes=SEAL, max_bytes=MOST, idle=False, room=60) == Merge(1, 2, rebuild=True)


@pytest.mark.parametrize("idle", [True, False])
def test_every_choice_keeps_the_bounds(idle: bool) -> None:
    rng = random.Random(0)
    for _ in range(500):
        sizes = [Size(rng.choice([1, 10, 50, 100, 300, 900]), 10, 0.0) for _ in range(rng.randrange(14))]
        merge = choose(sizes, seal_bytes=SEAL, max_bytes=MOST, idle=idle)
        if merge is None:
            continue
        run = [size.nbytes for size in sizes[merge.start : merge.end]]
        assert len(run) > 1
        assert not merge.rebuild
        assert sum(run) <= MOST
        assert sum(run) - max(run) >= LEAST_SHARE * max(run)


@pytest.mark.parametrize("idle", [True, False])
def test_merging_comes_to_an_end_and_touches_a_row_a_few_times(idle: bool) -> None:
    """Seal 300 segments one after another, merging all the time: the larger part of a merge is not inserted again."""
    sizes: list[int] = []
    written = inserted = 0
    for _ in range(300):
        sizes.append(SEAL)
        written += SEAL
        steps = 0
        while (merge := pick(*sizes, idle=idle, most=10_000)) is not None:
            steps += 1
            assert steps < 50
            run = sizes[merge.start : merge.end]
            inserted += sum(run) - max(run)
            sizes[merge.start : merge.end] = [sum(run)]
    assert sum(sizes) == written
    assert inserted <= 3 * written
    assert len(sizes) <= (8 if idle else CROWD)
