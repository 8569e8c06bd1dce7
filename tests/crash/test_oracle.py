"""The oracle accepts what may be, and notices each thing that may not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.crash.oracle import Oracle, State, apply
from tests.crash.record import Op, Write, point_id

Report = dict[str, Any]


class Story:
    """Events of one collection, and what a database that did everything right would show."""

    def __init__(self) -> None:
        self.oracle = Oracle()
        self.state: State = {}
        self.seq = 0
        self._number = 0
        self._say("create?", "create!")

    def _say(self, *kinds: str) -> None:
        for kind in kinds:
            self.oracle.take({"e": kind, "c": "c"})

    def drop(self, answered: bool) -> None:
        self._say("drop?", *["drop!"] * answered)

    def submit(self, *ops: Op, durable: bool = True) -> Write:
        self._number += 1
        write = Write(self._number, "c", ops, durable)
        self.oracle.take(write.event())
        return write

    def carry_out(self, write: Write) -> int:
        self.seq += 1
        return apply(self.state, write, self.seq)

    def answer(self, write: Write, count: int, seq: int | None = None) -> None:
        self.oracle.take({"e": "write!", "w": write.number, "seq": seq or self.seq, "count": count})

    def done(self, *ops: Op, durable: bool = True) -> Write:
        write = self.submit(*ops, durable=durable)
        self.answer(write, self.carry_out(write))
        return write

    def report(self) -> Report:
        points = {name: point.shown() for name, point in self.state.items()}
        return {"problems": [], "collections": {"c": {"seq": self.seq, "points": copy.deepcopy(points)}}}

    def problems(self, report: Report | None = None) -> list[str]:
        return self.oracle.judge(report or self.report()).problems


def upsert(*ids: int, gives: str = "vspt") -> Op:
    return Op("upsert", ids, gives)


@pytest.fixture
def story() -> Story:
    """Some writes of every kind, all answered."""
    made = Story()
    made.done(upsert(1, 2, 3, 4))
    made.done(Op("update", (1, 9), "p"), Op("delete", (2,)))
    made.done(upsert(5, 6, 5, gives="hp"))
    made.done(Op("update", (3, 5), "v"))
    return made


def test_what_was_done_is_right(story: Story) -> None:
    assert story.problems() == []
    story.done(Op("clear"), upsert(7))
    assert story.problems() == []


def _lose_a_point(shown: Report) -> None:
    del shown["points"][point_id(4)]


def _bring_one_back(shown: Report) -> None:
    shown["points"][point_id(2)] = [1, None, None, {}]


def _age(shown: Report) -> None:
    shown["points"][point_id(1)][0] = 1


def _mix_payloads(shown: Report) -> None:
    shown["points"][point_id(1)][1] = shown["points"][point_id(4)][1]


def _mix_texts(shown: Report) -> None:
    shown["points"][point_id(1)][2] = shown["points"][point_id(4)][2]


def _mix_vectors(shown: Report) -> None:
    shown["points"][point_id(1)][3][""] = shown["points"][point_id(4)][3][""]


def _lose_a_vector(shown: Report) -> None:
    del shown["points"][point_id(1)][3]["side"]


def _go_back(shown: Report) -> None:
    shown["seq"] -= 1


def _go_on(shown: Report) -> None:
    shown["seq"] += 1


@pytest.mark.parametrize(
    "harm",
    [
        _lose_a_point,
        _bring_one_back,
        _age,
        _mix_payloads,
        _mix_texts,
        _mix_vectors,
        _lose_a_vector,
        _go_back,
        _go_on,
    ],
)
def test_every_harm_is_noticed(story: Story, harm: Callable[[Report], None]) -> None:
    report = story.report()
    harm(report["collections"]["c"])
    assert story.problems(report) != []


def test_a_write_in_flight_may_be_there_or_not_but_not_half(story: Story) -> None:
    before = story.report()
    write = story.submit(upsert(4, 8), Op("delete", (1,)))
    story.carry_out(write)
    after = story.report()
    for absent in ([point_id(4), point_id(8)], [point_id(1)]):
        half = copy.deepcopy(after)
        for name in absent:
            half["collections"]["c"]["points"][name] = before["collections"]["c"]["points"].get(name)
            if half["collections"]["c"]["points"][name] is None:
                del half["collections"]["c"]["points"][name]
        assert copy.deepcopy(story.oracle).judge(half).problems != []
    for whole, found in ((before, 0), (after, 1)):
        verdict = copy.deepcopy(story.oracle).judge(whole)
        assert (verdict.problems, verdict.in_flight, verdict.found) == ([], 1, found)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0), (1,), (2, 0, 1), ()])
def test_writes_in_flight_may_come_in_any_order(story: Story, order: tuple[int, ...]) -> None:
    writes = [story.submit(upsert(1, 2)), story.submit(Op("update", (1,), "v")), story.submit(Op("delete", (1, 3)))]
    for i in order:
        story.carry_out(writes[i])
    verdict = story.oracle.judge(story.report())
    assert verdict.problems == []
    assert verdict.placed == {writes[i].number: {5 + n} for n, i in enumerate(order)}


def test_deletes_leave_no_trace_of_their_order(story: Story) -> None:
    writes = [story.submit(Op("delete", (1,))), story.submit(Op("delete_where", (1,)))]
    for write in reversed(writes):
        assert story.carry_out(write)
    verdict = story.oracle.judge(story.report())
    assert verdict.problems == []
    assert verdict.placed == {write.number: {5, 6} for write in writes}


def test_a_field_that_came_and_went(story: Story) -> None:
    def say(*kinds: str) -> None:
        for kind in kinds:
            story.oracle.take({"e": kind, "c": "c", "f": "extra-1"})

    def shown(*fields: str) -> Report:
        report = story.report()
        report["collections"]["c"]["fields"] = list(fields)
        for name, point in story.state.items():
            report["collections"]["c"]["points"][name] = copy.deepcopy(point.shown(fields))
        return report

    assert story.problems(shown("extra-1")) == ["c: nobody added the field extra-1"]
    say("add?")
    for fields in ((), ("extra-1",)):
        assert copy.deepcopy(story.oracle).judge(shown(*fields)).problems == []
    say("add!")
    assert copy.deepcopy(story.oracle).judge(shown()).problems == ["c: the field extra-1 is gone"]
    story.done(Op("update", (1, 2), "x", "extra-1"))
    assert copy.deepcopy(story.oracle).judge(shown("extra-1")).problems == []
    missing = shown("extra-1")
    del missing["collections"]["c"]["points"][point_id(1)][3]["extra-1"]
    assert copy.deepcopy(story.oracle).judge(missing).problems != []
    say("shed?")
    for fields in ((), ("extra-1",)):
        assert copy.deepcopy(story.oracle).judge(shown(*fields)).problems == []
    say("shed!")
    assert copy.deepcopy(story.oracle).judge(shown()).problems == []
    assert story.problems(shown("extra-1")) == ["c: the field extra-1 was dropped and is there again"]


def test_a_write_in_flight_is_not_older_than_what_was_answered_before_it(story: Story) -> None:
    late = story.submit(upsert(1))
    story.carry_out(late)
    early = story.submit(upsert(2))
    story.answer(early, story.carry_out(early))
    assert copy.deepcopy(story).problems() == []  # both were in flight: either order is right
    wrong = Story()
    wrong.done(upsert(3))
    first = wrong.submit(upsert(2))
    wrong.seq += 1
    wrong.answer(first, apply(wrong.state, first, 3), seq=3)
    last = wrong.submit(upsert(1))
    apply(wrong.state, last, 2)
    wrong.seq = 3
    assert wrong.problems() != []


def test_numbers_follow_time() -> None:
    story = Story()
    first, second = story.submit(upsert(1)), story.submit(upsert(2))
    for write in (second, first):
        story.carry_out(write)
    story.answer(second, 1, seq=1)
    story.answer(first, 1, seq=2)
    assert copy.deepcopy(story).problems() == []  # they overlapped
    third = story.submit(upsert(3))
    story.carry_out(third)
    story.answer(third, 1, seq=2)
    assert story.problems() != []


def test_an_answer_has_the_right_count(story: Story) -> None:
    write = story.submit(Op("delete", (1, 2)))
    story.carry_out(write)
    story.answer(write, 2)
    assert story.problems() != []


def test_a_write_that_changes_nothing_has_no_number_of_its_own(story: Story) -> None:
    for _ in range(2):
        story.answer(story.submit(Op("delete", (2, 99))), 0)
    assert story.problems() == []
    story.done(upsert(2))
    story.answer(story.submit(Op("delete", (99,))), 0)
    assert story.problems() == []


def test_only_what_asked_for_no_sync_may_be_lost(story: Story) -> None:
    before = story.report()
    story.done(upsert(7), durable=False)
    lost = copy.deepcopy(story.oracle).judge(before)
    assert (lost.problems, lost.lost) == ([], 1)
    story.done(upsert(8), durable=True)
    assert story.problems(before) != []


def test_a_dropped_collection_stays_dropped(story: Story) -> None:
    report, nothing = story.report(), {"problems": [], "collections": {}}
    assert copy.deepcopy(story).problems(nothing) != []
    story.drop(answered=False)
    assert copy.deepcopy(story).problems(nothing) == []
    assert copy.deepcopy(story).problems(report) == []
    story.drop(answered=True)
    assert copy.deepcopy(story).problems(nothing) == []
    assert story.problems(report) != []


def test_what_was_seen_once_stays(story: Story) -> None:
    write = story.submit(upsert(1))
    before = story.report()
    story.carry_out(write)
    assert story.problems() == []
    assert story.problems(before) != []


def test_nobody_but_the_workload_makes_collections(story: Story) -> None:
    report = story.report()
    report["collections"]["other"] = {"seq": 0, "points": {}}
    assert story.problems(report) != []
