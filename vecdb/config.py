"""The settings of ``vecdb serve``: one table that feeds flags, VECDB_* variables and the documentation.

A setting is taken from its flag, else from its variable, else it is the default. This is the only module
that reads the environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vecdb.errors import InvalidArgument

PREFIX = "VECDB_"

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)

# Libraries read these when they are first imported. One thread each: calls are the parallelism.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: ``parse`` makes its value from text and raises ValueError saying what it expects.

    ``unit`` is for people ("" where there is none); a ``default`` of None is told by ``help``.
    """

    name: str
    default: str | None
    unit: str
    help: str
    parse: Callable[[str], Any]

    @property
    def flag(self) -> str:
        """Its flag, ``--max-memory``."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """Its environment variable, ``VECDB_MAX_MEMORY``."""
        return PREFIX + self.name.upper()


def size(text: str) -> int:
    """Bytes from ``4GiB``, ``512m`` or ``1048576``; units are powers of 1,024."""
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise ValueError("a size such as 4GiB, 512MiB or 1048576")
    return int(float(found[1]) * _UNITS[found[2].lower()])


def seconds(text: str) -> float:
    """Seconds from ``10`` or ``0.5``."""
    expected = "seconds, 0 or more"
    try:
        value = float(text)
    except ValueError:
        raise ValueError(expected) from None
    if not 0 <= value < float("inf"):
        raise ValueError(expected)
    return value


def count(text: str) -> int:
    """A whole number from 1."""
    if not text.strip().isdecimal() or int(text) < 1:
        raise ValueError("a whole number from 1")
    return int(text)


def text(text: str) -> str:
    """Any text but none at all."""
    if not text:
        raise ValueError("some text")
    return text


def one_of(*choices: str) -> Callable[[str], str]:
    """A parser of one of ``choices``."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(" | ".join(choices))
        return text

    return parse


SERVE: tuple[Setting, ...] = (
    Setting("data", None, "path", "Directory of the data; made if it is not there. Required.", text),
    Setting("address", "127.0.0.1:50051", "", "Where to listen: host:port, or unix:/path.", text),
    Setting(
        "durability", "fsync", "", "What a write survives: fsync (power loss), os (a kill).", one_of("fsync", "os")
    ),
    Setting("max_memory", None, "bytes", "Bound on memory, for example 4GiB. Without it there is none.", size),
    Setting("max_calls", "64", "", "Reads, and as many writes, answered at a time; more are refused at once.", count),
    Setting("grace", "10", "seconds", "What calls under way get to finish when the server stops.", seconds),
    Setting("log_level", "info", "", "debug, info, warning or error.", one_of("debug", "info", "warning", "error")),
)


def settings(table: tuple[Setting, ...], flags: Mapping[str, str | None]) -> dict[str, Any]:
    """The value of every setting in ``table``. Raises InvalidArgument naming the flag or variable."""
    return {setting.name: _value(setting, flags.get(setting.name)) for setting in table}


def _value(setting: Setting, flag: str | None) -> Any:
    variable = os.environ.get(setting.variable) or None  # an empty variable is one that is not set
    for source, text in ((setting.flag, flag), (setting.variable, variable)):
        if text is not None:
            try:
                return setting.parse(text)
            except ValueError as error:
                raise InvalidArgument("bad setting", field=source, expected=str(error), received=repr(text)) from None
    return None if setting.default is None else setting.parse(setting.default)


def one_thread_for_libraries() -> None:
    """Keep numeric libraries to one thread unless told otherwise. Call before numpy is imported."""
    for name in _ONE_THREAD:
        os.environ.setdefault(name, "1")
