"""Spike: what filter columns cost: bytes a row, and a condition's first use, over the payloads of RAG rows.

    python -m benchmarks.spikes.columns                 # 1,000,000 rows, about two minutes
    python -m benchmarks.spikes.columns --rows 100000 --json out.json

Rows go through growing columns of 65,536 each into the columns of one sealed segment, as they do in the engine. Each
condition is asked with values that were never asked before; the median and the worst of them are told.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rows import row_id
from vecdb.index.columns import merge
from vecdb.index.columns.contract import Columns
from vecdb.index.columns.flatten import flatten
from vecdb.index.columns.growing import ColumnsSoFar, GrowingColumns, NewColumns, Share
from vecdb.index.columns.sealed import SealedColumns
from vecdb.index.columns.texts import PackedTexts
from vecdb.model.filter import And, Attribute, Comparator, Compare, Exists, Filter, HasVector, In, Not, Prefix

GROWING_ROWS = 65_536
BATCH = 1_000
REPEATS = 15
START_S = 1_600_000_000


class Ids:
    """The ids of rows from ``first`` on."""

    def __init__(self, first: int) -> None:
        self._first = first

    def take(self, ordinals: Any) -> list[str]:
        return [row_id(self._first + i) for i in ordinals.tolist()]


def payload(draw: random.Random, number: int) -> dict[str, Any]:
    """Eight fields of a RAG row, and two with a value of its own in every row."""
    return {
        "tenant": f"tenant-{draw.randrange(1_000)}",
        "source": f"source-{draw.randrange(8)}",
        "lang": draw.choice(("en", "zh")),
        "year": draw.randrange(2005, 2026),
        "created_at": moment(number),
        "chunk": draw.randrange(40),
        "tags": [f"tag-{draw.randrange(1_000)}" for _ in range(3)],
        "acl": [f"group-{draw.randrange(100)}" for _ in range(4)],
        "document": f"document-{number * 7919 % 1_000_003}",
        "size": number * 104_729 % 15_485_863,
    }


def moment(number: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(START_S + 61 * number))


def conditions(rows: int) -> dict[str, Any]:
    """By name, a maker of a condition from a random number generator."""
    eq, gte, lt = Comparator.EQ, Comparator.GTE, Comparator.LT
    return {
        "source == (8 values)": lambda d: Compare(("source",), eq, f"source-{d.randrange(8)}"),
        "tenant == (1,000 values)": lambda d: Compare(("tenant",), eq, f"tenant-{d.randrange(1_000)}"),
        "document == (a value a row)": lambda d: Compare(("document",), eq, f"document-{d.randrange(rows)}"),
        "size >= (a value a row)": lambda d: Compare(("size",), gte, d.randrange(15_485_863)),
        "created_at < (a time a row)": lambda d: Compare(("created_at",), lt, moment(d.randrange(rows))),
        "created_at >= date of one offset": lambda d: Compare(
            ("created_at",), gte, moment(d.randrange(rows)).replace("Z", "+08:00")
        ),
        "tags any (3 of 1,000)": lambda d: Compare(("tags",), eq, f"tag-{d.randrange(1_000)}"),
        "acl in 10 of 100 (4 a row)": lambda d: In(("acl",), tuple(f"group-{d.randrange(100)}" for _ in range(10))),
        "document in 1,000": lambda d: In(("document",), tuple(f"document-{d.randrange(rows)}" for _ in range(1_000))),
        "document prefix": lambda d: Prefix(("document",), f"document-{d.randrange(1_000)}"),
        "not tenant": lambda d: Not(Compare(("tenant",), eq, f"tenant-{d.randrange(1_000)}")),
        "tags exists": lambda d: Exists(("tags",)),
        "$id == ": lambda d: Compare(Attribute.ID, eq, row_id(d.randrange(rows))),
        "$version >=": lambda d: Compare(Attribute.VERSION, gte, d.randrange(rows)),
        "$has_vector": lambda d: HasVector(""),
        "tenant and tags and size": lambda d: And(
            (
                Compare(("tenant",), eq, f"tenant-{d.randrange(1_000)}"),
                Compare(("tags",), eq, f"tag-{d.randrange(1_000)}"),
                Compare(("size",), gte, d.randrange(15_485_863)),
            )
        ),
    }


def grown(rows: int) -> tuple[list[ColumnsSoFar], float, float]:
    """Growing columns of all rows; seconds to flatten the payloads, seconds to append."""
    draw = random.Random(1)
    out, flattening, appending = [], 0.0, 0.0
    for start in range(0, rows, GROWING_ROWS):
        end = min(start + GROWING_ROWS, rows)
        columns = GrowingColumns()
        for first in range(start, end, BATCH):
            some = [payload(draw, i) for i in range(first, min(first + BATCH, end))]
            began = time.perf_counter()
            chunk = flatten(some)
            flattened = time.perf_counter()
            columns.append(NewColumns([Share(chunk)], {0: np.ones(len(some), dtype=np.bool_)}), len(some))
            flattening, appending = flattening + flattened - began, appending + time.perf_counter() - flattened
        out.append(columns.upto(end - start, Ids(start), np.arange(start, end, dtype=np.uint64)))
    return out, flattening, appending


def asked(columns: Columns, rows: int) -> dict[str, dict[str, float]]:
    """Microseconds of each condition at values of their own."""
    draw = random.Random(2)
    table = {}
    for name, make in conditions(rows).items():
        times = []
        for _ in range(REPEATS):
            condition: Filter = make(draw)
            began = time.perf_counter()
            surely, possibly = columns.bounds(condition, {"": 0})
            times.append(1e6 * (time.perf_counter() - began))
            assert surely is possibly
        table[name] = {"first_us": times[0], "median_us": float(np.median(times)), "worst_us": max(times[1:])}
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = options.rows
    growing, flattening, appending = grown(rows)
    result: dict[str, Any] = {
        "rows": rows,
        "flatten_us_a_row": 1e6 * flattening / rows,
        "append_us_a_row": 1e6 * appending / rows,
        "growing_bytes_a_row": growing[0].nbytes()[0] / len(growing[0]),
        "growing_us": asked(growing[0], len(growing[0])),
    }
    ids = [row_id(i).encode() for i in range(rows)]
    offsets = np.cumsum([0, *map(len, ids)]).astype(np.uint64)
    packed = PackedTexts(offsets, np.frombuffer(b"".join(ids), dtype=np.uint8))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "columns"
        began = time.perf_counter()
        merge.write(path, [(columns, np.arange(len(columns))) for columns in growing], packed)
        result["write_s"] = time.perf_counter() - began
        result["sealed_bytes_a_row"] = path.stat().st_size / rows
        sealed = SealedColumns(path, Ids(0), np.arange(rows, dtype=np.uint64))
        result["sealed_us"] = asked(sealed, rows)
        began = time.perf_counter()
        merge.write(Path(folder) / "again", [(sealed, np.arange(0, rows, 2))], _halved(ids))
        result["rewrite_of_half_s"] = time.perf_counter() - began
    for key, value in result.items():
        if isinstance(value, dict):
            print(f"{key:28} {'first':>9} {'median':>9} {'worst':>9}")
            for name, times in value.items():
                print(f"  {name:34}" + "".join(f"{t:9.0f} " for t in times.values()))
        else:
            print(f"{key:28} {value:.2f}" if isinstance(value, float) else f"{key:28} {value}")
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2))


def _halved(ids: list[bytes]) -> PackedTexts:
    some = ids[::2]
    return PackedTexts(np.cumsum([0, *map(len, some)]).astype(np.uint64), np.frombuffer(b"".join(some), dtype=np.uint8))


if __name__ == "__main__":
    main()
