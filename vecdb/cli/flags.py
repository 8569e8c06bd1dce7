"""The flags of a command that come from the table of settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from vecdb import config
from vecdb.config import Setting, Settings
from vecdb.errors import InvalidArgument


def flags(table: tuple[Setting, ...]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that gives a command the flags of ``table``, each None unless it is given."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for setting in reversed(table):
            if setting.by_flag:
                command = _flag(setting)(command)
        return command

    return add


def _flag(setting: Setting) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    # Its default is told here and not to click, which could not tell it from a flag that was given.
    default = f" [{setting.default}]" if setting.default else ""
    text = f"{setting.help}{default} ({setting.variable})"
    if setting.parse is config.switch:
        return click.option(setting.flag, setting.name, is_flag=True, flag_value="true", default=None, help=text)
    metavar = (setting.unit or "text").upper()
    return click.option(setting.flag, setting.name, metavar=metavar, help=text)


def chosen(table: tuple[Setting, ...], given: Mapping[str, str | None]) -> Settings:
    """The settings of ``table`` with these flags; a wrong one is a mistake in the command line."""
    try:
        return config.settings(table, given)
    except InvalidArgument as error:
        raise click.UsageError(str(error)) from None
