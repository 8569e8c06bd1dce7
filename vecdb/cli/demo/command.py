"""``vecdb demo``: its options, what it needs, and how it ends."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import sys
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from vecdb.cli.demo.result import Result

NEEDED = {"rich": "rich", "rocksdict": "rocksdict", "sklearn": "scikit-learn"}
INSTALL = "pip install 'vecdb-py[demo]'"
INSTALL_CHECKOUT = "pip install '.[demo]'"


@click.command()
@click.option("--data", default="vecdb-demo", show_default=True, metavar="PATH", help="Folder of all that it keeps.")
@click.option(
    "--passages",
    default=10_000,
    show_default=True,
    type=click.IntRange(min=100),
    metavar="COUNT",
    help="Take so many passages of the standard library at most.",
)
@click.option(
    "--embedder",
    metavar="MODULE:FUNCTION",
    help="Make vectors with this function instead, from a list of str to an array [n, dim].",
)
@click.option("--json", "json_file", metavar="FILE", help="Write the result as JSON too; - for standard output.")
@click.option("--keep-serving", is_flag=True, help="Leave the server up until Ctrl-C.")
def demo(data: str, passages: int, embedder: str | None, json_file: str | None, keep_serving: bool) -> None:
    """Store and search the documentation of Python found on this machine.

    Starts a server with its data in ./vecdb-demo, loads passages through it, answers a few questions, and
    measures recall and latency. Run again, it opens what is there.
    """
    require_extras()
    from vecdb.cli.demo.embedding import GivenEmbedding, LsiEmbedding
    from vecdb.cli.demo.report import Report
    from vecdb.cli.demo.run import run

    folder = Path(data)
    if (folder / "vecdb.json").exists():
        raise click.UsageError(f"{data} is the data directory of a database; the demo needs a folder of its own")
    embedding = GivenEmbedding(embedder) if embedder else LsiEmbedding()
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(_open(json_file)) if json_file else None
        report = Report(_showing_all(sys.stderr if json_file == "-" else sys.stdout))

        def keep(result: Result) -> None:
            if out is not None:
                json.dump(result.as_json(), out, ensure_ascii=False, indent=2)
                out.write("\n")
                out.flush()

        try:
            run(folder, passages, embedding, report, keep, keep_serving)
        except KeyboardInterrupt:
            raise SystemExit(128 + signal.SIGINT) from None


def require_extras() -> None:
    """Raise click.ClickException, naming the command, where something that the demo needs is not installed."""
    missing = [name for module, name in NEEDED.items() if find_spec(module) is None]
    if missing:
        raise click.ClickException(
            f"the demo needs {' and '.join(missing)}; install it all with: {INSTALL} "
            f"(in a checkout: {INSTALL_CHECKOUT})"
        )


def _open(path: str) -> AbstractContextManager[IO[Any]]:
    try:
        return click.open_file(path, "w", encoding="utf-8")
    except OSError as error:
        raise click.FileError(path, error.strerror) from error


def _showing_all(file: TextIO) -> TextIO:
    """The stream, which from now on shows ? for what its encoding lacks instead of failing."""
    if isinstance(file, io.TextIOWrapper):
        file.reconfigure(errors="replace")
    return file
