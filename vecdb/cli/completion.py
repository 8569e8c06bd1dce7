"""``vecdb completion``: the script that teaches a shell the commands and options."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
VARIABLE = "_VECDB_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(tuple(SHELLS)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a completion script for SHELL: bash, zsh or fish.

    Example: vecdb completion bash > ~/.local/share/bash-completion/completions/vecdb
    """
    made = SHELLS[shell](ctx.find_root().command, {}, "vecdb", VARIABLE)
    click.echo(ShellComplete.source(made))  # what a subclass adds is to run the shell and ask for its version
