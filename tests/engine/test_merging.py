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


def test_a_segment_with_many_dead_is_rebuilt_first() -> None:
    assert pick(100, (100, DEAD_FRACTION + 0.01), 100, 100, 100) == Merge(1, 2, rebuild=True)
    assert pick((100, DEAD_FRACTION)) is None


def test_smaller_neighbours_come_along_when_a_segment_is_rebuilt() -> None:
    dead = (80, 0.5)
    assert pick(10, 20, dead, 100) == Merge(0, 3, rebuild=True)
    assert pick(100, dead, 10, 29, 2, 100) == Merge(1, 4, rebuild=True)  # the 2 would be a row too much
    assert pick(21, 20, dead, 100) == Merge(1, 3, rebuild=True)  # the nearer, and no more than 40 in all
    assert pick(100, (100, 0.5), (90, 0.5), (60, 0.1)) == Merge(1, 3, rebuild=True)  # rows alive count
    assert pick((900, 0.3), 150, 100) == Merge(0, 1, rebuild=True)  # half of the bytes at most are copied at once
    assert pick((900, 0.3), 30, 1_000, most=930) == Merge(0, 2, rebuild=True)
    assert pick((900, 0.3), 30, 1_000, most=929) == Merge(0, 1, rebuild=True)


def test_neighbours_come_along_only_where_there_is_room() -> None:
    sizes = [Size(80, 80, 0.5), Size(10, 10, 0.0)]
    run_in = [choose(sizes, seal_bytes=SEAL, max_bytes=MOST, idle=False, room=room) for room in (89, 90)]
    assert run_in == [Merge(0, 1, rebuild=True), Merge(0, 2, rebuild=True)]


def test_where_points_are_replaced_all_the_time_few_segments_stand_side_by_side() -> None:
    """A hundred seals of as many rows as a third of what lives: what is left of old segments does not stay beside."""
    live, sealed = 30_000.0, 10_000
    segments: list[tuple[float, float]] = []  # rows, and how many of them are alive
    inserted, most = 0.0, 0
    for _ in range(100):
        for _ in range(20):
            segments = [(rows, alive * (1 - sealed / 20 / live)) for rows, alive in segments if alive >= 1]
            while True:
                sizes = [Size(int(rows), int(rows), 1 - alive / rows) for rows, alive in segments]
                merge = choose(sizes, seal_bytes=sealed, max_bytes=1 << 30, idle=False)
                if merge is None:
                    break
                alive = sum(alive for _, alive in segments[merge.start : merge.end])
                segments[merge.start : merge.end] = [(alive, alive)]
                inserted += alive
        segments.append((sealed, sealed * 0.85))
        most = max(most, len(segments))
    assert most <= 6
    assert inserted <= 5 * 100 * sealed


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
