"""Put a database through faults, print what came of each, and one table of all.

    python -m tests.crash [--kind KIND ...] [--rounds N] [--jobs N] [--seed N] [--folder FOLDER] [--table FILE]

KIND is one or more of

    kill        SIGKILL at random moments
    failpoint   SIGKILL at every named place of the engine, N times over (2 unless told)
    power       power cuts, every write asks for fsync (root, loop devices)
    os          power cuts, hardly a write does: a tail is lost, within the bound of docs/guide.md
    damage      SIGKILL, and three derived files flipped, cut short or removed before the next start
    eio         fsync or fdatasync fails at the n-th call (strace)
    eio-read    reads of the store's files fail (strace)
    full        the disk is full after a few writes (root)
    stall       the store's files are late, so that it refuses writes for a while (strace)
    sync        every fsync and fdatasync takes 300 ms longer (strace)

and all of them unless told. ``--jobs``: so many databases side by side, among which the rounds of kill, power, os and
damage are divided. Exits with 1 when a promise was broken; the data then stays in the folder.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash import delay, disk, trace
from tests.crash.laboratory import Broken, Chain, every_failpoint
from tests.crash.workload import WRITE_BUFFER_BYTES

DELAY_MS = 300
FAILURES = [(call, when) for call in trace.SYNCS for when in ("1+", "2", "4", "8", "15+", "25", "40")]
READ_FAILURES = ("1", "3", "10", "20+7", "40+3", "60+", "100+5", "200+")
SELDOM = 0.02
"""The share of writes that ask for fsync where a tail is to be lost."""


@dataclass(slots=True)
class Task:
    """What one kind is to do, and the chains it made."""

    folder: Path
    seed: int
    rounds: int | None
    jobs: int
    chains: list[Chain] = field(default_factory=list)

    def chain(self, folder: Path, **options: object) -> Chain:
        """A chain of rounds that is counted in the table."""
        made = Chain(folder, self.seed + len(self.chains), tell=_say, **options)  # type: ignore[arg-type]
        self.chains.append(made)
        return made

    def side_by_side(self, rounds: int, chain: Callable[[Path, int], None]) -> None:
        """Divide rounds among databases of their own."""
        jobs = min(self.jobs, rounds)
        shares = [rounds // jobs + (job < rounds % jobs) for job in range(jobs)]
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(chain, (self.place(str(job)) for job in range(jobs)), shares))

    def place(self, name: str) -> Path:
        """A new folder."""
        place = self.folder / name
        place.mkdir()
        return place


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one kind."""

    kind: str
    task: Task
    seconds: float
    outcome: str

    def cells(self) -> list[str]:
        """As the table has them."""
        rounds = [r for chain in self.task.chains for r in chain.rounds]
        verdicts = [r.verdict for r in rounds if r.verdict is not None]
        return [
            self.kind,
            f"{len(rounds):,}",
            f"{sum(r.answered for r in rounds):,}",
            f"{sum(v.answers for v in verdicts):,}",
            f"{sum(v.lost for v in verdicts):,}",
            f"{sum(v.phantoms for v in verdicts):,}",
            f"{sum(v.resurrected for v in verdicts):,}",
            f"{sum(chain.unopened for chain in self.task.chains):,}",
            f"{self.seconds:,.0f}",
            self.outcome,
        ]


HEADING = [
    "kind",
    "rounds",
    "acknowledged",
    "answers judged",
    "lost",
    "phantoms",
    "resurrected",
    "failed opens",
    "s",
    "",
]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__.partition("\n")[0])
    parser.add_argument("--kind", action="append", choices=list(KINDS), help="what to do (default: all of it)")
    parser.add_argument("--rounds", type=int, help="rounds of each kind (default: what issue and docs speak of)")
    parser.add_argument("--jobs", type=int, default=2, help="databases side by side (default 2)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another history (default 1)")
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    parser.add_argument("--table", type=Path, help="a file to write the table to, as Markdown")
    options = parser.parse_args()

    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # unmounts on the way out
    folder = options.folder or Path(tempfile.mkdtemp(prefix="vecdb-crash-"))
    rows: list[Row] = []
    for kind in options.kind or KINDS:
        began = time.monotonic()
        _say(f"== {kind}")
        place = folder / kind
        place.mkdir(parents=True)
        task = Task(place, options.seed, options.rounds, options.jobs)
        outcome = "ok"
        try:
            KINDS[kind](task)
        except (Broken, disk.Unusable) as error:
            outcome = "BROKEN" if isinstance(error, Broken) else "unusable"
            _say(f"{type(error).__name__}: {error}")
        rows.append(Row(kind, task, time.monotonic() - began, outcome))
        _say(f"-- {kind}: {rows[-1].seconds:.0f} s")
    table = _table(rows)
    _say(table)
    if options.table is not None:
        options.table.write_text(table + "\n", encoding="utf-8")
    good = all(row.outcome == "ok" for row in rows)
    if not good:
        _say(f"kept: {folder}")
    elif options.folder is None:
        shutil.rmtree(folder)
    return 0 if good else 1


def _table(rows: list[Row]) -> str:
    lines = [HEADING, ["---"] * len(HEADING), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _say(line: str) -> None:
    print(line, flush=True)


def _kill(task: Task) -> None:
    def chain(folder: Path, rounds: int) -> None:
        made = task.chain(folder)
        for _ in range(rounds):
            made.kill()
        made.finish()

    task.side_by_side(task.rounds or 1_000, chain)


def _failpoint(task: Task) -> None:
    chain = task.chain(task.folder)
    chain.kill()  # so that there is something to load
    for _ in range(task.rounds or 2):
        for name in every_failpoint():
            chain.kill_at(name)
    chain.finish()
    missed = [str(r.fault) for r in chain.rounds if not r.reached]
    if missed:
        raise Broken(f"not reached: {', '.join(missed)}")


def _power(task: Task) -> None:
    def chain(folder: Path, rounds: int) -> None:
        with _chain_on_a_disk(task, folder) as made:
            for _ in range(rounds):
                made.strike()
            made.finish()

    task.side_by_side(task.rounds or 200, chain)


def _os(task: Task) -> None:
    def chain(folder: Path, rounds: int) -> None:
        with _chain_on_a_disk(task, folder, durable=SELDOM, brisk=True) as made:
            for _ in range(rounds):
                made.kill()
            made.finish()

    task.side_by_side(task.rounds or 20, chain)
    lost = [r.verdict for chain in task.chains for r in chain.rounds if r.verdict is not None]
    most = max(v.lost_bytes for v in lost)
    _say(f"{sum(v.lost for v in lost)} acknowledged writes were lost, none of which had asked for fsync")
    _say(f"at most {most} bytes at once; {WRITE_BUFFER_BYTES} are the bound")
    if not most:
        raise Broken("nothing was lost: the laboratory does not see loss")
    if most > WRITE_BUFFER_BYTES:
        raise Broken("more was lost than the store may hold without having synced it")


@contextlib.contextmanager
def _chain_on_a_disk(task: Task, folder: Path, durable: float = 1.0, brisk: bool = False) -> Iterator[Chain]:
    if (lack := disk.missing()) is not None:
        raise disk.Unusable(lack)
    with disk.disk(folder) as made:
        data = made.root / "data"
        yield task.chain(folder, data=data, between=made.cut, durable=durable, brisk=brisk)


def _damage(task: Task) -> None:
    def chain(folder: Path, rounds: int) -> None:
        made = task.chain(folder)
        made.kill()
        for _ in range(rounds):
            made.harm(harmed)
        made.finish()

    harmed: dict[str, int] = {}
    task.side_by_side(task.rounds or 60, chain)
    _say(f"harmed: {', '.join(f'{kind} {times}' for kind, times in sorted(harmed.items()))}")


def _eio(task: Task) -> None:
    chain = task.chain(task.folder)
    chain.kill()
    for call, when in FAILURES[: task.rounds or len(FAILURES)]:
        chain.fail_sync(call, when)
    chain.finish()


def _eio_read(task: Task) -> None:
    chain = task.chain(task.folder)
    chain.kill()
    for when in READ_FAILURES[: task.rounds or len(READ_FAILURES)]:
        chain.fail_reads(when)
    chain.finish()


def _full(task: Task) -> None:
    with disk.small(task.folder) as small:
        chain = task.chain(task.folder, data=small.root / "data")
        chain.kill()
        for _ in range(task.rounds or 20):
            chain.fill(small)
        chain.finish()


def _stall(task: Task) -> None:
    chain = task.chain(task.folder, durable=SELDOM)
    chain.kill()
    for _ in range(task.rounds or 10):
        chain.stall()
    chain.finish()
    _say(f"{chain.stalls} writes were stalled")
    if not chain.stalls:
        raise Broken("no write was stalled")


def _sync(task: Task) -> None:
    chain = task.chain(task.folder, brisk=True)
    writes = 2 * (task.rounds or 50)
    chain.delay_syncs(DELAY_MS, answers=writes)
    chain.finish()
    answers = trace.answers(task.folder / "trace.txt")
    bad = [a for a in answers if a.synced is None or a.took_s < DELAY_MS / 1000]
    fastest = 1000 * min(a.took_s for a in answers)
    _say(f"{len(answers)} acknowledgements, {len(bad)} without a sync that began after the write or sooner than it")
    _say(f"the fastest took {fastest:.0f} ms from the question to the answer")
    _say(delay.HEADING)
    for title, delay_ms in (("as they are", 0), (f"+ {DELAY_MS} ms", DELAY_MS)):
        for row in delay.measure(task.place(f"delay-{delay_ms}"), delay_ms, writes=writes).rows(title):
            _say(row)
    if bad:
        raise Broken(f"acknowledged too early: {bad[:5]}")


KINDS: dict[str, Callable[[Task], None]] = {
    "kill": _kill,
    "failpoint": _failpoint,
    "power": _power,
    "os": _os,
    "damage": _damage,
    "eio": _eio,
    "eio-read": _eio_read,
    "full": _full,
    "stall": _stall,
    "sync": _sync,
}

if __name__ == "__main__":
    sys.exit(main())
