"""Break the repository in every listed way and demand that the named test notices.

    python -m tests.sabotage [--jobs N] [--timeout SECONDS] [--intact] [--share S --draw TEXT] [WORD ...]

WORD picks the breakages that have it in their name. ``--share`` takes about that part of them, another one for every
``--draw``: so each run of a continuous integration sees to some, and a few runs to all. ``--intact`` first runs every
named test in an unbroken copy, where all must pass; leave it out only where the whole suite has just passed.
Exits with 1 when a test stays green or an entry of the list is void.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from pathlib import Path

from tests.project.repository import ROOT, files
from tests.sabotage.breakage import load
from tests.sabotage.laboratory import Outcome, Result, copy, judge_all, run

LIST = Path(__file__).with_name("breakages.toml")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sabotage", description=__doc__.partition("\n")[0])
    parser.add_argument("words", nargs="*", metavar="WORD", help="only breakages with this in their name")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time (default 2)")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds for one test (default 120)")
    parser.add_argument("--intact", action="store_true", help="first run the named tests unbroken")
    parser.add_argument("--share", type=float, default=1.0, help="about how many of them, 0..1 (default 1: all)")
    parser.add_argument("--draw", default="", help="which of them, any text: the commit, for instance")
    options = parser.parse_args()

    chosen = [b for b in load(LIST) if not options.words or any(word in b.name for word in options.words)]
    if options.share < 1.0:
        chosen = [b for b in chosen if drawn(b.name, options.draw) < options.share]
    if not chosen:
        print("no breakage has that name")
        return 1
    with tempfile.TemporaryDirectory(prefix="vecdb-sabotage-") as folder:
        copies = [copy(ROOT, files(), Path(folder) / str(job)) for job in range(min(options.jobs, len(chosen)))]
        if options.intact:
            for test in sorted({breakage.test for breakage in chosen}):
                outcome, detail = run(test, copies[0], options.timeout)
                if outcome is not Outcome.SURVIVED:
                    print(f"{test} does not pass before anything is broken: {detail}")
                    return 1
        results = judge_all(chosen, copies, options.timeout, _report)
    bad = [result for result in results if result.outcome is not Outcome.CAUGHT]
    print(f"{len(results) - len(bad)} of {len(results)} breakages were caught")
    return 1 if bad else 0


def drawn(name: str, draw: str) -> float:
    """A number from 0 up to 1, the same for the same texts."""
    return int.from_bytes(hashlib.blake2b(f"{draw}/{name}".encode(), digest_size=4).digest(), "big") / 2**32


def _report(result: Result) -> None:
    print(f"{result.outcome.value:9}{result.seconds:6.1f} s  {result.breakage.name}: {result.detail[:200]}", flush=True)
    if result.outcome is not Outcome.CAUGHT:
        print(f"{'':19}{result.breakage.why}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
