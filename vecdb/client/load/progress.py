"""How far something is: a bar on a terminal, plain lines elsewhere, or whatever a person wants called."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Protocol

from vecdb.errors import InvalidArgument

Progress = bool | Callable[[int, int | None], object]


class Advance(Protocol):
    """Is told how many are done, and of how many where that is known only now."""

    def __call__(self, done: int, total: int | None = None, /) -> None: ...


# Seconds between two plain lines.
_LINE_EVERY_S = 5.0


@contextmanager
def reporter(progress: Progress, what: str, total: int | None, unit: str = "") -> Iterator[Advance]:
    """Gives a function to call with how many of ``total`` (None: not known) are done so far; ``unit`` is what.

    ``progress``: False for silence, True for a bar (plain lines where standard error is no terminal or rich is not
    installed), or what is called with the numbers done and in all. Raises InvalidArgument for anything else.
    """
    if progress is False:
        yield _silence
    elif callable(progress):
        heard = progress
        yield lambda done, of=None: _ignore(heard(done, total if of is None else of))
    elif progress is not True:
        raise InvalidArgument(
            "not a progress", field="progress", expected="bool or callable", received=repr(progress)[:40]
        )
    elif sys.stderr.isatty() and find_spec("rich") is not None:
        with _bar(what, total, unit) as advance:
            yield advance
    else:
        lines = _Lines(what, total, unit)
        yield lines.advance
        lines.end()


@contextmanager
def _bar(what: str, total: int | None, unit: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    done = DownloadColumn(binary_units=True) if unit == "bytes" else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), done, TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done, of=None: bar.update(task, completed=done, total=total if of is None else of)


class _Lines:
    """A line now and then, and one at the end."""

    def __init__(self, what: str, total: int | None, unit: str) -> None:
        self._what = what
        self._total = total
        self._unit = f" {unit}" if unit else ""
        self._done = 0
        self._last_line = time.monotonic()

    def advance(self, done: int, total: int | None = None, /) -> None:
        self._done = done
        self._total = self._total if total is None else total
        if time.monotonic() - self._last_line >= _LINE_EVERY_S:
            self._last_line = time.monotonic()
            self.end()

    def end(self) -> None:
        of = "" if self._total is None else f" of {self._total:,}"
        sys.stderr.write(f"{self._what}: {self._done:,}{of}{self._unit}\n")
        sys.stderr.flush()


def _silence(done: int, total: int | None = None, /) -> None:
    """Nobody wants to know."""


def _ignore(answer: object) -> None:
    """What a person's function returns says nothing to us."""
