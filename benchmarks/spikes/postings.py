"""Spike: what postings cost: to make, to keep, to merge and to ask. Gives the figures of docs/decisions.

    VECDB_TEST_DATA=... python -m benchmarks.spikes.postings            # all, about a minute
    VECDB_TEST_DATA=... python -m benchmarks.spikes.postings index terms

``index``: texts a second through ``analyzed`` and ``GrowingPostings.append``, by processor time, in writes of 100; the
longest gap of a thread beside them that wants the GIL every half millisecond, at the switch interval of ``serve``; and
the longest append. ``space``: bytes for each 1,000 characters, growing and sealed. ``merge``: postings a second, and
the memory it takes. ``terms``: the time to find, complete and correct among a million terms.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.rows import rag_content
from vecdb.index.analysis.analyzer import analyzer
from vecdb.index.postings import merge
from vecdb.index.postings.chunk import analyzed
from vecdb.index.postings.contract import Postings
from vecdb.index.postings.growing import GrowingPostings, Share
from vecdb.index.postings.sealed import SealedPostings

WRITE = 100
DOCUMENT_TERMS = 60
SEGMENT = 65_536
SWITCH_S = BEAT_S = 0.0005


def texts_of(name: str, language: str | None = None) -> list[str]:
    with gzip.open(Path(os.environ["VECDB_TEST_DATA"]) / name / "docs.jsonl.gz", "rt", encoding="utf-8") as lines:
        documents = [json.loads(line) for line in lines]
    return [document["text"] for document in documents if language is None or document["lang"] == language]


def cut(texts: Sequence[str], characters: int) -> list[str]:
    """Pieces of so many characters."""
    return [text[at : at + characters] for text in texts for at in range(0, len(text) - characters + 1, characters)]


def grown(texts: Sequence[str]) -> tuple[GrowingPostings, float, float, list[float]]:
    """Postings of all texts; the seconds to analyze, to append, and of each append."""
    by, growing = analyzer(), GrowingPostings()
    by.column(["数据", "data"])  # loads the dictionaries
    analyzing, appends = 0.0, []
    for at in range(0, len(texts), WRITE):
        some = texts[at : at + WRITE]
        began = time.thread_time()
        chunk = analyzed(some, by)
        analyzing += time.thread_time() - began
        began = time.thread_time()
        growing.append([Share(chunk)], len(some))
        appends.append(time.thread_time() - began)
    return growing, analyzing, sum(appends), appends


@contextmanager
def heartbeat() -> Iterator[list[float]]:
    """Beside what runs, a thread that wants the GIL every half millisecond; how late it was, in seconds."""
    late: list[float] = []
    done = threading.Event()

    def beat() -> None:
        while not done.is_set():
            began = time.perf_counter()
            time.sleep(BEAT_S)
            late.append(time.perf_counter() - began - BEAT_S)

    thread = threading.Thread(target=beat)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    thread.start()
    try:
        yield late
    finally:
        done.set()
        thread.join()
        sys.setswitchinterval(interval)


def index() -> None:
    rag = [text for text, _ in rag_content()]
    print(
        "| texts | terms each | us to analyze | us to append | texts / s | longest append ms | gap ms: 99 % | longest |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, texts in {
        "English, 60 terms": (cut(texts_of("scifact"), 385) * 2)[:20_000],
        "Chinese, 60 terms": cut(["".join(texts_of("qbqtc-zh-8k"))], 35) * 3,
        "RAG rows": rag * 3,
    }.items():
        with heartbeat() as late:
            growing, analyzing, appending, appends = grown(texts)
        n = len(texts)
        print(
            f"| {name} | {growing.lengths.view().mean():.0f} | {1e6 * analyzing / n:.1f} | {1e6 * appending / n:.1f} | "
            f"{n / (analyzing + appending):,.0f} | {1e3 * max(appends):.1f} | "
            f"{1e3 * float(np.percentile(late, 99)):.1f} | {1e3 * max(late):.1f} |",
            flush=True,
        )


def space() -> None:
    print("| texts | characters | growing bytes / 1,000 characters | sealed | of it terms |")
    print("|---|---|---|---|---|")
    for name, texts in {"scifact": texts_of("scifact"), "qbqtc-zh-8k": texts_of("qbqtc-zh-8k")}.items():
        growing = grown(texts)[0]
        characters = sum(map(len, texts))
        with tempfile.TemporaryDirectory() as folder:
            merge.write(Path(folder) / "postings", [(growing.upto(len(texts)), np.arange(len(texts)))])
            table = growing.upto(len(texts)).table()
            size = (Path(folder) / "postings").stat().st_size
        terms = size - len(table.ordinals) * (4 + table.frequencies.itemsize)
        print(
            f"| {name} | {characters:,} | {1000 * growing.nbytes() / characters:,.0f} | "
            f"{1000 * size / characters:,.0f} | {1000 * terms / characters:,.0f} |",
            flush=True,
        )


def merges() -> None:
    texts = cut(["".join(texts_of("qbqtc-zh-8k"))], 35) + cut(texts_of("scifact"), 385)
    halves = [grown(texts[::2])[0].upto(len(texts[::2])), grown(texts[1::2])[0].upto(len(texts[1::2]))]
    with tempfile.TemporaryDirectory() as folder:
        sealed: list[tuple[Postings, np.ndarray[tuple[int], np.dtype[np.int64]]]] = []
        for i, half in enumerate(halves):
            merge.write(Path(folder) / f"{i}", [(half, np.arange(len(half)))])
            sealed.append((SealedPostings(Path(folder) / f"{i}"), np.arange(len(half))))
        for name, sources in {
            "all of 2": sealed,
            "9 of 10 of 2": [(one, some[some % 10 > 0]) for one, some in sealed],
        }.items():
            with heartbeat() as late:
                began = time.perf_counter()
                merge.write(Path(folder) / "all", sources * 8)
                taken = time.perf_counter() - began
            made = SealedPostings(Path(folder) / "all").table()
            tracemalloc.start()
            merge.write(Path(folder) / "all", sources * 8)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            print(
                f"merge of {name}, 8 times: {len(made.ordinals):,} postings, {len(made.starts) - 1:,} terms, "
                f"{len(made.ordinals) / taken / 1e6:.1f} M postings / s, {peak / 1e6:.0f} MB beside the sources, "
                f"longest gap {1e3 * max(late):.1f} ms",
                flush=True,
            )


def words(n: int) -> list[str]:
    """Different words of English letters, as long as English words are, by the letters of English."""
    draw = np.random.default_rng(1)
    letters = np.frombuffer("".join(texts_of("scifact")[:500]).lower().encode("ascii", "ignore"), dtype=np.uint8)
    letters = letters[(letters >= ord("a")) & (letters <= ord("z"))]
    out: dict[str, None] = {}
    while len(out) < n:
        sizes = np.clip(draw.normal(8, 2.5, size=n // 4), 3, 18).astype(int)
        text = draw.choice(letters, size=int(sizes.sum())).tobytes().decode()
        ends = np.cumsum(sizes).tolist()
        out.update(dict.fromkeys(text[end - size : end] for end, size in zip(ends, sizes.tolist(), strict=True)))
    return list(out)[:n]


def median_ms(call: Callable[[str], object], asked: Sequence[str]) -> str:
    times = []
    for one in asked:
        began = time.perf_counter()
        call(one)
        times.append(1e3 * (time.perf_counter() - began))
    return f"first {times[0]:8.3f}   median {np.median(times[1:]):8.3f}   worst {max(times[1:]):8.3f} ms"


def terms() -> None:
    by = analyzer("whitespace")
    every = words(1_000_000)
    growing = GrowingPostings()
    for at in range(0, len(every), 10_000):
        growing.append([Share(analyzed(every[at : at + 10_000], by))], len(every[at : at + 10_000]))
    draw = np.random.default_rng(2)
    asked = [every[i] for i in draw.integers(len(every), size=40)]
    typos = [word[:2] + "e" + word[3:] for word in asked]
    with tempfile.TemporaryDirectory() as folder:
        grown_postings = growing.upto(len(every))
        merge.write(Path(folder) / "postings", [(grown_postings, np.arange(len(every)))])
        sealed = SealedPostings(Path(folder) / "postings")
        print("among 1,000,000 terms of English letters")
        for name, postings in (("sealed", sealed), ("growing", grown_postings)):
            print(f"  {name:8} find one        {median_ms(lambda one, p=postings: p.find([one]), asked)}")
            print(f"  {name:8} starting (3)    {median_ms(lambda one, p=postings: p.starting(one[:3], 1_000), asked)}")
            for edits in (1, 2):
                times = median_ms(lambda one, p=postings, e=edits: p.near(one, e, 50), typos)
                print(f"  {name:8} near, {edits} edits   {times}")
    characters = [chr(0x4E00 + i) for i in range(1_000)]
    bigrams = [a + b for a in characters for b in characters]
    growing = GrowingPostings()
    growing.append([Share(analyzed(bigrams, by))], len(bigrams))
    with tempfile.TemporaryDirectory() as folder:
        merge.write(Path(folder) / "postings", [(growing.upto(len(bigrams)), np.arange(len(bigrams)))])
        sealed = SealedPostings(Path(folder) / "postings")
        print("among 1,000,000 terms of two Chinese characters")
        asked = [bigrams[i] for i in draw.integers(len(bigrams), size=10)]
        for edits in (1, 2):
            print(f"  sealed   near, {edits} edits   {median_ms(lambda one, e=edits: sealed.near(one, e, 50), asked)}")


PARTS: dict[str, Callable[[], None]] = {"index": index, "space": space, "merge": merges, "terms": terms}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], default=[])
    for part in parser.parse_args().parts or PARTS:
        PARTS[part]()


if __name__ == "__main__":
    main()
