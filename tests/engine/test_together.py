"""Readers and writers at once, with an oracle: no wrong count, no absent point, no half of a batch, no exception.

The points fall into groups of GROUP ids. A write always changes a whole group, in one batch, and says so in every
payload: {"group", "round"}. So whoever reads can judge what he got, whatever happens meanwhile.
"""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.engine.conftest import make
from tests.engine.handle import ALL, Handle, delete, gaussian, update, upsert
from vecdb.engine.database import Database
from vecdb.model.context import CallContext
from vecdb.model.filter.expression import F
from vecdb.model.hit import Point, points_in
from vecdb.model.point import Select
from vecdb.model.schema import Schema, VectorField
from vecdb.storage.memory import MemoryKV

Opener = Callable[..., Database]
GROUP = 5
GROUPS = 12
WRITERS, READERS = 3, 3


class Story:
    """What was acknowledged, so that a reader knows what he must find at least."""

    def __init__(self, c: Handle) -> None:
        self.c = c
        self.stop = threading.Event()
        self.errors: list[BaseException] = []
        self.acknowledged = dict.fromkeys(range(GROUPS), 0)  # the round that was last acknowledged
        self.begun = dict.fromkeys(range(GROUPS), 0)
        self.rounds = 0
        self.reads = 0

    def ids(self, group: int) -> list[str]:
        return [f"{group:02d}-{i}" for i in range(GROUP)]

    def payloads(self, group: int, round_: int) -> list[dict[str, int]]:
        return [{"group": group, "round": round_}] * GROUP

    def guard(self, work: Callable[[random.Random], None], seed: int) -> threading.Thread:
        def run() -> None:
            rng = random.Random(seed)
            try:
                while not self.stop.is_set():
                    work(rng)
            except BaseException as error:
                self.errors.append(error)
                self.stop.set()

        return threading.Thread(target=run)

    # -- writing: group g belongs to writer g % WRITERS, so that a round has one author

    def write(self, rng: random.Random, writer: int) -> None:
        group = rng.randrange(GROUPS // WRITERS) * WRITERS + writer
        round_ = self.begun[group] = self.begun[group] + 1
        ids, payloads = self.ids(group), self.payloads(group, round_)
        order = list(range(GROUP))
        rng.shuffle(order)
        shuffled = [ids[i] for i in order]
        kind = rng.randrange(4)
        vectors = {"": gaussian(GROUP, seed=round_)[order], "image": gaussian(GROUP, 3, seed=round_)[order]}
        batch: list[Any]
        if kind == 0:
            batch = [update(shuffled, payloads=payloads)]
        elif kind == 1:
            batch = [update(shuffled, vectors, payloads)]
        elif kind == 2:
            batch = [upsert(shuffled, vectors, payloads)]
        else:
            batch = [delete(ids[:3]), upsert(shuffled, vectors, payloads)]
        assert self.c.write(*batch).count == (GROUP + 3 if kind == 3 else GROUP)
        self.acknowledged[group] = round_
        self.rounds += 1
        # Read your writes.
        assert {point.payload["round"] for point in self.c.get(*ids)} == {round_}

    # -- reading

    def judge(self, points: list[Point], least: dict[int, int], whole: bool = True) -> None:
        """Every group entire, of one round, and not of one before the last that was acknowledged at the start."""
        found: dict[int, list[Point]] = defaultdict(list)
        for point in points:
            assert point.payload is not None
            found[point.payload["group"]].append(point)
        if whole:
            assert sorted(found) == list(range(GROUPS))
        for group, members in found.items():
            rounds = {point.payload["round"] for point in members if point.payload}
            assert len({point.version for point in members}) == 1
            assert len(rounds) == 1
            assert least[group] <= rounds.pop() <= self.begun[group]
            if whole:
                assert sorted(point.id for point in members) == self.ids(group)

    def read(self, rng: random.Random) -> None:
        self.reads += 1
        c, least = self.c, dict(self.acknowledged)
        kind = rng.randrange(8)
        using = rng.choice(["", "image"])
        query = np.array([rng.gauss(0, 1) for _ in range(3 if using else 4)], dtype=np.float32)
        total = GROUP * GROUPS
        if kind == 0:
            assert c.count() == total
        elif kind == 1:
            answer = c.answer(query, using=using, limit=1000, exact=rng.random() < 0.5, select=ALL)
            assert answer.counts.tolist() == [total]
            assert list(answer.scores) == sorted(answer.scores, reverse=True)
            self.judge(points_in(answer.points), least)
        elif kind == 2:
            answer = c.answer([query] * 3, using=using, limit=7, offset=rng.randrange(30), select=ALL)
            assert answer.counts.tolist() == [7, 7, 7]
            self.judge(points_in(answer.points), least, whole=False)
        elif kind == 3:
            group = rng.randrange(GROUPS)
            points = c.get(*self.ids(group))
            assert len(points) == GROUP
            assert {point.payload["group"] for point in points if point.payload} == {group}
            self.judge(points, least, whole=False)
        elif kind == 4:
            assert all(c.exists(*self.ids(rng.randrange(GROUPS))))
        elif kind == 5:
            self.judge(c.scroll(page=1000), least)
        elif kind == 6:
            group = rng.randrange(GROUPS)
            tenant = Handle(c.db, scope=(F("group") == group))
            assert tenant.count() == GROUP
            answer = tenant.answer(query, using=using, limit=100)
            assert sorted(answer.points.ids) == self.ids(group)
        else:
            assert c.stats().live == total

    def care(self, rng: random.Random) -> None:
        kind = rng.randrange(12)
        if kind == 0:
            self.c.compact()
        elif kind == 1:
            self.c.cover()
        elif kind == 2:
            self.c.db.wait_indexed(CallContext(), "c")
        elif kind == 3:
            assert self.c.db.check(CallContext()) == []
        else:
            self.c.db.maintain()


def run(open_db: Opener, seconds: float, **options: Any) -> Story:
    """Several writers, readers and one who maintains, for some time or until one of them complains."""
    db = open_db(growing_rows=40, **options)
    c = make(db, Schema({"": VectorField(4), "image": VectorField(3, "dot")}))
    story = Story(c)
    for group in range(GROUPS):
        vectors = {"": gaussian(GROUP), "image": gaussian(GROUP, 3)}
        c.upsert(story.ids(group), vectors, story.payloads(group, 0))
    threads = [story.guard(lambda rng, w=w: story.write(rng, w), w) for w in range(WRITERS)]
    threads += [story.guard(story.read, 100 + r) for r in range(READERS)]
    threads.append(story.guard(story.care, 200))
    for thread in threads:
        thread.start()
    story.stop.wait(seconds)
    story.stop.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    if story.errors:
        raise story.errors[0]
    assert db.check(CallContext()) == []
    assert len(c.search(gaussian(1), limit=1000)) == c.count() == GROUP * GROUPS
    return story


@pytest.mark.parametrize("options", [{}, {"use_graphs": False}, {"background": True}], ids=["", "exact", "background"])
def test_for_a_moment(open_db: Opener, options: dict[str, Any]) -> None:
    story = run(open_db, 1.5, kv=MemoryKV(), **options)
    assert story.rounds > 10
    assert story.reads > 10


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("background", [True, False])
def test_for_a_minute(open_db: Opener, bounded: Callable[[int], int], background: bool) -> None:
    story = run(open_db, bounded(60), background=background)
    wanted = {group: story.acknowledged[group] for group in range(GROUPS)}
    story.c.db.close()
    c = Handle(open_db())
    points = c.scroll()
    assert len(points) == GROUP * GROUPS
    for point in points:
        assert point.payload["round"] == wanted[point.payload["group"]]


def test_readers_of_one_view_agree_while_it_is_written_to(open_db: Opener) -> None:
    """The same question at the same view has the same answer, in any thread, at any time."""
    db = open_db(kv=MemoryKV())
    c = make(db)
    ids = [f"{i:03d}" for i in range(60)]
    c.upsert(ids, gaussian(60), [{"n": 0}] * 60)
    pinned = [c.look()]
    queries = gaussian(5, seed=3)
    wanted = c.answer_at(pinned[0], queries, limit=100, exact=True)
    errors: list[BaseException] = []
    stop = threading.Event()

    def read() -> None:
        try:
            while not stop.is_set():
                for exact in (True, False):
                    answer = c.answer_at(pinned[0], queries, limit=100, exact=exact, select=Select(vectors=True))
                    assert answer.points.ids == wanted.points.ids
                    assert answer.scores.tolist() == wanted.scores.tolist()
                    assert set(answer.points.payloads or ()) == {b'{"n":0}'}
                assert c.ids_at(pinned[0]) == ids
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    ends = time.monotonic() + 20
    for n in range(1, 60):
        c.update(ids[n:], payloads=[{"n": n}] * (60 - n))
        c.update(ids[: n // 2], gaussian(n // 2, seed=n))
        c.delete(ids[n - 1])
        if n % 3 == 0:
            c.upsert(ids[:5], gaussian(5, seed=n))
        if n % 7 == 0:
            c.seal()
        if errors or time.monotonic() > ends:
            break
    stop.set()
    for thread in threads:
        thread.join(60)
    assert errors == []
    pinned.clear()
    c.cover()
    assert not c.inner.garbage
