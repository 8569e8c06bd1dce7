"""Decides, from what was submitted and acknowledged, whether what a database shows after a fault is right.

Every acknowledgement carries a sequence number, and every write that changes something has one of its own, so
the acknowledged writes of a collection stand in a known order. After a fault the collection says which number
it has reached. Numbers below it that nobody was told of must belong to writes in flight when the fault came:
each way of giving them to those writes is tried, and for one of them the whole state must be exactly what the
operations, carried out in that order, lead to. That one comparison holds all of it: nothing acknowledged is
missing, nothing is there that nobody wrote, each batch is there entirely or not at all, nothing deleted came
back, and vector, payload, text and version of a point belong together.

Order in time is checked too: a write submitted after another was acknowledged has the higher number. And so is what
was told while all went well: an answer to a reader is that of a state between its question and its answer, and a
write refused for a condition met a state in which the condition did not hold.

Points written to be gone at once (``FLEETING``) leave ghosts: nobody may see them, but whether a write that comes
after them still counted them nobody can know; nor when the engine sweeps them away, by writes of its own that take
numbers.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from tests.crash import reads
from tests.crash.record import (
    FIELDS,
    FLEETING,
    PAYLOAD,
    SPARSE,
    TEXTS,
    Op,
    Source,
    Write,
    first_settings,
    merged,
    payload,
    point_id,
    sparse,
    text,
    vector,
)

MOST_PLACINGS = 5_000
REFUSED = (-1, -1)
"""What ``apply`` says of a batch that the engine must refuse."""
CONDITIONAL = ("CONDITION_FAILED", "POINT_EXISTS")


@dataclass(frozen=True, slots=True)
class Point:
    """One point as it should be: its version, and where each of its values comes from; ``merged``: what was put into
    its payload. A ``ghost`` has expired, or will before anybody can look.
    """

    version: int
    payload: Source | None
    texts: Mapping[str, Source]
    vectors: Mapping[str, Source]
    sparse: Source | None = None
    merged: Source | None = None
    ghost: bool = False

    @property
    def row(self) -> int | None:
        """The row that its payload speaks of."""
        return None if self.payload is None else self.payload.i

    def shown(self, extra: Mapping[str, str] | None = None) -> list[Any]:
        """As a report shows it. ``extra``: the fields that come and go and are there, by the name they came with the
        one they have now.
        """
        called = {**dict.fromkeys(FIELDS), **(extra or {})}
        there = {field: source for field, source in self.vectors.items() if field in called}
        return [
            self.version,
            self._payload(),
            {field: text(source, field) for field, source in self.texts.items()},
            {called[field] or field: vector(source, field).tobytes().hex() for field, source in there.items()},
            None if self.sparse is None else {str(index): weight for index, weight in sparse(self.sparse).items()},
        ]

    def _payload(self) -> str | None:
        if self.merged is None:
            return None if self.payload is None else payload(self.payload).decode()
        old = {} if self.payload is None else orjson.loads(payload(self.payload))
        old.pop("pad", None)
        return orjson.dumps(old | merged(self.merged)).decode()


State = dict[str, Point]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A write and what was answered. ``submitted``, ``answered``: places in the order of events."""

    write: Write
    submitted: int
    answered: int
    seq: int
    count: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A write that was refused for a condition. ``low``: the highest number answered before it was submitted."""

    write: Write
    low: int
    answered: int

    def fits(self, state: State) -> bool:
        """Whether this state refuses it."""
        return any(point.ghost for point in state.values()) or apply(dict(state), self.write, 0) == REFUSED

    def __str__(self) -> str:
        return f"write {self.write.number}, {self.write.ops[0].condition or 'insert'}, was refused, and could be done"


@dataclass(frozen=True, slots=True)
class Read:
    """A question of a reader and its answer; ``low`` and ``answered`` as of a refused write."""

    collection: str
    question: Sequence[Any]
    got: Any
    low: int
    answered: int

    def fits(self, state: State) -> bool:
        """Whether this state gives that answer."""
        seen = {name: point for name, point in state.items() if not point.ghost}
        return reads.fits(self.question, self.got, reads.Seen(self.collection, seen))

    def __str__(self) -> str:
        return f"a reader asked {self.question} and was answered as no state was: {str(self.got)[:300]}"


@dataclass(frozen=True, slots=True)
class Copied:
    """Of which collection, in which making, as of which number."""

    of: History
    made: int
    seq: int


@dataclass(slots=True)
class History:
    """One name: what was there at the last judgement, and what was done since.

    ``stage``: absent, creating, here or dropping; only "creating" and "dropping" leave both outcomes open.
    """

    name: str = ""
    stage: str = "absent"
    base: State = field(default_factory=dict)
    base_seq: int = 0
    acknowledged: list[Acknowledged] = field(default_factory=list)
    pending: dict[int, tuple[Write, int]] = field(default_factory=dict)  # by number, with its place in the order
    told: list[Refused | Read] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)  # those that come and go, with a stage as above
    settings: dict[str, list[Any]] = field(default_factory=dict)  # the values that each may have
    first_names: dict[str, str] = field(default_factory=dict)  # of fields that were renamed
    made: int = 0  # how often it was
    copied: Copied | None = None
    fleeting: bool = False

    def begin_as_copy(self, of: History, seq: int) -> None:
        """It is made of an archive that holds what another had reached; that is known when that one is judged."""
        self.begin()
        self.copied = Copied(of, of.made, seq)
        self.first_names |= of.first_names
        self.fields |= of.fields
        self.settings = {**of.settings, "name": [self.name], "aliases": [[]]}

    def begin(self) -> None:
        """A collection of this name is made anew."""
        self.copied = None
        self.stage, self.base, self.base_seq, self.fleeting = "creating", {}, 0, False
        self.made += 1
        self.settings = {key: [value] for key, value in first_settings(self.name).items()}
        for held in (self.fields, self.first_names, self.acknowledged, self.pending, self.told):
            held.clear()

    @property
    def highest(self) -> int:
        """The highest number that anybody was told."""
        return max((a.seq for a in self.acknowledged), default=self.base_seq)

    def called(self, write: Write) -> Write:
        """The write with its field that comes and goes by the name that came first."""
        first = self.first_names
        return replace(write, ops=tuple(replace(op, extra=first.get(op.extra, op.extra)) for op in write.ops))


@dataclass(slots=True)
class Verdict:
    """What a report showed. ``found`` of the writes ``in_flight`` were there; ``lost`` counts acknowledged writes
    that are missing, which is a problem for those that had asked for fsync, and for those answered before somebody
    asked for it: a sync is of all that was written before. ``lost_bytes``: about what those stored. ``phantoms``:
    points and collections that nobody made; ``resurrected``: those that were deleted.
    """

    problems: list[str] = field(default_factory=list)
    in_flight: int = 0
    found: int = 0
    lost: int = 0
    lost_bytes: int = 0
    points: int = 0
    phantoms: int = 0
    resurrected: int = 0
    answers: int = 0
    """Answers to readers, and refusals, that were judged."""
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
        self._asked: dict[int, tuple[History, int, int]] = {}  # by number of the question: of which making, from where
        self._clock = 0
        self._synced = 0  # when the last write was asked for that was acknowledged as synced

    def take(self, event: Mapping[str, Any]) -> None:
        """Note one event, in the order in which they came."""
        self._clock += 1
        kind = event["e"]
        if kind == "write?":
            write = Write.of(dict(event))
            history = self._histories[write.collection]
            history.fleeting |= any(op.ttl_ms == FLEETING for op in write.ops)
            self._of_write[write.number] = history
            history.pending[write.number] = (history.called(write), self._clock)
        elif kind in ("write!", "write-"):
            history = self._of_write.pop(event["w"])
            write, submitted = history.pending.pop(event["w"])
            if kind == "write!":
                answer = Acknowledged(write, submitted, self._clock, event["seq"], event["count"])
                history.acknowledged.append(answer)
                if write.durable and answer.count:
                    self._synced = max(self._synced, submitted)
            elif event["reason"] in CONDITIONAL:
                low = max((a.seq for a in history.acknowledged if a.answered < submitted), default=history.base_seq)
                history.told.append(Refused(write, low, self._clock))
        elif kind == "read?":
            history = self._histories[event["c"]]
            self._asked[event["r"]] = (history, history.made, history.highest)
        elif kind == "read!":
            history, made, low = self._asked.pop(event["r"])
            if history.made == made:
                history.told.append(Read(history.name, event["ask"], event["got"], low, self._clock))
        elif kind == "restore?":
            copied = self._histories.setdefault(event["c"], History(event["c"]))
            copied.begin_as_copy(self._histories[event["of"]], event["seq"])
        elif kind == "restore!":
            self._histories[event["c"]].stage = "here"
        elif kind == "create?":
            self._histories.setdefault(event["c"], History(event["c"])).begin()
        elif kind in ("create!", "drop?", "drop!"):
            stage = {"create!": "here", "drop?": "dropping", "drop!": "absent"}[kind]
            self._histories[event["c"]].stage = stage
        elif kind in ("add?", "add!", "shed?", "shed!"):
            stage = {"add?": "creating", "add!": "here", "shed?": "dropping", "shed!": "absent"}[kind]
            self._histories[event["c"]].fields[event["f"]] = stage
        elif kind in ("move?", "move!"):
            self._move(self._histories[event["c"]], event["f"], event["to"], kind == "move!")
        elif kind == "set?":
            self._histories[event["c"]].settings[event["k"]].append(event["v"])
        elif kind == "set!":
            self._histories[event["c"]].settings[event["k"]] = [event["v"]]

    def _move(self, history: History, field: str, to: str, done: bool) -> None:
        history.first_names[to] = history.first_names.get(field, field)
        history.fields[field], history.fields[to] = ("absent", "here") if done else ("dropping", "creating")

    def judge(self, report: Mapping[str, Any], going_on: bool = False) -> Verdict:
        """Compare with what a database shows, and take that as the state from which everything follows.

        ``going_on``: the process that wrote is still there, so what is in flight may yet be found: only compare.
        """
        if going_on:
            return copy.deepcopy(self).judge(report)
        verdict = Verdict(problems=list(report["problems"]))
        self._asked.clear()
        shown = dict(report["collections"])
        copies = [name for name, history in self._histories.items() if history.copied is not None]
        for name, history in sorted(self._histories.items(), key=lambda item: item[0] in copies):
            there = [shown.pop(called) for called in history.settings["name"] if called in shown]
            if not there:
                if history.stage == "here":
                    verdict.problems.append(f"{name}: the collection is gone")
                history.stage = "absent"
                self._forget(history, {}, 0)
                continue
            if history.stage == "absent":
                verdict.resurrected += 1
                verdict.problems.append(f"{name}: the collection was dropped and is there again")
                continue
            if len(there) > 1:
                verdict.problems.append(f"{name}: it is there by two names: {history.settings['name']}")
            history.stage = "here"
            self._judge_one(name, history, there[0], verdict)
        for name in shown:
            verdict.phantoms += 1
            verdict.problems.append(f"{name}: nobody created it")
        return verdict

    def _judge_one(self, name: str, history: History, shown: Mapping[str, Any], verdict: Verdict) -> None:
        seq, points, fields = shown["seq"], shown["points"], shown.get("fields", ())
        verdict.in_flight += len(history.pending)
        verdict.again += [write for write, _ in history.pending.values()]
        verdict.points += len(points)
        problems = [*_out_of_order(history), *_fields(history, fields), *_settings(history, shown.get("settings", {}))]
        kept = [a for a in history.acknowledged if a.seq <= seq]
        lost = [a for a in history.acknowledged if a.seq > seq]
        verdict.lost += len(lost)
        verdict.lost_bytes += sum(a.write.nbytes for a in lost)
        problems += [
            f"write {a.write.number} was acknowledged as {a.seq} and is lost, {seq} was reached"
            for a in lost
            if a.write.durable or a.answered < self._synced
        ]
        state: State | None = None
        if seq < history.base_seq:
            problems.append(f"what was seen after the last fault is lost: {history.base_seq}, now {seq}")
        else:
            extra = {history.first_names.get(called, called): called for called in fields}
            state, found, told = _explain(history, kept, seq, points, extra)
            problems += told
            if state is None:
                strange, back = _strangers(history, points)
                verdict.phantoms += strange
                verdict.resurrected += back
            else:
                problems += self._fill_copies(history, kept, found[0], seq)
                if not lost:  # else a reader may have seen what is lost
                    problems += _told(history, kept, found[0], seq)
                    verdict.answers += len(history.told)
            verdict.found += max(map(len, found), default=0)
            for number in history.pending:
                numbers = {placing.get(number) for placing in found}
                if numbers - {None}:
                    verdict.placed[number] = numbers
        verdict.problems += [f"{name}: {problem}" for problem in problems]
        self._forget(history, state or {}, seq)

    def _fill_copies(
        self, history: History, kept: Sequence[Acknowledged], placed: Mapping[int, int], seq: int
    ) -> Iterable[str]:
        """Give the copies made of it since what it had when they were made."""
        for name, other in self._histories.items():
            copied = other.copied
            if copied is None or copied.of is not history or copied.made != history.made:
                continue
            if not history.base_seq <= copied.seq <= seq:
                yield f"{name} holds {copied.seq} of it, and {seq} was reached"
            state = dict(history.base)
            writes = {s: history.pending[number][0] for number, s in placed.items()}
            _replay(state, _by_seq(kept), writes, range(history.base_seq, copied.seq + 1))
            other.base, other.base_seq, other.copied = state, copied.seq, None

    def _forget(self, history: History, base: State, seq: int) -> None:
        for number in history.pending:
            self._of_write.pop(number, None)
        history.acknowledged.clear()
        history.pending.clear()
        history.told.clear()
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


def _settings(history: History, shown: Mapping[str, Any]) -> Iterable[str]:
    """What is set otherwise than was acknowledged; what is shown is what is set from now on."""
    for key, value in shown.items():
        may_be = history.settings[key]
        if value not in may_be:
            yield f"{key} is {value!r}, expected {' or '.join(map(repr, may_be))}"
        history.settings[key] = [value]


def _explain(
    history: History,
    kept: Sequence[Acknowledged],
    seq: int,
    points: Mapping[str, Any],
    extra: Mapping[str, str],
) -> tuple[State | None, list[dict[int, int]], list[str]]:
    """(state, every way of numbering the writes in flight that leads to ``points``, problems): None when none does.

    A way is by number of the write the number it got.
    """
    by_seq = _by_seq(kept)
    known = {a.seq for a in kept if a.count}
    missing = [s for s in range(history.base_seq + 1, seq + 1) if s not in known]
    if len(missing) > len(history.pending) and not history.fleeting:
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
            different = list(_differences(after, points, extra))
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
    """Every way of giving the missing numbers to writes in flight that time allows; of numbers that sweeps may have
    taken, some.
    """
    earliest = {
        number: 1 + max((a.seq for a in kept if a.answered < submitted), default=history.base_seq)
        for number, (_, submitted) in history.pending.items()
    }
    late = [s for s in missing if s >= min(earliest.values(), default=0)]
    chosen: Iterable[Sequence[int]] = [missing]
    if history.fleeting:
        most = min(len(late), len(earliest))
        chosen = itertools.chain.from_iterable(itertools.combinations(late, n) for n in range(most, -1, -1))
    for some in chosen:
        for numbers in itertools.permutations(history.pending, len(some)):
            if all(earliest[number] <= s for number, s in zip(numbers, some, strict=True)):
                yield {s: history.pending[number][0] for number, s in zip(numbers, some, strict=True)}


def _by_seq(kept: Sequence[Acknowledged]) -> dict[int, list[Acknowledged]]:
    by_seq: dict[int, list[Acknowledged]] = {}
    for answer in sorted(kept, key=lambda a: not a.count):  # what changed something comes first
        by_seq.setdefault(answer.seq, []).append(answer)
    return by_seq


def _replay(
    state: State, by_seq: Mapping[int, Sequence[Acknowledged]], placing: Mapping[int, Write], seqs: Iterable[int]
) -> str | None:
    """Carry out writes in order on ``state``; what does not fit the answers that were given, or None."""
    for seq in seqs:
        placed = placing.get(seq)
        if placed is not None and apply(state, placed, seq)[1] <= 0:
            return f"write {placed.number} cannot be {seq}: it changes nothing, or must be refused"
        for answer in by_seq.get(seq, ()):
            least, most = apply(state, answer.write, seq)
            if not least <= answer.count <= most:
                expected = "a refusal" if least < 0 else str(least)
                return f"write {answer.write.number} at {seq} was answered {answer.count}, expected {expected}"
    return None


def _told(history: History, kept: Sequence[Acknowledged], placed: Mapping[int, int], seq: int) -> Iterable[str]:
    """Answers and refusals that no state between question and answer explains."""
    if not history.told:
        return
    submitted = [(a.submitted, a.seq) for a in kept if a.count]
    submitted += [(history.pending[number][1], s) for number, s in placed.items()]
    open_until = {
        id(t): min((s - 1 for moment, s in submitted if moment > t.answered), default=seq) for t in history.told
    }
    waiting = sorted(history.told, key=lambda t: t.low)
    writes = {s: history.pending[number][0] for number, s in placed.items()}
    state, by_seq = dict(history.base), _by_seq(kept)
    begun: list[Refused | Read] = []
    for now in range(history.base_seq, seq + 1):
        _replay(state, by_seq, writes, [now])
        while waiting and waiting[0].low <= now:
            begun.append(waiting.pop(0))
        begun = [t for t in begun if not t.fits(state)]
        yield from (str(t) for t in begun if open_until[id(t)] <= now)
        begun = [t for t in begun if open_until[id(t)] > now]
    yield from map(str, begun)


def apply(state: State, write: Write, seq: int) -> tuple[int, int]:
    """Carry out one batch on ``state``; how many points it wrote and deleted, at least and, with ghosts, at most.

    REFUSED, and nothing is changed, where a condition of its only operation does not hold.
    """
    least = most = 0
    for k, op in enumerate(write.ops):
        if not _holds(state, op):
            return REFUSED
        sure, ghosts = _carry_out(state, write.number, k, op, seq)
        least, most = least + sure, most + sure + ghosts
    return least, most


def _holds(state: State, op: Op) -> bool:
    points = [state.get(point_id(number)) for number in op.ids]
    match op.condition:
        case ("absent",):
            return not any(points)
        case ("exists",):
            return all(points)
        case ("version", *versions):
            return [point.version if point else 0 for point in points] == versions
        case ("row", row):
            return all(point is not None and point.row == row for point in points)
    return op.kind != "insert" or not any(points)


def _carry_out(state: State, w: int, k: int, op: Op, seq: int) -> tuple[int, int]:
    """(points written and deleted, ghosts that may have been)."""
    if op.kind in ("delete", "delete_where", "clear"):
        found = _named(state, op)
        gone = [name for name in found if not state[name].ghost]
        for name in gone:
            del state[name]
        return len(gone), len(found) - len(gone)
    if op.kind in ("update_where", "merge_where"):
        found = _named(state, op)
        for name in found:
            state[name] = _edited(state[name], seq, Source(w, k, op.ids[0]), op.kind == "merge_where")
        ghosts = sum(state[name].ghost for name in found)
        return len(found) - ghosts, ghosts
    return _put(state, w, k, op, seq)


def _named(state: State, op: Op) -> list[str]:
    """The points that an operation takes, by what they are or by id."""
    if op.kind == "clear":
        return list(state)
    if op.kind == "delete":
        return [name for name in dict.fromkeys(map(point_id, op.ids)) if name in state]
    return [name for name, point in state.items() if point.row == op.ids[0]]


def _edited(point: Point, seq: int, source: Source, merges: bool) -> Point:
    """After its payload was replaced, or merged into."""
    if merges:
        return replace(point, version=seq, merged=source)
    return replace(point, version=seq, payload=source, merged=None)


def _put(state: State, w: int, k: int, op: Op, seq: int) -> tuple[int, int]:
    touched: set[str] = set()
    ghosts: set[str] = set()
    with_vector = op.vectors()
    updates = op.kind in ("update", "merge")
    for i, number in enumerate(op.ids):
        name, source = point_id(number), Source(w, k, i)
        before = state.get(name)
        if updates and before is None:
            continue
        vectors = {field: source for field, given in with_vector.items() if i in given}
        texts = {field: source for field, letter in TEXTS.items() if letter in op.gives}
        put = Point(seq, source if PAYLOAD in op.gives else None, texts, vectors)
        put = replace(put, sparse=source if SPARSE in op.gives else None, ghost=op.ttl_ms == FLEETING)
        if updates and before is not None:
            put = replace(
                put,
                payload=put.payload or before.payload,
                merged=source if op.kind == "merge" else before.merged if put.payload is None else None,
                texts={**before.texts, **texts},
                vectors={**before.vectors, **vectors},
                sparse=put.sparse or before.sparse,
                ghost=put.ghost or before.ghost,
            )
            (ghosts if before.ghost else touched).add(name)
        else:
            touched.add(name)
        state[name] = put
    return len(touched), len(ghosts - touched)


def _versions(state: State, points: Mapping[str, Any]) -> bool:
    """Whether ids and versions agree: a quick look, before everything is compared."""
    there = {name: point.version for name, point in state.items() if not point.ghost}
    return there == {name: shown[0] for name, shown in points.items()}


def _differences(state: State, points: Mapping[str, Any], extra: Mapping[str, str]) -> Iterable[str]:
    """What a report shows otherwise than ``state``."""
    there = {name: point for name, point in state.items() if not point.ghost}
    for name in there.keys() - points.keys():
        yield f"{name} of version {there[name].version} is missing"
    for name in points.keys() - there.keys():
        yield f"{name} of version {points[name][0]} is there, and should not be"
    for name in there.keys() & points.keys():
        wanted, told = there[name].shown(extra), points[name]
        if wanted != told and [wanted[0], _read(wanted[1]), *wanted[2:]] != [told[0], _read(told[1]), *told[2:]]:
            parts = [part for part, a, b in zip(PARTS, wanted, told, strict=True) if a != b]
            yield f"{name}: {', '.join(parts)} of version {told[0]} are not what was written as {wanted[0]}"


PARTS = ("version", "payload", "texts", "vectors", "sparse vectors")


def _read(payload: str | None) -> Any:
    """A payload whatever the order of its keys, once something was merged into it; else to the byte."""
    parsed = None if payload is None else orjson.loads(payload)
    return parsed if parsed is not None and "m" in parsed else payload


def _strangers(history: History, points: Mapping[str, Any]) -> tuple[int, int]:
    """(points that nobody ever wrote, points that somebody deleted), among those of a report that fits no state."""
    state = dict(history.base)
    written = set(state)
    for answer in sorted(history.acknowledged, key=lambda a: (a.seq, not a.count)):
        written |= {point_id(n) for op in answer.write.ops for n in op.ids}
        apply(state, answer.write, answer.seq)
    in_flight = {point_id(n) for write, _ in history.pending.values() for op in write.ops for n in op.ids}
    unknown = points.keys() - {name for name, point in state.items() if not point.ghost} - in_flight
    return len(unknown - written), len(unknown & written)
