"""Starts a workload, lets a fault end it, and has the next start judged by the oracle: a chain of rounds.

Nothing here sleeps until something should have happened: it waits for lines of the record, with a bound.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import orjson

from tests.crash import trace, workload
from tests.crash.disk import Small
from tests.crash.oracle import Oracle, Verdict
from tests.crash.workload import Orders
from vecdb import failpoint
from vecdb.errors import IndexingBehind

ROOT = Path(__file__).parents[2]
REFUSED_PATIENCE_S = 5.0
"""Deadline of a write where the builder may be unable to make room for it."""
MOST_PASSES = {"commit": 40, "catalog": 1, "drop": 1, "merge": 2, "rewrite": 1, "texts": 1, "restore": 1}
"""At which pass at the latest a failpoint ends a round, by the first part of its name."""
LEADS_TO: dict[str, dict[str, object]] = {
    "restore": {"favours": "copy"},
    "texts": {"favours": "analyze otherwise"},
    "shed": {"favours": "add or drop a field"},
    "drop": {"favours": "drop"},
    "rewrite": {"favours": "rest", "remember": False},  # what is kept for the change feed is not given back
}
"""Orders under which a failpoint is passed, by the first part of its name; the others are passed all the time."""
STALL_MS = 300
HARMS = ("flipped", "cut", "removed")
PATIENCE_S = 60.0
"""Longest wait for the next line of the record; a process that says nothing for so long hangs."""


class Broken(AssertionError):
    """A promise was broken, or the workload did something that must never happen."""


class Child:
    """A workload in a process of its own, forked from one that has imported everything.

    ``wrap``: a command to run it under; then it starts from nothing.
    """

    def __init__(self, orders: Orders, errors: Path, wrap: Sequence[str] = ()) -> None:
        self.orders = orders
        self._errors = errors
        self._lines: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        heard, says = multiprocessing.Pipe(duplex=False)
        told, self._tells = multiprocessing.Pipe(duplex=False)
        self._process: _Wrapped | _Forked
        if wrap:
            self._process = _Wrapped([*wrap, sys.executable, "-m", "tests.crash.workload", orders.text()])
        else:
            self._process = _Forked(orders.text())
        self._process.start(told, says, errors)
        told.close()
        says.close()
        self._reader = threading.Thread(target=self._read, args=(heard,), daemon=True)
        self._reader.start()
        self.pid = self._process.pid

    def say(self, word: str) -> None:
        """Tell it what to do; no error when it is dead."""
        line = memoryview(word.encode() + b"\n")
        with contextlib.suppress(BrokenPipeError):
            while line:
                line = line[os.write(self._tells.fileno(), line) :]

    def next(self) -> dict[str, Any] | None:
        """The next line of the record; None at its end. Raises Broken when there is none for too long."""
        try:
            line = self._lines.get(timeout=PATIENCE_S)
        except queue.Empty:
            raise Broken(f"nothing was heard for {PATIENCE_S:.0f} s{self._stacks()}") from None
        if line is None:
            self._lines.put(None)
        elif line["e"] == "opened":
            self.pid = line["pid"]
        elif line["e"] == "bug":
            raise Broken(f"the workload met what must never happen:\n{line['text']}{self.said()}")
        return line

    def kill(self) -> int:
        """SIGKILL, and wait until it is gone; its exit status."""
        with contextlib.suppress(ProcessLookupError):
            if self._process.status() is None:
                os.kill(self.pid, signal.SIGKILL)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end; the exit status. Kills what runs it when that takes too long."""
        status = self._process.status(PATIENCE_S)
        self._tells.close()
        if status is None:
            stacks = self._stacks()
            self._process.kill()
            raise Broken(f"the process does not end{stacks}")
        self._reader.join()
        return status

    def _read(self, heard: Connection) -> None:
        with heard, open(heard.fileno(), "rb", closefd=False) as lines:
            for line in lines:
                if line.endswith(b"\n"):  # else it died in the middle of it
                    self._lines.put(orjson.loads(line))
        self._lines.put(None)

    def _stacks(self) -> str:
        """What its threads are doing: SIGABRT makes it tell, and ends it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGABRT)
        self._process.status(10)
        return self.said()

    def said(self) -> str:
        said = self._errors.read_text(errors="replace")
        return f"\n--- standard error ---\n{said[-8_000:]}" if said else ""


class _Wrapped:
    """A command of its own."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command

    def start(self, told: Connection, says: Connection, errors: Path) -> None:
        with open(errors, "ab") as file:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, stdin=told.fileno(), stdout=says.fileno(), stderr=file
            )
        self.pid = self._process.pid

    def status(self, timeout_s: float = 0.0) -> int | None:
        """As a shell has it, signals negative; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout_s)
        return None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


class _Forked:
    """A fork of a process that waits with all modules imported and no thread running."""

    def __init__(self, orders: str) -> None:
        self._orders = orders

    def start(self, told: Connection, says: Connection, errors: Path) -> None:
        arguments = (self._orders, told, says, os.fspath(errors))
        self._process = _FORKS.Process(target=workload.born, args=arguments, daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def status(self, timeout_s: float = 0.0) -> int | None:
        """As a shell has it, signals negative; None while it runs."""
        self._process.join(timeout_s)
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()
        self._process.join()


_FORKS = multiprocessing.get_context("forkserver")
# A fork runs the main module of its parent once more, under another name: what that imports is to be there, too.
_FORKS.set_forkserver_preload(["tests.crash.workload", "tests.crash.__main__", *({"pytest"} & sys.modules.keys())])


@contextlib.contextmanager
def running(orders: Orders, errors: Path, wrap: Sequence[str] = ()) -> Iterator[Child]:
    """A child that is gone when the block is left, however it is left."""
    child = Child(orders, errors, wrap)
    try:
        yield child
    finally:
        child.kill()


@dataclass(frozen=True, slots=True)
class Fault:
    """How a round ends: at a failpoint, or by SIGKILL after ``answers`` acknowledgements and ``delay_s`` more."""

    answers: int
    delay_s: float = 0.0
    failpoint: str = ""
    text: str = ""

    def __str__(self) -> str:
        if self.text:
            return self.text
        name, _, count = self.failpoint.partition("=kill:")
        return f"{name} ({count})" if name else f"kill after {self.answers}"


@dataclass(slots=True)
class Round:
    """One row of the table."""

    number: int
    fault: Fault
    answered: int = 0
    reached: bool = True
    ended: bool = False
    """The process ended before it was told to: right at a failpoint only."""
    note: str = ""
    verdict: Verdict | None = None
    """Of the opening after it; None when the next fault came before anything could be seen."""
    open_ms: int = 0
    """How long the next opening took."""

    def row(self) -> str:
        """As the table prints it."""
        v = self.verdict or Verdict()
        outcome = f"BROKEN ({len(v.problems)})" if v.problems else "ok" if self.verdict else "seen later"
        note = "" if self.reached else ", not reached"
        return (
            f"{self.number:5}  {str(self.fault) + note:34} {self.answered:6} {v.in_flight:6} {v.found:6} {v.lost:6} "
            f"{v.points:7} {self.open_ms:6}  {outcome}{self.note and '; ' + self.note}"
        )


HEADING = "round  fault                               acked  inair  found   lost  points  open ms  outcome"


class Chain:
    """Rounds on one data directory, each of which opens what the fault before it left.

    ``between`` is called when a process was killed and before the next is started: there a power cut happens.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        data: Path | None = None,
        durable: float = 1.0,
        brisk: bool = False,
        between: Callable[[], None] = lambda: None,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._draw = random.Random(seed)
        self._folder = folder
        self._data = data or folder / "data"
        self._errors = folder / "stderr.txt"
        self._durable = durable
        self._brisk = brisk
        self._between = between
        self._tell = tell
        self._oracle = Oracle()
        self._first = 1
        self._told = 0
        self._unopened = ""
        self._may_refuse = False
        self._remembered = False
        self.rounds: list[Round] = []
        self.unopened = 0
        self.stalls = 0
        tell(HEADING)

    @property
    def lost(self) -> int:
        """Acknowledged writes that were not there, over all rounds."""
        return sum(r.verdict.lost for r in self.rounds if r.verdict is not None)

    def kill(self) -> None:
        """A round that ends at a random moment."""
        self._round(Fault(self._draw.randint(10, 200), self._draw.random() * 0.02))

    def strike(self) -> None:
        """A round that ends at a random moment or, as likely, at a named place of the engine at work."""
        if self._draw.random() < 0.5:
            self.kill()
        else:
            self.kill_at(self._draw.choice([name for name in failpoint.NAMES if not name.startswith("load.")]))

    def kill_at(self, name: str) -> None:
        """A round that ends at a failpoint, at one of the first times it is passed."""
        part = name.partition(".")[0]
        fault = Fault(1 << 60, failpoint=f"{name}=kill:{self._draw.randint(1, MOST_PASSES.get(part, 4))}")
        self._round(fault, **LEADS_TO.get(part, {}))

    def fail_sync(self, call: str, when: str) -> None:
        """A round in which a call (fdatasync, fsync) fails: the n-th of each thread, or (``3+``) all from there on."""
        log = self._folder / "trace.txt"
        wrap = trace.command(log, f"{call}:error=EIO:when={when}", writes=True)
        fault = Fault(300, text=f"EIO at {call} {when}")
        self.fail(fault, wrap, mend=lambda: None)
        unsynced = [a.write for a in trace.answers(log) if a.synced is None]
        if unsynced:
            raise Broken(f"{fault}: acknowledged without a sync that succeeded: {unsynced[:10]}")

    def fail_reads(self, when: str) -> None:
        """A round in which reads of the store's files fail, the n-th of each thread (``20+7``: and every 7th then).

        Whoever reads may be told so; what was acknowledged is there once the disk reads again.
        """
        log = self._folder / "trace.txt"
        fault = Fault(200, text=f"EIO at pread64 {when}")
        orders: dict[str, Any] = {"reopen": False, "unreadable": True, "patience_s": REFUSED_PATIENCE_S}
        with self._working(fault, inject=f"pread64:error=EIO:when={when}", **orders) as (child, now):
            self._until(child, fault, now, {"read_only", "late"})
            now.note = f"{len(trace.failed(log, 'pread64'))} reads failed"
        self._between()

    def stall(self) -> None:
        """A round in which the store cannot write its files as fast as it is given data, so that it refuses writes."""
        fault = Fault(150, text=f"files {STALL_MS} ms late")
        wrap = trace.command(self._folder / "trace.txt", f"fdatasync:delay_enter={1000 * STALL_MS}")
        with self._working(fault, wrap, reopen=False) as (child, now):
            self._until(child, fault, now)
            child.say("end")
            self.stalls += (stalls := self._await(child, "ended")["stalls"])
            now.note = f"{stalls} stalls"
        self._between()

    def harm(self, kinds: dict[str, int]) -> None:
        """Flip, cut short or remove some derived files, each kind of file in each way in turn; then a round of its own.

        ``kinds`` counts, by the ending of a file's name, how often that was done.
        """
        done = []
        files = [path for path in (self._data / "segments").rglob("*") if path.is_file()]
        self._draw.shuffle(files)
        for path in sorted(files, key=lambda path: kinds.get(_kind_of(path), 0))[:3]:
            kind = _kind_of(path)
            how = HARMS[kinds.get(kind, 0) % len(HARMS)]
            kinds[kind] = kinds.get(kind, 0) + 1
            _harm(path, how, self._draw)
            done.append(f"{how} {kind}")
        self._round(Fault(self._draw.randint(10, 60), text=", ".join(done) or "nothing to harm"))

    def fail(self, fault: Fault, wrap: Sequence[str] = (), mend: Callable[[], None] | None = None) -> None:
        """A round on a disk that refuses, or soon will.

        If that makes the database read-only it must say why, refuse every change, and go on reading what was
        acknowledged and nothing else. With ``mend``, which makes the disk whole, the process then opens the store
        again and works on.
        """
        self._may_refuse = True
        with self._working(fault, wrap, reopen=False, patience_s=REFUSED_PATIENCE_S) as (child, now):
            end = self._until(child, fault, now, {"read_only", "write-"})
            if end is not None and end["e"] == "read_only":
                child.say("end")
                self._await(child, "ended")
                self._read_only(child, now)
                if mend is not None:
                    mend()
                    self._open_again(child, now, may_fail=bool(wrap))
            elif end is not None:
                now.note = f"writes refused: {end['reason']}"
        self._may_refuse = False
        self._between()

    def fill(self, disk: Small) -> None:
        """A round on a disk that has room for a few writes only; afterwards there is room again."""
        left = self._draw.randrange(3_000) << 10
        disk.leave(left)
        self.fail(Fault(600, text=f"{left >> 10} KiB left"), mend=disk.relieve)
        disk.relieve()

    def delay_syncs(self, delay_ms: int, answers: int) -> None:
        """A round under strace, in ``trace.txt``, in which every sync is held back before it begins."""
        inject = [f"{','.join(trace.SYNCS)}:delay_enter={1000 * delay_ms}"] if delay_ms else []
        fault = Fault(answers, text=f"syncs + {delay_ms} ms")
        with self._working(fault, trace.command(self._folder / "trace.txt", *inject, writes=True)) as (child, now):
            self._until(child, fault, now)
        self._between()

    def _read_only(self, child: Child, now: Round) -> None:
        child.say("probe")
        probed = self._await(child, "probed")
        allowed = set(probed["tried"]) - set(probed["refused"])
        if allowed or not probed["failure"] or any(probed["failure"] not in why for why in probed["refused"].values()):
            raise Broken(f"{now.fault}: after a failure ({probed['failure']}) {allowed} went on: {probed['refused']}")
        now.note = f"read-only: {probed['failure']}".replace(str(self._data), "DATA")
        child.say("report")
        verdict = self._oracle.judge(self._await(child, "report"), going_on=True)
        problems = verdict.problems + ["a write that was refused is seen"] * bool(verdict.found)
        if problems:
            raise Broken(f"{now.fault}, while read-only:\n" + "\n".join(problems[:20]))

    def _open_again(self, child: Child, now: Round, may_fail: bool) -> None:
        """In the process that failed: what it shows then is judged as after a start, and it works on.

        ``may_fail``: the same fault waits in another thread.
        """
        child.say("reopen")
        answer = self._follow(child, "reopened", "still")
        if answer is None:
            raise Broken(f"{now.fault}: the process ended when it was opened again{child.said()}")
        if answer["e"] == "still":
            now.note += "; the disk still refuses"
            return
        child.say("report")
        self._judge(self._await(child, "report"))
        self.rounds.append(Round(len(self.rounds) + 1, Fault(100, text="opened again in the process")))
        child.say("work")
        end = self._until(child, self.rounds[-1].fault, self.rounds[-1], {"read_only", "write-"})
        failed = end is not None and end["e"] == "read_only"
        self.rounds[-1].note = "failed once more" if failed else ""
        if self.rounds[-1].ended or (failed and not may_fail):
            raise Broken(f"{now.fault}: it was opened again and did not work on: {end}{child.said()}")

    def finish(self) -> None:
        """Judge the last round; then bring the database to rest, close it, open it, and judge again."""
        for words in (("report", "settle", "report", "stop"), ("report", "stop")):
            with running(self._orders(), self._errors) as child:
                for word in words:
                    child.say(word)
                    if word == "stop":
                        self._await(child, "closed")
                    else:
                        self._judge(self._await(child, "report"))
                if (status := child.wait()) != 0:
                    raise Broken(f"a clean end has status {status}")

    def _orders(self, **orders: Any) -> Orders:
        return Orders(
            data=str(self._data),
            seed=self._draw.randrange(1 << 30),
            first=self._first,
            durable=self._durable,
            brisk=self._brisk,
            **{"remember": self._draw.random() < 0.8, **orders},
        )

    def _round(self, fault: Fault, **orders: Any) -> None:
        with self._working(fault, **orders) as (child, now):
            self._until(child, fault, now)
        self._between()

    @contextlib.contextmanager
    def _working(
        self, fault: Fault, wrap: Sequence[str] = (), inject: str = "", **orders: Any
    ) -> Iterator[tuple[Child, Round]]:
        """Open, judge what the last round left, and let it work; at the end kill it and hear the rest.

        ``inject``: what befalls its system calls, as strace has it, from when it begins to work.
        """
        now = Round(len(self.rounds) + 1, fault)
        self._unopened = ""
        with (
            contextlib.ExitStack() as tracer,
            running(self._orders(failpoints=fault.failpoint, **orders), self._errors, wrap) as child,
        ):
            child.say("report")
            shown = self._follow(child, "report")
            if shown is not None:
                self._judge(shown)
                self._send_again(child)
                if inject:
                    tracer.enter_context(trace.attached(self._folder / "trace.txt", child.pid, inject))
                child.say("work")
            self.rounds.append(now)
            self._remembered = child.orders.remember
            now.note = self._unopened.replace(str(self._data), "DATA")
            yield child, now
            status = child.kill()
            while (line := self._take(child)) is not None:
                now.answered += line["e"] == "write!"
            by_itself = (shown is None or now.ended) and not fault.failpoint
            if (by_itself or status != -signal.SIGKILL) and not self._unopened:
                raise Broken(f"{fault}: the process ended by itself, with status {status}{child.said()}")

    def _until(self, child: Child, fault: Fault, now: Round, ends: Collection[str] = ()) -> dict[str, Any] | None:
        """Follow the record to the moment of the fault; the line that ended it before, being one of ``ends``.

        A write may be refused for what it asks; only one refused for want of room for it is an end.
        """
        patience = time.monotonic() + PATIENCE_S
        while now.answered < fault.answers and time.monotonic() < patience:
            line = self._take(child)
            if line is None:
                now.ended = True
                return None
            if line["e"] in ends and line.get("reason") in (None, IndexingBehind.reason):
                return line
            now.answered += line["e"] == "write!"
        now.reached = not fault.failpoint
        time.sleep(fault.delay_s)  # any moment is as good as another
        return None

    def _send_again(self, child: Child) -> None:
        """What was in flight is sent again, as a client would; what had been carried out gets its first answer."""
        verdict = self.rounds[-1].verdict if self.rounds else None
        if verdict is None or not (self._remembered and child.orders.remember):
            return
        unsure = {number for number, numbers in verdict.placed.items() if None in numbers}
        events = [
            {**write.event(), "done": write.number in verdict.placed}
            for write in verdict.again
            if write.number not in unsure
        ]
        child.say(f"again {orjson.dumps(events).decode()}")
        for event in events:
            answer = self._follow(child, "again", "write!", "write-", "read_only", "late")
            if answer is not None and answer["e"] == "again" and answer["seq"] not in verdict.placed[event["w"]]:
                was = verdict.placed[event["w"]]
                raise Broken(f"write {event['w']} had been carried out as {was}; sent again, it is {answer['seq']}")

    def _take(self, child: Child) -> dict[str, Any] | None:
        line = child.next()
        if line is not None:
            if line["e"] == "write?":
                self._first = max(self._first, line["w"] + 1)
            elif line["e"] == "opened" and self.rounds:
                self.rounds[-1].open_ms = line["ms"]
            elif line["e"] == "unopened":
                self._unopened = line["text"]
                self.unopened += 1
                if not self._may_refuse:
                    raise Broken(f"the database does not open: {line['text']}")
            self._oracle.take(line)
        return line

    def _follow(self, child: Child, *kinds: str) -> dict[str, Any] | None:
        """The next line of one of those kinds; None when it died first."""
        while (line := self._take(child)) is not None and line["e"] not in kinds:
            pass
        return line

    def _await(self, child: Child, kind: str) -> dict[str, Any]:
        line = self._follow(child, kind)
        if line is None:
            raise Broken(f"the process ended before it said {kind!r}, with status {child.wait()}{child.said()}")
        return line

    def _judge(self, line: dict[str, Any]) -> None:
        verdict = self._oracle.judge(line)
        if not self.rounds:
            return
        last = self.rounds[-1]
        if last.verdict is None:
            last.verdict = verdict
            for earlier in self.rounds[self._told :]:  # also those that ended before they could report
                self._tell(earlier.row())
            self._told = len(self.rounds)
        if verdict.problems:
            told = "\n".join(verdict.problems[:20])
            raise Broken(f"after round {last.number}, {last.fault}:\n{told}")


def _kind_of(path: Path) -> str:
    """What a derived file is, whichever part of whichever segment."""
    return re.sub(r"\d+", "N", path.name)


def _harm(path: Path, how: str, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    if how == "removed" or not content:
        path.unlink()
    elif how == "cut":
        os.truncate(path, draw.randrange(len(content)))
    else:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)


def every_failpoint() -> Sequence[str]:
    """Their names."""
    return failpoint.NAMES
