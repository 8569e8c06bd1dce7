"""Loads or exports a parquet file, in a process of its own that a test may kill; tells how far it is.

python -m tests.load.carrier load|export ADDRESS FILE: prints, after each batch, the rows done and the resident bytes.
"""

from __future__ import annotations

import sys

import psutil

import vecdb


def main(what: str, address: str, path: str) -> None:
    process = psutil.Process()

    def progress(done: int, total: int | None) -> None:
        print(done, process.memory_info().rss, flush=True)

    with vecdb.connect(address) as db:
        docs = db.collection("docs")
        report = docs.load(path, progress=progress) if what == "load" else docs.export(path, progress=progress)
    print(report, file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
