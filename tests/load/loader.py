"""Loads a parquet file into a server, in a process of its own that a test may kill; tells how far it is.

python -m tests.load.loader ADDRESS FILE: prints, after each batch, the rows done and the resident bytes.
"""

from __future__ import annotations

import sys

import psutil

import vecdb


def main(address: str, path: str) -> None:
    process = psutil.Process()

    def progress(done: int, total: int | None) -> None:
        print(done, process.memory_info().rss, flush=True)

    with vecdb.connect(address) as db:
        report = db.collection("docs").load(path, progress=progress)
    print(report, file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
