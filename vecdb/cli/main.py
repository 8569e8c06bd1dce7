"""The group of all commands. A command imports what it needs when it runs, so that ``--help`` is quick."""

from __future__ import annotations

import click

from vecdb.cli.demo.command import demo
from vecdb.cli.healthcheck import healthcheck
from vecdb.cli.serve import serve
from vecdb.errors import VecdbError
from vecdb.model.version import VERSION


class _Commands(click.Group):
    """Shows an error of vecdb as one line, without a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except VecdbError as error:
            raise click.ClickException(f"{error.reason}: {error}") from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="vecdb")
def main() -> None:
    """A self-hosted vector database."""


main.add_command(serve)
main.add_command(demo)
main.add_command(healthcheck)
