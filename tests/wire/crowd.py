"""Many callers at once that never rest: python -m tests.wire.crowd ADDRESS SECONDS CALLERS.

They write, search by calls and over streams, read, and change and describe collections. Prints as JSON how
often each ended how: {"OK": 1000, "RESOURCE_EXHAUSTED": 90000}, and one message of each other error.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable

import numpy as np

import vecdb
from vecdb.errors import VecdbError


def main() -> None:
    """Call until the time is up."""
    address, until, callers = sys.argv[1], time.monotonic() + float(sys.argv[2]), int(sys.argv[3])
    ends: Counter[str] = Counter()
    errors: dict[str, str] = {}
    lock = threading.Lock()

    def call(number: int, db: vecdb.Client) -> None:
        draw = np.random.default_rng(number)
        docs = db.collection("docs")
        calls: list[Callable[[], object]] = [
            lambda: docs.search(draw.normal(size=8)),
            lambda: docs.search_batch(draw.normal(size=(50, 8))),
            lambda: docs.upsert([f"{draw.integers(1_000)}"], draw.normal(size=(1, 8))),
            lambda: docs.get(["1", "2", "3"]),
            docs.count,
            docs.describe,
            docs.stats,
            lambda: db.create_collection(f"c{number % 8}", dim=2, exist_ok=True),
        ]
        mine: Counter[str] = Counter()
        while time.monotonic() < until:
            try:
                calls[int(draw.integers(len(calls)))]()
                mine["OK"] += 1
            except VecdbError as error:
                mine[error.reason] += 1
                errors.setdefault(error.reason, str(error))
        with lock:
            ends.update(mine)

    with vecdb.connect(address, timeout=120) as db:
        threads = [threading.Thread(target=call, args=(number, db)) for number in range(callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    print(json.dumps({"ends": ends, "errors": errors}))


if __name__ == "__main__":
    main()
