"""Spike: the curves behind the constants of the engine. Answers docs/decisions/0003-constants.md.

    python -m benchmarks.spikes.constants                  # all parts, about five minutes of CPU
    python -m benchmarks.spikes.constants scan gather      # some of them
    python -m benchmarks.spikes.constants --json out.json

Parts: ``scan`` (exact scan against bytes), ``gather`` (allowed rows gathered, or all scored and masked), ``walk``
(a graph walk against k', rows and dimension), ``small`` (from how many rows a graph pays), ``fit`` (the constants of
vecdb/index/cost.py from ``gather`` and ``walk``, and how far off they are), ``unindexed`` (a search while a graph is
built and some bytes are still scanned). Needs VECDB_TEST_DATA. Times are of CPU, the best of several rounds, one
thread; ``unindexed`` alone is of the clock.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is imported, as the server does

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.spikes.graph import M, Table, built, data, printed
from vecdb.index import cost, flat, hnsw
from vecdb.index import metric as scoring
from vecdb.model.point import Float32

MIB = 1 << 20
K = 10


def best_us(call: Callable[[int], object], rounds: int = 5, calls: int = 20) -> float:
    """Microseconds of CPU of one call, the best of some rounds; the call gets a running number."""
    call(0)
    best = float("inf")
    for round_number in range(rounds):
        started = time.process_time_ns()
        for number in range(calls):
            call(round_number * calls + number)
        best = min(best, (time.process_time_ns() - started) / calls)
    return round(best / 1e3, 1)


def random_unit(rows: int, dim: int) -> Float32:
    return scoring.prepare("cosine", np.random.default_rng(0).standard_normal((rows, dim), dtype=np.float32))


@contextmanager
def graph_of(vectors: Float32, metric: scoring.Metric = "cosine") -> Iterator[hnsw.HnswIndex]:
    with tempfile.TemporaryDirectory() as folder:
        index = built(metric, vectors, Path(folder) / "graph")
        yield index
        index.close()


def scan() -> Table:
    """Exact scan of all rows of a contiguous array for one query, milliseconds, by size, dimension and metric."""
    table: Table = []
    for dim in (100, 384, 768):
        whole = random_unit(512 * MIB // (4 * dim), dim)
        squares = scoring.squares(whole)
        for mib in (8, 16, 32, 64, 128, 256, 512):
            rows = whole[: mib * MIB // (4 * dim)]
            row: dict[str, object] = {"dim": dim, "MiB": mib, "rows": len(rows)}
            for metric in ("cosine", "dot", "euclidean"):
                us = best_us(
                    lambda i, m=metric, r=rows, s=squares: flat.top(m, r[i : i + 1], r, K, None, s[: len(r)]),
                    3,
                    max(2, 64 // mib),
                )
                row[f"{metric} ms"] = round(us / 1e3, 2)
            us = best_us(lambda i, r=rows: flat.top("euclidean", r[i : i + 1], r, K), 3, max(2, 64 // mib))
            row["euclidean, norms not kept ms"] = round(us / 1e3, 2)
            row["GB/s cosine"] = round(rows.nbytes / float(str(row["cosine ms"])) / 1e6, 1)
            table.append(row)
    return table


def gather() -> Table:
    """Exact scan of a share of the rows of a graph's file, microseconds: gathered first, or all scored and masked."""
    table: Table = []
    kept = flat._GATHER_BELOW
    for dim, rows in ((100, 60_000), (384, 40_000), (768, 20_000)):
        vectors = random_unit(rows, dim)
        with tempfile.TemporaryDirectory() as folder:
            builder = hnsw.HnswBuilder("cosine", dim, M, 10, rows)  # links do not matter here
            builder.add(vectors, 2, lambda: False)
            builder.save(Path(folder) / "graph")
            index = builder.finish(Path(folder) / "graph")
            all_us = best_us(lambda i, x=index, v=vectors: x.exact(v[i : i + 1], K, None))
            for share in (0.002, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9):
                allowed = np.random.default_rng(1).random(rows) < share
                row: dict[str, object] = {
                    "dim": dim,
                    "rows": rows,
                    "share": share,
                    "allowed": int(allowed.sum()),
                    "all us": all_us,
                }
                for name, limit in (("gathered us", 2.0), ("masked us", 0.0)):
                    flat._GATHER_BELOW = limit
                    row[name] = best_us(lambda i, x=index, v=vectors, a=allowed: x.exact(v[i : i + 1], K, a))
                table.append(row)
            flat._GATHER_BELOW = kept
            index.close()
    return table


def walk() -> Table:
    """A graph walk for k' candidates of one query, microseconds, masked; by rows and dimension."""
    table: Table = []
    for name, counts in (
        ("glove-100-angular", (8_000, 30_000, 120_000)),
        ("qbqtc-zh-8k", (8_000,)),
        ("movies-384-minilm", (15_000,)),
        ("mnist-784-euclidean", (8_000, 40_000)),
    ):
        for rows in counts:
            metric, vectors, queries = data(name, rows, 200)
            allowed = np.random.default_rng(1).random(rows) < 0.5
            with graph_of(vectors, metric) as index:
                for ask in (16, 32, 64, 96, 128, 256, 512, 1_024, 2_048, 4_096):
                    us = best_us(
                        lambda i, x=index, q=queries, a=allowed, k=ask: x.candidates(q[i % 200 : i % 200 + 1], k, k, a),
                        3,
                        max(20, min(200, 20_000 // ask)),
                    )
                    table.append(
                        {
                            "data": name,
                            "rows": rows,
                            "dim": vectors.shape[1],
                            "k'": ask,
                            "us": us,
                            "us/k'": round(us / ask, 2),
                        }
                    )
    return table


def small() -> Table:
    """One search of a small segment, microseconds, without a filter: exact, or a walk at the default ef."""
    table: Table = []
    for name in ("glove-100-angular", "movies-384-minilm", "mnist-784-euclidean"):
        for rows in (500, 1_000, 2_000, 4_000, 8_000, 15_000):
            metric, vectors, queries = data(name, rows, 200)
            plain = flat.FlatIndex(metric, vectors)
            with graph_of(vectors, metric) as index:
                table.append(
                    {
                        "data": name,
                        "rows": rows,
                        "exact us": best_us(
                            lambda i, x=plain, q=queries: x.exact(q[i % 200 : i % 200 + 1], K, None), 3, 200
                        ),
                        "walk us": best_us(
                            lambda i, x=index, q=queries: x.candidates(
                                q[i % 200 : i % 200 + 1], K, hnsw.DEFAULT_EF, None
                            ),
                            3,
                            200,
                        ),
                    }
                )
    return table


def fit() -> Table:
    """Least squares of the relative error; then how far the model of vecdb/index/cost.py is from what was measured."""
    scanned, gathered, walked = (RESULTS.get(name) or PARTS[name]() for name in ("scan", "gather", "walk"))
    table: Table = []

    def solve(name: str, columns: list[list[float]], measured: list[float], labels: tuple[str, ...]) -> float:
        """Add the coefficients to the table; returns the standard deviation of ln(model / measured)."""
        weighted = np.array(columns) / np.array(measured)[:, None]
        found = np.linalg.lstsq(weighted, np.ones(len(measured)), rcond=None)[0]
        spread = float(np.log(np.maximum(weighted @ found, 1e-9)).std())
        rounded = {label: round(float(value), 3) for label, value in zip(labels, found, strict=True)}
        table.append({"model": name, "spread": round(spread, 3)} | rounded)
        return spread

    whole = [(row["rows"], row["dim"], 1e6 * row["cosine ms"]) for row in scanned if row["MiB"] >= 32]
    whole += [(row["rows"], row["dim"], 1e3 * row["all us"]) for row in gathered if row["share"] == 0.9]
    some = [(row["allowed"], row["dim"], 1e3 * row["gathered us"]) for row in gathered]
    for name, points in (("scan, all", whole), ("scan, gathered", some)):
        solve(name, [[1.0, n, n * dim] for n, dim, _ in points], [ns for _, _, ns in points], ("call", "row", "float"))
    steps = [(row["rows"], row["k'"], row["dim"], 1e3 * row["us"]) for row in walked]
    tried = []
    for power in (0.8, 0.85, 0.9, 0.95):
        for factor in (20.0, 30.0, 40.0):
            columns = [[1.0, k, dim / (1 / (factor * k**power) + 1 / n)] for n, k, dim, _ in steps]
            label = f"walk, {factor:.0f} k'^{power} visited"
            tried.append((solve(label, columns, [ns for *_, ns in steps], ("call", "step", "float")), table.pop()))
    table += [row for _, row in sorted(tried, key=lambda one: one[0])[:3]]
    for name, ratios in (
        ("cost.exact_ns, all", [cost.exact_ns(n, dim, True) / ns for n, dim, ns in whole]),
        ("cost.exact_ns, gathered", [cost.exact_ns(n, dim, False) / ns for n, dim, ns in some]),
        ("cost.graph_ns", [cost.graph_ns(n, k, dim) / ns for n, k, dim, ns in steps]),
    ):
        low, middle, high = np.percentile(ratios, [0, 50, 100])
        table.append({"model": name, "least": round(low, 2), "median": round(middle, 2), "most": round(high, 2)})
    return table


def unindexed() -> Table:
    """A walk of 60,000 rows and a scan of some bytes, idle and beside a build on one thread; milliseconds."""
    metric, vectors, queries = data("glove-100-angular", 60_000, 1_000)
    waiting = random_unit(256 * MIB // 400, 100)
    table: Table = []
    with graph_of(vectors, metric) as index:
        stop = False

        def build() -> None:
            while not stop:
                hnsw.HnswBuilder("cosine", 100, capacity=20_000).add(waiting[:20_000], 1, lambda: stop)

        for building in (False, True):
            stop = False
            thread = threading.Thread(target=build)
            if building:
                thread.start()
            for mib in (0, 8, 16, 32, 48, 64, 96, 128, 192, 256):
                rows = waiting[: mib * MIB // 400]
                spent = []
                for number in range(600):
                    query = queries[number : number + 1]
                    started = time.perf_counter()
                    index.candidates(query, K, hnsw.DEFAULT_EF, None)
                    if mib:
                        flat.top(metric, query, rows, K)
                    spent.append(1e3 * (time.perf_counter() - started))
                p50, p99 = np.percentile(spent, [50, 99])
                table.append({"building": building, "MiB": mib, "p50 ms": round(p50, 3), "p99 ms": round(p99, 3)})
            stop = True
            if building:
                thread.join()
    return table


PARTS: dict[str, Callable[[], Table]] = {
    "scan": scan,
    "gather": gather,
    "walk": walk,
    "small": small,
    "fit": fit,
    "unindexed": unindexed,
}
RESULTS: dict[str, Table] = {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all when left out")
    parser.add_argument("--json", type=Path, help="also write the tables here")
    arguments = parser.parse_args()
    for part in arguments.parts or PARTS:
        began, cpu = time.perf_counter(), time.process_time()
        print(f"## {part}: {(PARTS[part].__doc__ or '').strip()}\n")
        RESULTS[part] = PARTS[part]()
        printed(RESULTS[part])
        spent = time.process_time() - cpu
        print(f"{time.perf_counter() - began:.0f} s, {spent:.0f} s of CPU; load {os.getloadavg()[0]:.1f}\n", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(RESULTS, indent=1))


if __name__ == "__main__":
    main()
