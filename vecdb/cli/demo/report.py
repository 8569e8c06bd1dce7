"""The run as a person reads it: tables by rich; where there is no terminal, without lines and colours."""

from __future__ import annotations

import platform
import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TextIO

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from vecdb.cli.demo.measure import Latency
from vecdb.cli.demo.result import Answer, Found, Result, Source
from vecdb.cli.demo.store import Load

PLAIN_WIDTH = 110
SHOWN_HITS = 3
PASSAGE_WIDTH = 23
SHOWN_WIDTH = 210  # columns; a Chinese character takes two
PLANS = {"graph": "through the graph", "exact": "exactly, which costs less for so few"}


class Report:
    """Prints facts as they come to be known."""

    def __init__(self, file: TextIO) -> None:
        width = None if file.isatty() else PLAIN_WIDTH
        self._console = Console(file=file, width=width, highlight=False, markup=False, emoji=False)

    def working(self, what: str) -> AbstractContextManager[object]:
        """Says what goes on, on a terminal, until the end of the block."""
        return self._console.status(f"{what} ...")

    def fact(self, label: str, text: str) -> None:
        """A line, or several, beside a label."""
        grid = Table.grid(padding=(0, 2))
        grid.add_column(width=10, style="bold")
        grid.add_column(overflow="fold")
        grid.add_row(label, text)
        self._print(grid)

    def text(self, text: Source) -> None:
        """What there is to be found."""
        library = text.passages - text.guide_en - text.guide_zh
        self.fact(
            "text",
            f"{text.passages:,} passages: {library:,} from the documentation strings of {text.modules} modules of "
            f"Python {platform.python_version()}'s standard library, {text.guide_en} of vecdb's guide in English, "
            f"{text.guide_zh} in Chinese",
        )

    def load(self, load: Load | None, reason: str | None) -> None:
        """How the collection came to be."""
        if load is None:
            self.fact("opened", "what an earlier run stored; nothing was loaded")
        else:
            self.fact("loaded", f"{load.points:,} points: {reason}")

    def answer(self, answer: Answer) -> None:
        """A question and the best passages found, with their words; how near each is by words and by its vector."""
        table = Table(
            title=f"\n{answer.question}",
            title_justify="left",
            title_style="bold",
            box=self._box(),
            pad_edge=False,
            expand=True,
        )
        table.add_column("score", justify="right", width=5)
        table.add_column("words", justify="right", width=5)
        table.add_column("vector", justify="right", width=6)
        table.add_column("passage", width=PASSAGE_WIDTH, overflow="fold")
        table.add_column("text", ratio=1, overflow="fold")
        for hit in answer.hits[:SHOWN_HITS]:
            places = (_place(hit.words_rank), _place(hit.vector_rank))
            table.add_row(f"{hit.score:.3f}", *places, hit.id, self._marked(hit))
        self._print(table)

    def figures(self, result: Result) -> None:
        """What was measured."""
        table = Table(title="\nMeasured", title_justify="left", title_style="bold", box=self._box(), pad_edge=False)
        table.add_column("what", overflow="fold")
        table.add_column("figure", overflow="fold")
        if result.load is not None:
            table.add_row(
                "load over gRPC",
                f"{result.load.points_per_s:,.0f} points/s, {result.load.batch} a call, on the disk when it returns",
            )
        index = result.index
        table.add_row(
            "vectors in HNSW graphs",
            f"{index.in_graphs:,} of {index.vectors:,}, of {result.dim} dimensions, after {index.seconds:.1f} s",
        )
        table.add_row("searches are carried out", " and ".join(PLANS[plan] for plan in result.plans))
        table.add_row(
            "recall@10 against exact search",
            f"{result.recall_at_10:.4f} for {result.text.held_out} passages that are not stored and the questions",
        )
        table.add_row("one search over gRPC", _latency(result.latency_ms))
        table.add_row("one exact search over gRPC", _latency(result.exact_latency_ms))
        table.add_row("one hybrid search over gRPC", _latency(result.hybrid_latency_ms))
        table.add_row("the demo in all", f"{result.seconds:.0f} s")
        self._print(table)

    def end(self, folder: Path) -> None:
        """What can be done next, when the server is stopped."""
        self._console.print(
            f"\nAll of it stays in {folder}: run the demo again and it opens what is there.", soft_wrap=True
        )

    def serving(self, address: str, id: str) -> None:
        """How to talk to the server that is left up."""
        self._console.print(
            f"\nServing on {address} until Ctrl-C. For example:\n\n"
            "    import vecdb\n\n"
            f'    docs = vecdb.connect("{address}").collection("demo")\n'
            f'    point = docs.get(["{id}"], with_vectors=True)[0]\n'
            "    print(docs.search(point.vector, limit=5))\n",
            soft_wrap=True,
        )

    def _print(self, what: RenderableType) -> None:
        """Print it; where there is no terminal, without spaces at the ends of lines."""
        if self._console.is_terminal:
            self._console.print(what)
            return
        with self._console.capture() as printed:
            self._console.print(what)
        for line in printed.get().splitlines():
            self._console.out(line.rstrip())

    def _marked(self, hit: Found) -> Text:
        """The snippet on one line, its words bold; where there is no terminal, between asterisks."""
        line, at = Text(), 0
        terminal = self._console.is_terminal
        for start, end in hit.words:
            line.append(_on_one_line(hit.snippet[at:start]))
            word = _on_one_line(hit.snippet[start:end])
            line.append(word if terminal else f"*{word}*", style="bold")
            at = end
        line.append(_on_one_line(hit.snippet[at:]))
        line.truncate(SHOWN_WIDTH, overflow="ellipsis")
        return line

    def _box(self) -> box.Box | None:
        return box.SIMPLE_HEAD if self._console.is_terminal else None


def _on_one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def _place(rank: int | None) -> str:
    return "-" if rank is None else f"{rank}."


def _latency(latency: Latency) -> str:
    return (
        f"p50 {latency.p50:.2f} ms, p95 {latency.p95:.2f} ms, p99 {latency.p99:.2f} ms ({latency.searches:,} searches)"
    )
