"""The oracle accepts what may be, and notices each thing that may not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.crash.oracle import Oracle, State, apply
from tests.crash.record import FLEETING, Op, Write, point_id

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
        return apply(self.state, write, self.seq)[0]

    def answer(self, write: Write, count: int, seq: int | None = None) -> None:
        self.oracle.take({"e": "write!", "w": write.number, "seq": seq or self.seq, "count": count})

    def done(self, *ops: Op, durable: bool = True) -> Write:
        write = self.submit(*ops, durable=durable)
        self.answer(write, self.carry_out(write))
        return write

    def report(self) -> Report:
        points = {name: point.shown() for name, point in self.state.items() if not point.ghost}
        return {"problems": [], "collections": {"c": {"seq": self.seq, "points": copy.deepcopy(points)}}}

    def problems(self, report: Report | None = None) -> list[str]:
        return self.oracle.judge(report or self.report()).problems


def upsert(*ids: int, gives: str = "vsptnw") -> Op:
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
    shown["points"][point_id(1)][2][""] = shown["points"][point_id(4)][2][""]


def _lose_a_title(shown: Report) -> None:
    del shown["points"][point_id(1)][2]["title"]


def _mix_weights(shown: Report) -> None:
    shown["points"][point_id(1)][4] = shown["points"][point_id(4)][4]


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
        _lose_a_title,
        _mix_weights,
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
            report["collections"]["c"]["points"][name] = copy.deepcopy(point.shown({field: field for field in fields}))
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
    wrong.answer(first, apply(wrong.state, first, 3)[0], seq=3)
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
    report = story.report()
    nothing: Report = {"problems": [], "collections": {}}
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


def test_an_earlier_write_is_not_lost_where_a_later_sync_was_acknowledged(story: Story) -> None:
    """A sync is of everything written before it, whatever that asked for."""
    before = story.report()
    story.done(upsert(7), durable=False)
    assert copy.deepcopy(story).problems(before) == []
    story.oracle.take({"e": "create?", "c": "other"})
    other = Write(99, "other", (upsert(1),), True)
    for event in (other.event(), {"e": "write!", "w": 99, "seq": 1, "count": 1}):
        story.oracle.take(event)
    assert [problem for problem in story.problems(before) if "write 5 was acknowledged" in problem]


CONDITIONS = [("absent",), ("exists",), ("version", 2), ("version", 0), ("row", 0), ("row", 9)]


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
@pytest.mark.parametrize("point", [1, 2])
def test_a_condition_is_judged(story: Story, condition: tuple[Any, ...], point: int) -> None:
    """Point 1 is there, of version 2 with row 0; point 2 is not."""
    holds = condition in ([("exists",), ("version", 2), ("row", 0)] if point == 1 else [("absent",), ("version", 0)])
    write = story.submit(Op("upsert", (point,), "vp", condition=condition))
    refused, carried_out = copy.deepcopy(story), copy.deepcopy(story)
    refused.oracle.take({"e": "write-", "w": write.number, "reason": "CONDITION_FAILED"})
    assert (refused.problems() == []) == (not holds)
    carried_out.carry_out(Write(write.number, "c", (upsert(point, gives="vp"),), True))
    carried_out.answer(write, 1)
    assert (carried_out.problems() == []) == holds
    in_flight = story.oracle.judge(story.report())
    assert (in_flight.problems, in_flight.found) == ([], 0)


def test_a_refusal_may_be_of_any_state_there_was_meanwhile(story: Story) -> None:
    story.done(upsert(7))
    absent = story.submit(Op("insert", (8,), "v"))
    story.done(upsert(8))
    story.done(Op("delete", (8,)))
    story.oracle.take({"e": "write-", "w": absent.number, "reason": "POINT_EXISTS"})
    assert story.problems() == []


def test_an_insert_takes_no_place_of_another(story: Story) -> None:
    write = story.submit(Op("insert", (1,), "v"))
    story.carry_out(Write(write.number, "c", (upsert(1, gives="v"),), True))
    story.answer(write, 1)
    assert story.problems() != []


def ask(story: Story, question: list[Any], between: Any = lambda: None) -> Any:
    """A function that takes the answer."""
    story.oracle.take({"e": "read?", "r": 1, "c": "c"})
    between()
    return lambda got: story.oracle.take({"e": "read!", "r": 1, "ask": question, "got": got})


@pytest.mark.parametrize(("got", "right"), [(4, False), (5, True), (6, True), (7, True), (8, False)])
def test_an_answer_is_of_a_state_between_question_and_answer(story: Story, got: int, right: bool) -> None:
    answer = ask(story, ["count"], lambda: (story.done(upsert(7)), story.done(upsert(8))))
    answer(got)
    story.done(upsert(9))
    assert (story.problems() == []) == right


def test_an_answer_that_nobody_could_have_yet_is_noticed(story: Story) -> None:
    write = story.submit(upsert(7))
    ask(story, ["count"])(6)  # it may be seen before it is acknowledged
    story.carry_out(write)
    assert copy.deepcopy(story).problems() == []
    ask(story, ["count"])(5)  # and not be there any more
    story.answer(write, 1)
    ask(story, ["count"])(5)
    assert [told for told in story.problems() if "as no state was" in told]


def test_answers_are_judged_with_their_versions(story: Story) -> None:
    held = story.report()["collections"]["c"]["points"]
    right = {point_id(n): held[point_id(n)] for n in (1, 3)}
    ask(story, ["get", 3, 1, 2])({point_id(3): right[point_id(3)], point_id(1): right[point_id(1)]})
    assert copy.deepcopy(story).problems() == []
    old = copy.deepcopy(right)
    old[point_id(1)][0] = 1
    ask(story, ["get", 1, 3])(old)
    assert story.problems() != []


def test_what_expired_is_gone_and_leaves_numbers_to_its_sweep(story: Story) -> None:
    story.done(Op("upsert", (1, 7), "vp", ttl_ms=FLEETING))
    assert copy.deepcopy(story).problems() == []
    for count in (0, 1, 2):
        met = copy.deepcopy(story)
        write = met.submit(Op("delete", (1, 7)))
        met.carry_out(write)
        met.answer(write, count)
        assert met.problems() == []
    story.seq += 1  # a sweep
    shown = story.report()
    assert copy.deepcopy(story).problems() == []
    shown["collections"]["c"]["points"][point_id(1)] = [5, None, {}, {}, None]
    assert story.problems(shown) != []


def test_a_setting_stays_as_it_was_acknowledged(story: Story) -> None:
    def shown(mode: str) -> Report:
        report = story.report()
        report["collections"]["c"]["settings"] = {"indexing": mode}
        return report

    change = {"c": "c", "k": "indexing", "v": "deferred"}
    story.oracle.take({"e": "set?", **change})
    for mode in ("auto", "deferred"):
        assert copy.deepcopy(story).problems(shown(mode)) == []
    story.oracle.take({"e": "set!", **change})
    assert copy.deepcopy(story).problems(shown("deferred")) == []
    assert story.problems(shown("auto")) == ["c: indexing is 'auto', expected 'deferred'"]


def test_a_renamed_collection_is_there_by_one_name(story: Story) -> None:
    def shown(*names: str) -> Report:
        held = story.report()["collections"]["c"]
        return {"problems": [], "collections": {name: {**held, "settings": {"name": name}} for name in names}}

    change = {"c": "c", "k": "name", "v": "c.9"}
    story.oracle.take({"e": "set?", **change})
    for name in ("c", "c.9"):
        assert copy.deepcopy(story).problems(shown(name)) == []
    assert copy.deepcopy(story).problems(shown("c", "c.9")) != []
    assert copy.deepcopy(story).problems(shown()) == ["c: the collection is gone"]
    story.oracle.take({"e": "set!", **change})
    assert copy.deepcopy(story).problems(shown("c")) == ["c: the collection is gone", "c: nobody created it"]
    assert story.problems(shown("c.9")) == []


def test_a_renamed_field_keeps_its_vectors(story: Story) -> None:
    for kind in ("add?", "add!"):
        story.oracle.take({"e": kind, "c": "c", "f": "extra-1"})
    story.done(Op("update", (1,), "x", "extra-1"))
    for kind in ("move?", "move!"):
        story.oracle.take({"e": kind, "c": "c", "f": "extra-1", "to": "extra-2"})
    write = story.submit(Op("update", (3,), "x", "extra-2"))
    story.answer(write, story.carry_out(Write(write.number, "c", (Op("update", (3,), "x", "extra-1"),), True)))
    report = story.report()
    report["collections"]["c"]["fields"] = ["extra-2"]
    for name, point in story.state.items():
        report["collections"]["c"]["points"][name] = point.shown({"extra-1": "extra-2"})
    assert copy.deepcopy(story).problems(report) == []
    del report["collections"]["c"]["points"][point_id(3)][3]["extra-2"]
    assert story.problems(report) != []


@pytest.mark.parametrize(("point", "phantoms", "resurrected"), [(2, 0, 1), (42, 1, 0)])
def test_phantoms_and_the_resurrected_are_told_apart(story: Story, point: int, phantoms: int, resurrected: int) -> None:
    report = story.report()
    report["collections"]["c"]["points"][point_id(point)] = [1, None, {}, {}, None]
    verdict = story.oracle.judge(report)
    assert (verdict.phantoms, verdict.resurrected) == (phantoms, resurrected)
    assert verdict.problems


def test_a_copy_is_what_was_there_when_it_was_made(story: Story) -> None:
    then = copy.deepcopy(story.report()["collections"]["c"])
    event = {"c": "copy", "of": "c", "seq": story.seq}
    story.oracle.take({"e": "restore?", **event})
    story.done(upsert(8))
    without = story.report()
    assert copy.deepcopy(story).problems(without) == []
    story.oracle.take({"e": "restore!", **event})
    assert copy.deepcopy(story).problems(without) == ["copy: the collection is gone"]
    with_it, wrong = copy.deepcopy(without), copy.deepcopy(without)
    with_it["collections"]["copy"] = then
    wrong["collections"]["copy"] = copy.deepcopy(without["collections"]["c"])
    assert copy.deepcopy(story).problems(with_it) == []
    assert copy.deepcopy(story).problems(wrong) != []
    _age(with_it["collections"]["copy"])
    assert story.problems(with_it) != []
