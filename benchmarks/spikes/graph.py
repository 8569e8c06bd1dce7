"""Spike: which graph library, used how, and with which default ef. Answers docs/decisions/0002-graph-adapter.md.

    python -m benchmarks.spikes.graph                  # all parts, about six minutes of CPU
    python -m benchmarks.spikes.graph ef copies        # some of them
    python -m benchmarks.spikes.graph --json out.json

Parts: ``libraries`` (hnswlib, usearch, faiss: build, recall, rates, and how long saving and loading stop every
thread), ``call`` (asking for k' instead of setting ef; what the adapter adds), ``save`` (ways to write a graph),
``ef`` (recall of the default on whole data sets), ``copies`` (equal vectors), ``dot`` (inner product or one more
coordinate). usearch and faiss are measured where they can be imported: ``pip install usearch faiss-cpu``.
Needs VECDB_TEST_DATA. Rates are per second of CPU, so that other work on the machine moves them little.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hnswlib
import numpy as np

from vecdb.index import flat, hnsw
from vecdb.index import metric as scoring
from vecdb.model.point import Float32, Int64
from vecdb.model.schema import Metric

M, EF_CONSTRUCTION, THREADS = 16, 200, 2
EFS = (32, 64, 128, 256, 512)
Table = list[dict[str, Any]]


# ---------------------------------------------------------------- data and measures


def data(name: str, rows: int, queries: int) -> tuple[Metric, Float32, Float32]:
    """Prepared vectors and queries of a real data set."""
    path = next((Path(os.environ["VECDB_TEST_DATA"]) / name).glob("*[a4].npz"))  # data.npz, or model-384.npz
    metric: Metric = "euclidean" if "euclidean" in name else "cosine"
    with np.load(path) as file:
        train = file["train" if "train" in file else "docs"][:rows].astype(np.float32)
        test = file["test" if "test" in file else "queries"][:queries].astype(np.float32)
    return metric, scoring.prepare(metric, train), scoring.prepare(metric, test)


def exact(metric: Metric, queries: Float32, vectors: Float32, k: int = 10) -> list[set[int]]:
    return top(metric, queries, vectors, flat.top(metric, queries, vectors, k)[0], k)


def top(metric: Metric, queries: Float32, vectors: Float32, ordinals: Int64, k: int = 10) -> list[set[int]]:
    """The k best of each row of candidates by the scoring function."""
    answer = []
    for query, row in zip(queries, ordinals, strict=True):
        found = row[row >= 0]
        scores, _ = scoring.score(metric, query, vectors[found])
        answer.append(set(found[np.argsort(-scores, kind="stable")[:k]].tolist()))
    return answer


def recall(got: list[set[int]], truth: list[set[int]]) -> float:
    return round(sum(len(a & b) for a, b in zip(got, truth, strict=True)) / sum(len(b) for b in truth), 4)


class Heartbeat:
    """A thread that wants the GIL every half millisecond: its longest gap is a pause of the process."""

    def __enter__(self) -> Heartbeat:
        self.longest_s, self._stop = 0.0, False
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()
        time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        self._thread.join()

    def _beat(self) -> None:
        last = time.perf_counter()
        while not self._stop:
            time.sleep(0.0005)
            now = time.perf_counter()
            self.longest_s, last = max(self.longest_s, now - last), now


@contextmanager
def watched(row: dict[str, Any], name: str) -> Iterator[None]:
    """Add the seconds of the block, of the clock and of CPU, and the longest pause in it to ``row``."""
    with Heartbeat() as heartbeat:
        started, cpu = time.perf_counter(), time.process_time()
        yield
        row[f"{name} s"] = round(time.perf_counter() - started, 3)
        row[f"{name} CPU s"] = round(time.process_time() - cpu, 3)
    row[f"{name} pause s"] = round(heartbeat.longest_s, 3)


def rate(call: Callable[[Float32], object], queries: Float32, batch: int, seconds: float = 0.6) -> int:
    """Queries a second of CPU, ``batch`` in a call, the best of three rounds; what else runs matters little."""
    best, batch = 0.0, min(batch, len(queries))
    call(queries[:batch])
    for _ in range(3):
        done, started = 0, time.process_time()
        while (spent := time.process_time() - started) < seconds / 3:
            at = done % (len(queries) - batch + 1)
            call(queries[at : at + batch])
            done += batch
        best = max(best, done / spent)
    return round(best)


# ---------------------------------------------------------------- the libraries under one roof


class Hnswlib:
    name = "hnswlib 0.8"

    def __init__(self, metric: Metric, dim: int) -> None:
        self._space, self._dim = ("l2" if metric == "euclidean" else "ip"), dim

    def build(self, vectors: Float32) -> None:
        self.index = hnswlib.Index(self._space, self._dim)
        self.index.init_index(len(vectors), M=M, ef_construction=EF_CONSTRUCTION, random_seed=100)
        self.index.add_items(vectors, num_threads=THREADS)
        self.index.set_ef(1)

    def search(self, queries: Float32, k: int, ef: int, threads: int) -> Int64:
        return self.index.knn_query(queries, max(k, ef), threads)[0].view(np.int64)[:, :k]

    def save(self, path: str) -> None:
        self.index.save_index(path)

    def load(self, path: str) -> None:
        self.index = hnswlib.Index(self._space, self._dim)
        self.index.load_index(path)
        self.index.set_ef(1)


class Usearch:
    def __init__(self, metric: Metric, dim: int, dtype: str = "f32") -> None:
        import usearch.index

        self.name = f"usearch {usearch.__version__} {dtype}"
        self._new = lambda: usearch.index.Index(
            ndim=dim,
            metric="l2sq" if metric == "euclidean" else "cos",
            dtype=dtype,
            connectivity=M,
            expansion_add=EF_CONSTRUCTION,
        )

    def build(self, vectors: Float32) -> None:
        self.index = self._new()
        self.index.add(np.arange(len(vectors)), vectors, threads=THREADS)

    def search(self, queries: Float32, k: int, ef: int, threads: int) -> Int64:
        self.index.expansion_search = ef
        return np.atleast_2d(self.index.search(queries, k, threads=threads).keys).astype(np.int64)

    def save(self, path: str) -> None:
        self.index.save(path)

    def load(self, path: str) -> None:
        self.index = self._new()
        self.index.load(path)

    def view(self, path: str) -> None:
        self.index = self._new()
        self.index.view(path)


class Faiss:
    def __init__(self, metric: Metric, dim: int) -> None:
        import faiss

        self._faiss = faiss
        self.name = f"faiss {faiss.__version__} HNSWFlat"
        self._metric = faiss.METRIC_L2 if metric == "euclidean" else faiss.METRIC_INNER_PRODUCT
        self._dim = dim

    def build(self, vectors: Float32) -> None:
        self._faiss.omp_set_num_threads(THREADS)
        self.index = self._faiss.IndexHNSWFlat(self._dim, M, self._metric)
        self.index.hnsw.efConstruction = EF_CONSTRUCTION
        self.index.add(vectors)

    def search(self, queries: Float32, k: int, ef: int, threads: int) -> Int64:
        self._faiss.omp_set_num_threads(threads)
        found: Int64 = self.index.search(queries, k, params=self._faiss.SearchParametersHNSW(efSearch=ef))[1]
        return found

    def save(self, path: str) -> None:
        self._faiss.write_index(self.index, path)

    def load(self, path: str) -> None:
        self.index = self._faiss.read_index(path)


def libraries() -> Table:
    """Build, recall and rates of each library, and its pauses."""
    table: Table = []
    for name, rows in (("glove-100-angular", 60_000), ("mnist-784-euclidean", 20_000)):
        metric, vectors, queries = data(name, rows, 1_000)
        truth = exact(metric, queries, vectors)
        dim = vectors.shape[1]
        makers: list[Callable[[], Any]] = [
            lambda m=metric, d=dim: Hnswlib(m, d),
            lambda m=metric, d=dim: Usearch(m, d),
            lambda m=metric, d=dim: Usearch(m, d, "bf16"),
            lambda m=metric, d=dim: Faiss(m, d),
        ]
        for make in makers:
            try:
                library = make()
            except ImportError as error:
                table.append({"data": name, "library": str(error)})
                continue
            row: dict[str, Any] = {"data": f"{name} {rows:,}", "library": library.name}
            with watched(row, "build"):
                library.build(vectors)
            with tempfile.TemporaryDirectory() as folder:
                path = f"{folder}/graph"
                with watched(row, "save"):
                    library.save(path)
                with watched(row, "load"):
                    library.load(path)
                row["MB"] = round(os.path.getsize(path) / 1e6, 1)
            for ef in EFS[:4]:
                got = [set(found.tolist()) for found in library.search(queries, 10, ef, THREADS)]
                table.append(
                    row
                    | {
                        "ef": ef,
                        "recall@10": recall(got, truth),
                        "single per CPU s": rate(lambda q, e=ef, one=library: one.search(q, 10, e, 1), queries, 1),
                        "batch per CPU s": rate(
                            lambda q, e=ef, one=library: one.search(q, 10, e, THREADS), queries, 500
                        ),
                    }
                )
    return table


# ---------------------------------------------------------------- hnswlib as we use it


def built(metric: Metric, vectors: Float32, path: Path) -> hnsw.HnswIndex:
    builder = hnsw.HnswBuilder(metric, vectors.shape[1], M, EF_CONSTRUCTION, len(vectors))
    builder.add(vectors, THREADS, lambda: False)
    builder.save(path)
    return builder.finish(path)


def call() -> Table:
    """Asking for k' = ef candidates with ef 1, beside setting ef; and the adapter beside the bare call."""
    metric, vectors, queries = data("glove-100-angular", 30_000, 1_000)
    table: Table = []
    with tempfile.TemporaryDirectory() as folder:
        index = built(metric, vectors, Path(folder) / "graph")
        graph: Any = index._graph
        allowed = np.random.default_rng(1).random(len(vectors)) < 0.9
        for ef in (16, 64, 128, 512):
            graph.set_ef(ef)
            by_ef = graph.knn_query(queries, 10, 1)[0]
            ef_rate = rate(lambda q: graph.knn_query(q, 10, 1), queries, 1)
            graph.set_ef(1)
            by_k = graph.knn_query(queries, ef, 1)[0][:, :10]
            table.append(
                {
                    "ef": ef,
                    "same answers": bool((by_ef == by_k).all()),
                    "set_ef, k 10: us": round(1e6 / ef_rate, 1),
                    "ef 1, k' = ef: us": round(1e6 / rate(lambda q, e=ef: graph.knn_query(q, e, 1), queries, 1), 1),
                    "adapter: us": round(1e6 / rate(lambda q, e=ef: index.candidates(q, 10, e, None), queries, 1), 1),
                    "adapter, mask: us": round(
                        1e6 / rate(lambda q, e=ef: index.candidates(q, 10, e, allowed), queries, 1), 1
                    ),
                }
            )
        chosen = np.random.default_rng(2).integers(0, len(vectors), 10_000)
        started = time.perf_counter()
        index.vectors(chosen)
        mapped = time.perf_counter() - started
        started = time.perf_counter()
        graph.get_items(chosen.astype(np.uint64))
        table.append(
            {
                "10,000 rows": "",
                "map ms": round(1e3 * mapped, 2),
                "get_items ms": round(1e3 * (time.perf_counter() - started), 1),
            }
        )
    return table


def save() -> Table:
    """Three ways to get a graph to disk, and loading it; seconds, the longest pause, and seconds of pause a GB."""
    table: Table = []
    for dim, rows in ((100, 200_000), (768, 80_000)):
        vectors = np.random.default_rng(0).standard_normal((rows, dim), dtype=np.float32)
        graph = hnswlib.Index("l2", dim)
        graph.init_index(rows, M=M, ef_construction=10, random_seed=1)  # a poor graph has the same size
        graph.add_items(vectors, num_threads=THREADS)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "graph"

            def straight(graph: Any = graph, path: Path = path) -> None:
                graph.save_index(str(path))

            def state(graph: Any = graph, path: Path = path) -> None:
                held = graph.__getstate__()[0]
                with open(path, "wb") as file:
                    file.write(held["data_level0"])
                    file.write(held["link_lists"])

            def memory(graph: Any = graph, path: Path = path, dim: int = dim) -> None:
                builder = hnsw.HnswBuilder("euclidean", dim)
                builder._graph = graph
                builder.save(path)

            for name, write in (("save_index", straight), ("__getstate__", state), ("save_index to memory", memory)):
                row: dict[str, Any] = {"dim": dim, "way": name}
                for _ in range(2):  # the second time the file's pages are there already
                    with watched(row, "whole"):
                        write()
                row["pause s/GB"] = round(row["whole pause s"] / path.stat().st_size * 1e9, 2)
                table.append(row)
            row = {"dim": dim, "way": "load_index"}
            straight()
            with watched(row, "whole"):
                again = hnswlib.Index("l2", dim)
                again.load_index(str(path))
            row["pause s/GB"] = round(row["whole pause s"] / path.stat().st_size * 1e9, 2)
            table.append(row)
    return table


def ef() -> Table:
    """Recall@10 and rate of single searches, one segment a data set."""
    table: Table = []
    for name, rows in (
        ("glove-100-angular", 180_000),
        ("mnist-784-euclidean", 60_000),
        ("movies-384-minilm", 15_000),
        ("qbqtc-zh-8k", 8_000),
        ("scifact", 5_183),
    ):
        metric, vectors, queries = data(name, rows, 1_000)
        truth = exact(metric, queries, vectors)
        with tempfile.TemporaryDirectory() as folder:
            started = time.process_time()
            index = built(metric, vectors, Path(folder) / "graph")
            build_s = round(time.process_time() - started, 1)
            for width in (16, 32, 48, 64, 96, 128, 256, 512):
                ordinals, _ = index.candidates(queries, 10, width, None, THREADS)
                table.append(
                    {
                        "data": f"{name} {rows:,}",
                        "build CPU s": build_s,
                        "ef": width,
                        "recall@10": recall(top(metric, queries, vectors, ordinals), truth),
                        "single per CPU s": rate(
                            lambda q, e=width, one=index: one.candidates(q, 10, e, None), queries, 1
                        ),
                        "batch per CPU s": rate(
                            lambda q, e=width, one=index: one.candidates(q, 10, e, None, THREADS), queries, 500
                        ),
                    }
                )
            index.close()
    return table


def copies() -> Table:
    """Equal vectors, inserted as hnswlib does and linked once as the adapter does; recall counts equal scores alike."""
    generator = np.random.default_rng(0)
    metric, drawn, queries = data("movies-384-minilm", 10_100, 500)
    shapes = {
        "10,000 different": drawn[:10_000],
        "10,000 different, 500 of one more": np.concatenate((drawn[:10_000], np.repeat(drawn[10_000:10_001], 500, 0))),
        "10,000 different, 10,000 of one more": np.concatenate(
            (drawn[:10_000], np.repeat(drawn[10_000:10_001], 10_000, 0))
        ),
        "2,000 different, 10 of each": np.repeat(drawn[:2_000], 10, 0),
        "100 different, 200 of each": np.repeat(drawn[:100], 200, 0),
    }
    table: Table = []
    for name, rows in shapes.items():
        vectors = generator.permutation(rows)
        similarity = queries @ vectors.T
        tenth = np.partition(similarity, -10, axis=1)[:, -10] - 1e-6
        raw = Hnswlib(metric, vectors.shape[1])
        raw.build(vectors)
        with tempfile.TemporaryDirectory() as folder:
            index = built(metric, vectors, Path(folder) / "graph")
            for width in (64, 128, 512):
                row: dict[str, Any] = {"rows": name, "ef": width}
                for way, found in (
                    ("every row linked", raw.search(queries, 10, width, THREADS)),
                    ("linked once", index.candidates(queries, 10, width, None, THREADS)[0][:, :10]),
                ):
                    row[way] = round(float((np.take_along_axis(similarity, found, 1) >= tenth[:, None]).mean()), 3)
                table.append(row)
    return table


def dot() -> Table:
    """Maximum inner product: hnswlib's own space beside one more coordinate that makes it L2; recall@10."""
    _, unit, queries = data("glove-100-angular", 40_000, 500)
    generator = np.random.default_rng(0)
    table: Table = []
    for sigma in (0.0, 0.5, 1.0, 2.0):
        norms = np.exp(sigma * generator.standard_normal(len(unit)))
        vectors = (unit * norms[:, None]).astype(np.float32)
        truth = exact("dot", queries, vectors)
        bound = float(norms.max()) * 1.0001
        more = np.concatenate((vectors, np.sqrt(bound**2 - norms**2).astype(np.float32)[:, None]), axis=1)
        for way, rows, asked in (
            ("inner product", vectors, queries),
            ("one more coordinate, L2", more, np.pad(queries * np.float32(bound), ((0, 0), (0, 1)))),
        ):
            graph = Hnswlib("dot" if rows is vectors else "euclidean", rows.shape[1])
            graph.build(rows)
            row: dict[str, Any] = {"ln norm deviates by": sigma, "graph": way}
            for width in (64, 128, 256, 1_024):
                found = graph.search(asked, width, width, THREADS)
                row[f"ef {width}"] = recall(top("dot", queries, vectors, found), truth)
            table.append(row)
    return table


# ---------------------------------------------------------------- the command

PARTS: dict[str, Callable[[], Table]] = {
    "libraries": libraries,
    "call": call,
    "save": save,
    "ef": ef,
    "copies": copies,
    "dot": dot,
}


def printed(table: Table) -> None:
    columns = list(dict.fromkeys(key for row in table for key in row))
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for row in table:
        print("| " + " | ".join(str(row.get(column, "")) for column in columns) + " |")
    print(flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all when left out")
    parser.add_argument("--json", type=Path, help="also write the tables here")
    arguments = parser.parse_args()
    results: dict[str, Table] = {}
    for part in arguments.parts or PARTS:
        began, cpu = time.perf_counter(), time.process_time()
        print(f"## {part}: {(PARTS[part].__doc__ or '').strip()}\n")
        results[part] = PARTS[part]()
        printed(results[part])
        spent = time.process_time() - cpu
        print(f"{time.perf_counter() - began:.0f} s, {spent:.0f} s of CPU; load {os.getloadavg()[0]:.1f}\n", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
