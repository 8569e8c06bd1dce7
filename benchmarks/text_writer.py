"""A process that writes texts at full speed into a collection that others search.

    python -m benchmarks.text_writer '{"address": ..., "seconds": 20}'

Prints a line after the first batch, and at the end {"documents": how many, "seconds": in how long}.
"""

from __future__ import annotations

import json
import sys
import time

import vecdb
from benchmarks import documents
from benchmarks.filled import NAME
from benchmarks.mixed import OTHERS


def main() -> None:
    """Write for as long as the argument says."""
    given = json.loads(sys.argv[1])
    with vecdb.connect(given["address"], timeout=600.0) as db:
        docs = db.collection(NAME)
        written, began = 0, 0.0
        for ids, texts in documents.numbered(documents.english(10**9, seed=OTHERS), first=OTHERS):
            docs.upsert(ids, texts=texts)
            if not began:
                began = time.perf_counter()
                print("writing", flush=True)
                continue
            written += len(ids)
            if time.perf_counter() - began > given["seconds"]:
                break
        print(json.dumps({"documents": written, "seconds": time.perf_counter() - began}), flush=True)


if __name__ == "__main__":
    main()
