"""Put a database through faults and print what came of each.

    python -m tests.crash [--kind KIND ...] [--rounds N] [--seed N] [--folder FOLDER]

KIND is one or more of

    kill        SIGKILL at random moments
    failpoint   SIGKILL at every named place of the engine, N times over (2 unless told)
    power       power cuts, every write asks for fsync (root, loop devices)
    os          power cuts, no write does: a tail is lost, which shows that the laboratory sees loss
    eio         fsync or fdatasync fails at the n-th call (strace)
    full        the disk is full after a few writes (root)
    sync        every fsync and fdatasync takes 300 ms longer (strace)

and all of them unless told. Exits with 1 when a promise was broken; the data then stays in the folder.
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
from pathlib import Path

from tests.crash import delay, disk, trace
from tests.crash.laboratory import Broken, Chain, every_failpoint

DELAY_MS = 300
FAILURES = [(call, when) for call in trace.SYNCS for when in ("1+", "2", "4", "8", "15+", "25", "40")]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__.partition("\n")[0])
    parser.add_argument("--kind", action="append", choices=list(KINDS), help="what to do (default: all of it)")
    parser.add_argument("--rounds", type=int, help="rounds of each kind (default: what issue and docs speak of)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another history (default 1)")
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    options = parser.parse_args()

    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # unmounts on the way out
    folder = options.folder or Path(tempfile.mkdtemp(prefix="vecdb-crash-"))
    broken = 0
    for kind in options.kind or KINDS:
        began = time.monotonic()
        print(f"== {kind}", flush=True)
        place = folder / kind
        place.mkdir(parents=True)
        try:
            KINDS[kind](place, options.seed, options.rounds)
        except (Broken, disk.Unusable) as error:
            broken += 1
            print(f"{type(error).__name__}: {error}", flush=True)
        print(f"-- {kind}: {time.monotonic() - began:.0f} s", flush=True)
    if broken:
        print(f"kept: {folder}")
    elif options.folder is None:
        shutil.rmtree(folder)
    return 1 if broken else 0


def _say(line: str) -> None:
    print(line, flush=True)


def _kill(folder: Path, seed: int, rounds: int | None) -> None:
    chain = Chain(folder, seed, tell=_say)
    for _ in range(rounds or 50):
        chain.kill()
    chain.finish()


def _failpoint(folder: Path, seed: int, rounds: int | None) -> None:
    chain = Chain(folder, seed, tell=_say)
    chain.kill()  # so that there is something to load
    for _ in range(rounds or 2):
        for name in every_failpoint():
            chain.kill_at(name)
    chain.finish()
    missed = [str(r.fault) for r in chain.rounds if not r.reached]
    if missed:
        raise Broken(f"not reached: {', '.join(missed)}")


def _power(folder: Path, seed: int, rounds: int | None) -> None:
    with _chain_on_a_disk(folder, seed) as chain:
        for _ in range(rounds or 20):
            chain.strike()
        chain.finish()
    print(f"{chain.lost} acknowledged writes were lost")


def _os(folder: Path, seed: int, rounds: int | None) -> None:
    with _chain_on_a_disk(folder, seed, durable=0.0) as chain:
        for _ in range(rounds or 20):
            chain.strike()
        chain.finish()
    print(f"{chain.lost} acknowledged writes were lost, none of which had asked for fsync")
    if not chain.lost:
        raise Broken("nothing was lost: the laboratory does not see loss")


@contextlib.contextmanager
def _chain_on_a_disk(folder: Path, seed: int, durable: float = 1.0) -> Iterator[Chain]:
    if (lack := disk.missing()) is not None:
        raise disk.Unusable(lack)
    with disk.disk(folder) as made:
        data = made.root / "data"
        yield Chain(folder, seed, data=data, between=made.cut, durable=durable, tell=_say)


def _eio(folder: Path, seed: int, rounds: int | None) -> None:
    chain = Chain(folder, seed, tell=_say)
    chain.kill()
    for call, when in FAILURES[: rounds or len(FAILURES)]:
        chain.fail_sync(call, when)
    chain.finish()


def _full(folder: Path, seed: int, rounds: int | None) -> None:
    with disk.small(folder) as small:
        chain = Chain(folder, seed, data=small.root / "data", tell=_say)
        chain.kill()
        for _ in range(rounds or 20):
            chain.fill(small)
        chain.finish()


def _sync(folder: Path, seed: int, rounds: int | None) -> None:
    chain = Chain(folder, seed, brisk=True, tell=_say)
    chain.delay_syncs(DELAY_MS, answers=2 * (rounds or 50))
    chain.finish()
    answers = trace.answers(folder / "trace.txt")
    bad = [a for a in answers if a.synced is None or a.took_s < DELAY_MS / 1000]
    fastest = 1000 * min(a.took_s for a in answers)
    print(f"{len(answers)} acknowledgements, {len(bad)} without a sync that began after the write or sooner than it")
    print(f"the fastest took {fastest:.0f} ms from the question to the answer")
    print(delay.HEADING)
    for title, delay_ms in (("as they are", 0), (f"+ {DELAY_MS} ms", DELAY_MS)):
        place = folder / f"delay-{delay_ms}"
        place.mkdir()
        for row in delay.measure(place, delay_ms, writes=2 * (rounds or 50)).rows(title):
            print(row, flush=True)
    if bad:
        raise Broken(f"acknowledged too early: {bad[:5]}")


KINDS: dict[str, Callable[[Path, int, int | None], None]] = {
    "kill": _kill,
    "failpoint": _failpoint,
    "power": _power,
    "os": _os,
    "eio": _eio,
    "full": _full,
    "sync": _sync,
}

if __name__ == "__main__":
    sys.exit(main())
