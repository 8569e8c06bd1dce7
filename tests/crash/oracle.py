"""Decides, from what was submitted and acknowledged, whether what a database shows after a fault is right.

Every acknowledgement carries a sequence number, and every write that changes something has one of its own, so
the acknowledged writes of a collection stand in a known order. After a fault the collection says which number
it has reached. Numbers below it that nobody was told of must belong to writes in flight when the fault came:
each way of giving them to those writes is tried, and for one of them the whole state must be exactly what the
operations, carried out in that order, lead to. That one comparison holds all of it: nothing acknowledged is
missing, nothing is there that nobody wrote, each batch is there entirely or not at all, nothing deleted came
back, and vector, payload, text and version of a point belong together.

Order in time is checked too: a write submitted after another was acknowledged has the higher number.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.crash.record import (
    FIELDS,
    PAYLOAD,
    TEXT,
    Op,
    Source,
    Write,
    payload,
    point_id,
    text,
    vector,
)

MOST_PLACINGS = 5_000


@dataclass(frozen=True, slots=True)
class Point:
    """One point as it should be: its version, and where each of its values comes from."""

    version: int
    payload: Source | None
    text: Source | None
    vectors: Mapping[str, Source]

    @property
    def row(self) -> int | None:
        """The row that its payload speaks of."""
        return None if self.payload is None else self.payload.i

    def shown(self, extra: Collection[str] = ()) -> list[Any]:
        """As a report shows it: a field that comes and goes only if it is one of ``extra``."""
        there = {field: source for field, source in self.vectors.items() if field in FIELDS or field in extra}
        vectors = {field: vector(source, field).tobytes().hex() for field, source in there.items()}
        return [
            self.version,
            None if self.payload is None else payload(self.payload).decode(),
            None if self.text is None else text(self.text),
            vectors,
        ]


State = dict[str, Point]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A write and what was answered. ``submitted``, ``answered``: places in the order of events."""

    write: Write
    submitted: int
    answered: int
    seq: int
    count: int


@dataclass(slots=True)
class History:
    """One name: what was there at the last judgement, and what was done since.

    ``stage``: absent, creating, here or dropping; only "creating" and "dropping" leave both outcomes open.
    """

    stage: str = "absent"
    base: State = field(default_factory=dict)
    base_seq: int = 0
    acknowledged: list[Acknowledged] = field(default_factory=list)
    pending: dict[int, tuple[Write, int]] = field(default_factory=dict)  # by number, with its place in the order
    fields: dict[str, str] = field(default_factory=dict)  # those that come and go, with a stage as above

    def begin(self) -> None:
        """A collection of this name is made anew."""
        self.stage, self.base, self.base_seq = "creating", {}, 0
        self.fields.clear()
        self.acknowledged.clear()
        self.pending.clear()


@dataclass(slots=True)
class Verdict:
    """What a report showed. ``found`` of the writes ``in_flight`` were there; ``lost`` counts acknowledged writes
    that are missing, which is a problem only for those that had asked for fsync.
    """

    problems: list[str] = field(default_factory=list)
    in_flight: int = 0
    found: int = 0
    lost: int = 0
    points: int = 0
    placed: dict[int, set[int | None]] = field(default_factory=dict)
    """The sequence numbers that writes in flight may have got; None among them: or it is not there. Deletes that leave
    no trace could have come in any order, and of two alike either could be the one that did something.
    """
    again: list[Write] = field(default_factory=list)
    """The writes in flight: who sent them got no answer and would send them again."""


class Oracle:
    """Follows the events of one data directory through any number of faults."""

    def __init__(self) -> None:
        self._histories: dict[str, History] = {}
        self._of_write: dict[int, History] = {}
        self._clock = 0

    def take(self, event: Mapping[str, Any]) -> None:
        """Note one event, in the order in which they came."""
        self._clock += 1
        kind = event["e"]
        if kind == "write?":
            write = Write.of(dict(event))
            history = self._histories[write.collection]
            self._of_write[write.number] = history
            history.pending[write.number] = (write, self._clock)
        elif kind in ("write!", "write-"):
            history = self._of_write.pop(event["w"])
            write, submitted = history.pending.pop(event["w"])
            if kind == "write!":
                answer = Acknowledged(write, submitted, self._clock, event["seq"], event["count"])
                history.acknowledged.append(answer)
        elif kind == "create?":
            self._histories.setdefault(event["c"], History()).begin()
        elif kind in ("create!", "drop?", "drop!"):
            stage = {"create!": "here", "drop?": "dropping", "drop!": "absent"}[kind]
            self._histories[event["c"]].stage = stage
        elif kind in ("add?", "add!", "shed?", "shed!"):
            stage = {"add?": "creating", "add!": "here", "shed?": "dropping", "shed!": "absent"}[kind]
            self._histories[event["c"]].fields[event["f"]] = stage

    def judge(self, report: Mapping[str, Any], going_on: bool = False) -> Verdict:
        """Compare with what a database shows, and take that as the state from which everything follows.

        ``going_on``: the process that wrote is still there, so what is in flight may yet be found: only compare.
        """
        if going_on:
            return copy.deepcopy(self).judge(report)
        verdict = Verdict(problems=list(report["problems"]))
        shown = report["collections"]
        for name in sorted(shown.keys() - self._histories.keys()):
            verdict.problems.append(f"{name}: nobody created it")
        for name, history in self._histories.items():
            there = shown.get(name)
            if there is None:
                if history.stage == "here":
                    verdict.problems.append(f"{name}: the collection is gone")
                history.stage = "absent"
                self._forget(history, {}, 0)
                continue
            if history.stage == "absent":
                verdict.problems.append(f"{name}: the collection was dropped and is there again")
                continue
            history.stage = "here"
            self._judge_one(name, history, there, verdict)
        return verdict

    def _judge_one(self, name: str, history: History, shown: Mapping[str, Any], verdict: Verdict) -> None:
        seq, points, fields = shown["seq"], shown["points"], shown.get("fields", ())
        verdict.in_flight += len(history.pending)
        verdict.again += [write for write, _ in history.pending.values()]
        verdict.points += len(points)
        problems = [*_out_of_order(history), *_fields(history, fields)]
        kept = [a for a in history.acknowledged if a.seq <= seq]
        lost = [a for a in history.acknowledged if a.seq > seq]
        verdict.lost += len(lost)
        problems += [
            f"write {a.write.number} was acknowledged as {a.seq} and is lost, {seq} was reached"
            for a in lost
            if a.write.durable
        ]
        state: State | None = None
        if seq < history.base_seq:
            problems.append(f"what was seen after the last fault is lost: {history.base_seq}, now {seq}")
        else:
            state, found, told = _explain(history, kept, seq, points, fields)
            problems += told
            verdict.found += max(map(len, found), default=0)
            for number in history.pending:
                numbers = {placing.get(number) for placing in found}
                if numbers - {None}:
                    verdict.placed[number] = numbers
        verdict.problems += [f"{name}: {problem}" for problem in problems]
        self._forget(history, state or {}, seq)

    def _forget(self, history: History, base: State, seq: int) -> None:
        for number in history.pending:
            self._of_write.pop(number, None)
        history.acknowledged.clear()
        history.pending.clear()
        history.base, history.base_seq = base, seq


def _out_of_order(history: History) -> Iterable[str]:
    """Acknowledgements whose number is below that of one that was answered before they were submitted."""
    moments = [(a.answered, a, True) for a in history.acknowledged]
    moments += [(a.submitted, a, False) for a in history.acknowledged]
    highest = history.base_seq
    for _, answer, ended in sorted(moments, key=lambda moment: moment[0]):
        if ended:
            highest = max(highest, answer.seq)
        elif answer.seq < highest or (answer.count and answer.seq == highest):
            yield f"write {answer.write.number} got {answer.seq}; {highest} was answered before it was submitted"
    numbers = [a.seq for a in history.acknowledged if a.count]
    if len(set(numbers)) != len(numbers):
        yield "two writes were acknowledged under one number"


def _fields(history: History, shown: Collection[str]) -> Iterable[str]:
    """What is wrong with the fields that come and go; those that are shown are here from now on, the others absent."""
    yield from (f"nobody added the field {name}" for name in sorted(set(shown) - history.fields.keys()))
    for name, stage in history.fields.items():
        if stage == "here" and name not in shown:
            yield f"the field {name} is gone"
        if stage == "absent" and name in shown:
            yield f"the field {name} was dropped and is there again"
        history.fields[name] = "here" if name in shown else "absent"


def _explain(
    history: History,
    kept: Sequence[Acknowledged],
    seq: int,
    points: Mapping[str, Any],
    fields: Collection[str],
) -> tuple[State | None, list[dict[int, int]], list[str]]:
    """(state, every way of numbering the writes in flight that leads to ``points``, problems): None when none does."""
    by_seq: dict[int, list[Acknowledged]] = {}
    for answer in kept:
        by_seq.setdefault(answer.seq, []).append(answer)
    known = {a.seq for a in kept if a.count}
    missing = [s for s in range(history.base_seq + 1, seq + 1) if s not in known]
    if len(missing) > len(history.pending):
        told = f"{seq} was reached, and {len(missing)} writes below it are nobody's ({missing[:5]})"
        return None, [], [f"{told}, with {len(history.pending)} in flight"]
    first = missing[0] if missing else seq + 1
    state = dict(history.base)
    problem = _replay(state, by_seq, {}, range(history.base_seq, first))
    if problem:
        return None, [], [problem]
    explained: State | None = None
    fits: list[dict[int, int]] = []
    nearest: list[str] = []
    for placing in itertools.islice(_placings(history, kept, missing), MOST_PLACINGS):
        after = dict(state)
        problem = _replay(after, by_seq, placing, range(first, seq + 1))
        if problem is None and (nearest == [] or _versions(after, points)):
            different = list(_differences(after, points, fields))
            if not different:
                explained = after
                fits.append({write.number: s for s, write in placing.items()})
                continue
            nearest = different
        nearest = nearest or [problem or ""]
    if fits:
        return explained, fits, []
    return None, [], nearest[:10] or ["no order of the writes in flight fits the time they were submitted"]


def _placings(history: History, kept: Sequence[Acknowledged], missing: Sequence[int]) -> Iterable[dict[int, Write]]:
    """Every way of giving the missing numbers to writes in flight that time allows."""
    earliest = {
        number: 1 + max((a.seq for a in kept if a.answered < submitted), default=history.base_seq)
        for number, (_, submitted) in history.pending.items()
    }
    for numbers in itertools.permutations(history.pending, len(missing)):
        if all(earliest[number] <= s for number, s in zip(numbers, missing, strict=True)):
            yield {s: history.pending[number][0] for number, s in zip(numbers, missing, strict=True)}


def _replay(
    state: State, by_seq: Mapping[int, Sequence[Acknowledged]], placing: Mapping[int, Write], seqs: Iterable[int]
) -> str | None:
    """Carry out writes in order on ``state``; what does not fit the answers that were given, or None."""
    for seq in seqs:
        answers = sorted(by_seq.get(seq, ()), key=lambda a: not a.count)  # what changed something comes first
        placed = placing.get(seq)
        if placed is not None and not apply(state, placed, seq):
            return f"write {placed.number} cannot be {seq}: it changes nothing"
        for answer in answers:
            count = apply(state, answer.write, seq)
            if count != answer.count:
                return f"write {answer.write.number} at {seq} was answered {answer.count}, expected {count}"
    return None


def apply(state: State, write: Write, seq: int) -> int:
    """Carry out one batch on ``state``; how many points it wrote and deleted."""
    count = 0
    for k, op in enumerate(write.ops):
        if op.kind == "clear":
            count += len(state)
            state.clear()
        elif op.kind == "delete_where":
            gone = [name for name, point in state.items() if point.row == op.ids[0]]
            for name in gone:
                del state[name]
            count += len(gone)
        elif op.kind == "update_where":
            for name, point in state.items():
                if point.row == op.ids[0]:
                    state[name] = replace(point, version=seq, payload=Source(write.number, k, op.ids[0]))
                    count += 1
        elif op.kind == "delete":
            for number in op.ids:
                count += state.pop(point_id(number), None) is not None
        else:
            count += _put(state, write.number, k, op, seq)
    return count


def _put(state: State, number_of_write: int, k: int, op: Op, seq: int) -> int:
    touched = set()
    with_vector = op.vectors()
    for i, number in enumerate(op.ids):
        name, source = point_id(number), Source(number_of_write, k, i)
        before = state.get(name)
        if op.kind == "update" and before is None:
            continue
        vectors = {field: source for field, given in with_vector.items() if i in given}
        new_payload = source if PAYLOAD in op.gives else None
        new_text = source if TEXT in op.gives else None
        if op.kind == "update" and before is not None:
            vectors = {**before.vectors, **vectors}
            new_payload = new_payload or before.payload
            new_text = new_text or before.text
        state[name] = Point(seq, new_payload, new_text, vectors)
        touched.add(name)
    return len(touched)


def _versions(state: State, points: Mapping[str, Any]) -> bool:
    """Whether ids and versions agree: a quick look, before everything is compared."""
    return {name: point.version for name, point in state.items()} == {name: shown[0] for name, shown in points.items()}


def _differences(state: State, points: Mapping[str, Any], fields: Collection[str]) -> Iterable[str]:
    """What a report shows otherwise than ``state``."""
    for name in state.keys() - points.keys():
        yield f"{name} of version {state[name].version} is missing"
    for name in points.keys() - state.keys():
        yield f"{name} of version {points[name][0]} is there, and should not be"
    for name, point in state.items():
        there = points.get(name)
        if there is None:
            continue
        wanted = point.shown(fields)
        if wanted != there:
            parts = [
                part
                for part, a, b in zip(("version", "payload", "text", "vectors"), wanted, there, strict=True)
                if a != b
            ]
            yield f"{name}: {', '.join(parts)} of version {there[0]} are not what was written as {wanted[0]}"
