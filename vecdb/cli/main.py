"""The group of all commands. A command imports what it needs when it runs, so that ``--help`` is quick."""

from __future__ import annotations

import errno
import traceback
from pathlib import Path
from typing import NoReturn

import click

from vecdb.cli import exits
from vecdb.cli.analyze import analyze
from vecdb.cli.bench.command import bench
from vecdb.cli.changes import changes
from vecdb.cli.check import check
from vecdb.cli.collections import collections
from vecdb.cli.compact import compact
from vecdb.cli.completion import completion
from vecdb.cli.demo.command import demo
from vecdb.cli.exporting import export
from vecdb.cli.facet import facet
from vecdb.cli.get import count, get
from vecdb.cli.healthcheck import healthcheck
from vecdb.cli.importing import import_
from vecdb.cli.inspect import inspect
from vecdb.cli.recall import recall
from vecdb.cli.reopen import reopen
from vecdb.cli.restore import restore
from vecdb.cli.search import search
from vecdb.cli.serve import serve
from vecdb.cli.signals import ending_in_order
from vecdb.cli.snapshot import snapshot
from vecdb.cli.stats import info, stats
from vecdb.cli.verify import verify
from vecdb.errors import VecdbError
from vecdb.model.version import VERSION

PACKAGE = Path(__file__).parents[1]


class _Commands(click.Group):
    """Whatever happens in a command ends as one line and an exit status, never as a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            with ending_in_order():
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except VecdbError as error:
            _end(f"{error.reason}: {error}", exits.status_of(error))
        except KeyboardInterrupt:
            raise SystemExit(exits.INTERRUPTED) from None
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever read our output has seen enough; click ends in peace
                raise
            where = f"{error.filename}: " if error.filename else ""
            _end(f"{where}{error.strerror or error}", exits.REFUSED)
        except Exception as error:  # noqa: BLE001 - the outermost place; what comes here is ours to mend
            if ctx.params["traceback"]:
                traceback.print_exc()
            _end(_defect(error), exits.DEFECT)


def _end(message: str, status: int) -> NoReturn:
    click.echo(f"Error: {' '.join(message.split())}", err=True)
    raise SystemExit(status)


def _defect(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = next((f for f in reversed(frames) if Path(f.filename).is_relative_to(PACKAGE)), frames[-1])
    return (
        f"INTERNAL: {type(error).__name__}: {error} [at {ours.filename}:{ours.lineno}]; this is a defect of vecdb "
        f"{VERSION}: `vecdb --traceback ...` shows where, please report that"
    )


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="vecdb")
@click.option("--traceback", is_flag=True, help="Show where a defect of vecdb happened.")
def main(traceback: bool) -> None:
    """A self-hosted vector database."""


for _command in (
    analyze,
    bench,
    changes,
    check,
    collections,
    compact,
    completion,
    count,
    demo,
    export,
    facet,
    get,
    healthcheck,
    import_,
    info,
    inspect,
    recall,
    reopen,
    restore,
    search,
    serve,
    snapshot,
    stats,
    verify,
):
    main.add_command(_command)
