"""What ``--help`` tells, and what it costs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from tests.cli.conftest import run
from tests.project.repository import ROOT
from vecdb.cli.main import main

SHOWN_WIDTH = 63  # of a line in the list of commands, on a terminal of 80 columns


def commands(
    group: click.Command = main, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, group
    if isinstance(group, click.Group):
        for name, command in group.commands.items():
            yield from commands(command, (*path, name))


COMMANDS = dict(commands())


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_and_option_explains_itself(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert command.help
    if path and path[0] != "demo":
        assert len(command.get_short_help_str(SHOWN_WIDTH)) == len(command.get_short_help_str(1000))
        assert isinstance(command, click.Group) or f"Example: vecdb {' '.join(path)}" in command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help
            assert parameter.help.endswith((".", "]", ")")), parameter.opts
    assert run(*path, "--help").status == 0


def test_help_is_quick() -> None:
    program = """
import sys
from vecdb.cli.main import main
for words in (["--help"], ["search", "--help"], ["serve", "--help"], ["bench", "-h"], ["import", "-h"]):
    try:
        main(words)
    except SystemExit as end:
        assert end.code == 0
print(sorted({"grpc", "numpy", "google", "orjson", "rocksdict", "hnswlib"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
