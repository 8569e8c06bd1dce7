"""Open a database in a process of its own and tell what that took: a program for other programs.

    python -m benchmarks.open_and_look '{"data": FOLDER, "options": {}, "dim": 128, "collections": null}'

Prints {"opened_s", "searchable_s", "gaps": heartbeat gaps, "before", "opened", "searched": memory}. Times count
from the call of ``open``. ``collections``: search in that many, named 0, 1, 2, ..., instead of the one.
"""

from __future__ import annotations

import gc
import json
import sys
import time

import numpy as np

from benchmarks import process
from benchmarks.clock import Heartbeat
from benchmarks.filled import NAME

SEARCHES = 200


def main() -> None:
    """Open, search, look."""
    given = json.loads(sys.argv[1])
    names = [NAME] if given["collections"] is None else [str(i) for i in range(given["collections"])]
    queries = np.random.default_rng(1).standard_normal((SEARCHES, given["dim"]), np.float32)
    import vecdb.client.transport_embedded
    import vecdb.engine.database

    gc.collect()
    before = process.memory()
    with Heartbeat() as heart:
        began = time.perf_counter()
        with vecdb.open(given["data"], timeout=600.0, **given["options"]) as db:
            opened = time.perf_counter() - began
            found = len(db.collection(names[0]).search(queries[0], limit=10))
            searchable = time.perf_counter() - began
            at_open = process.memory()
            for i, name in enumerate(names if len(names) > 1 else names * SEARCHES):
                db.collection(name).search(queries[i % SEARCHES], limit=10)
            gc.collect()
            searched = process.memory()
            touched = time.perf_counter() - began
    print(
        json.dumps(
            {
                "opened_s": opened,
                "searchable_s": searchable,
                "touched_s": touched,
                "hits": found,
                "gaps": heart.gaps,
                "before": before,
                "opened": at_open,
                "searched": searched,
            }
        )
    )


if __name__ == "__main__":
    main()
