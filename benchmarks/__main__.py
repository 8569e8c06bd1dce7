"""The command: run one workload and store its samples, or print the figures of stored ones."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

for _library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_library, "1")  # as `vecdb serve` does; read when numpy is imported


def main() -> int:
    """Run what the command line names; 1 when a figure misses its budget or the run is void."""
    from benchmarks import report
    from benchmarks.setup import Setup
    from benchmarks.workloads import WORKLOADS

    if sys.argv[1:2] == ["report"]:
        return _report(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("workload", choices=[*WORKLOADS, "report"])
    parser.add_argument("--size", type=int, help="rows (collections, for `collections`); each workload has its own")
    parser.add_argument("--out", type=Path, help="where the samples go; WORKLOAD.json unless given")
    parser.add_argument("--rounds", type=int, default=5, help="how often a measurement is repeated")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long `soak` lasts")
    parser.add_argument("--data", type=Path, help="folder of the real data sets; VECDB_TEST_DATA unless given")
    parser.add_argument("--dir", type=Path, help="where databases are made, on the disk to be measured")
    given = parser.parse_args()
    workload = WORKLOADS[given.workload]
    data = given.data or Path(os.environ.get("VECDB_TEST_DATA", "data"))
    with tempfile.TemporaryDirectory(prefix="vecdb-bench-", dir=given.dir) as scratch:
        setup = Setup(given.size or workload.SIZE, given.rounds, data, Path(scratch), given.minutes)
        run = workload.measure(setup)
    out = given.out or Path(f"{given.workload}.json")
    run.save(out)
    return report.main([out])


def _report(arguments: list[str]) -> int:
    from benchmarks import report

    parser = argparse.ArgumentParser(prog="python -m benchmarks report", description="Print figures of stored runs.")
    parser.add_argument("runs", nargs="+", type=Path, help="files that runs were stored in")
    parser.add_argument("--plots", type=Path, help="existing folder for drawings of the times (needs the extra bench)")
    given = parser.parse_args(arguments)
    return report.main(given.runs, given.plots)


if __name__ == "__main__":
    sys.exit(main())
