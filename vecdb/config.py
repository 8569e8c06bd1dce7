"""The settings of vecdb: one table that feeds flags, VECDB_* variables, a TOML file and the documentation.

A setting is taken from its flag, else from its variable, else from the file, else it is the default. A
name that is in no table is refused with the nearest one. This is the only module that reads the environment.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from vecdb.errors import InvalidArgument

PREFIX = "VECDB_"
DEFAULT = "default"

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)

# Kubernetes tells every container of services beside it: of one called vecdb, in VECDB_PORT and the like.
_TELLS_OF_A_SERVICE = re.compile(
    r"(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)

# Libraries read these when they are first imported. One thread each: calls are the parallelism.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def size(text: str) -> int:
    """Bytes, at least one, from ``4GiB``, ``512m`` or ``1048576``; units are powers of 1,024."""
    found = _SIZE.fullmatch(text.strip())
    nbytes = int(float(found[1]) * _UNITS[found[2].lower()]) if found else 0
    if nbytes < 1:
        raise ValueError("a size such as 4GiB, 512MiB or 1048576")
    return nbytes


def size_or_none(text: str) -> int:
    """As ``size``, or 0."""
    return 0 if text.strip() == "0" else size(text)


def message_size(text: str) -> int:
    """As ``size``, up to 1 GiB: gRPC counts the bytes of a message in 31 bits."""
    if (nbytes := size(text)) > _UNITS["g"]:
        raise ValueError("a size up to 1GiB")
    return nbytes


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


def share(text: str) -> float:
    """A number from 0 to 1."""
    expected = "a number from 0 to 1"
    try:
        value = float(text)
    except ValueError:
        raise ValueError(expected) from None
    if not 0 <= value <= 1:
        raise ValueError(expected)
    return value


def count(text: str) -> int:
    """A whole number from 1."""
    if not text.strip().isdecimal() or int(text) < 1:
        raise ValueError("a whole number from 1")
    return int(text)


def count_to(most: int) -> Callable[[str], int]:
    """A parser of a whole number from 1 to ``most``, which vecdb itself does not pass."""

    def parse(text: str) -> int:
        if not text.strip().isdecimal() or not 1 <= int(text) <= most:
            raise ValueError(f"a whole number from 1 to {most:,}")
        return int(text)

    return parse


def count_or_none(text: str) -> int:
    """A whole number from 0."""
    if not text.strip().isdecimal():
        raise ValueError("a whole number from 0")
    return int(text)


def text(text: str) -> str:
    """Any text but none at all."""
    if not text:
        raise ValueError("some text")
    return text


def switch(text: str) -> bool:
    """``true`` or ``false``; 1 and 0 are the same."""
    if text not in ("true", "false", "1", "0"):
        raise ValueError("true | false")
    return text in ("true", "1")


def one_of(*choices: str) -> Callable[[str], str]:
    """A parser of one of ``choices``."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(" | ".join(choices))
        return text

    return parse


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: ``parse`` makes its value from text and raises ValueError saying what it expects.

    ``unit`` is for people ("" where there is none); a ``default`` of None is told by ``help``. ``option``
    is what takes the value, ``engine.max_memory_bytes``; "" is the command itself. ``by_flag``,
    ``by_file``: whether it can be given so; by its variable it always can.
    """

    name: str
    default: str | None
    unit: str
    help: str
    parse: Callable[[str], Any] = text
    option: str = ""
    by_flag: bool = True
    by_file: bool = True

    @property
    def flag(self) -> str:
        """Its flag, ``--max-memory``."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """Its environment variable, ``VECDB_MAX_MEMORY``."""
        return PREFIX + self.name.upper()


SERVE: tuple[Setting, ...] = (
    Setting("config", None, "path", "TOML file of settings, each by its name: max_calls = 128.", by_file=False),
    Setting("data", None, "path", "Directory of the data; made if it is not there. Required."),
    # -- the server
    Setting("address", "127.0.0.1:50051", "", "Where to listen: host:port, or unix:/path.", text, "server.address"),
    Setting(
        "insecure",
        "false",
        "",
        "Listen also where other machines reach the server: there are no keys yet, and no TLS.",
        switch,
        "server.insecure",
    ),
    Setting(
        "max_calls",
        "64",
        "",
        "Reads, and as many writes, answered at a time; more are refused at once.",
        count,
        "server.max_calls",
    ),
    Setting(
        "max_streams",
        "256",
        "",
        "Search streams that may be open, each with a thread; 0: clients ask one call at a time.",
        count_or_none,
        "server.max_streams",
    ),
    Setting(
        "max_followers",
        "64",
        "",
        "Calls that may wait for changes, each with a thread; more are refused at once.",
        count,
        "server.max_followers",
    ),
    Setting(
        "max_requests",
        "512MiB",
        "bytes",
        "Requests of the calls that are answered at a time, together; more are refused at once.",
        size,
        "server.max_request_bytes",
    ),
    Setting(
        "max_message",
        "64MiB",
        "bytes",
        "One message; clients split what is larger.",
        message_size,
        "limits.message_bytes",
    ),
    Setting(
        "max_search_hits", "100000", "", "Hits of one call, its queries times their limit.", count, "limits.search_hits"
    ),
    Setting("max_dim", "65536", "", "Numbers of a vector.", count_to(65_536), "limits.dim"),
    Setting(
        "max_fields", "64", "", "Vector fields of a collection, and as many text fields.", count_to(64), "limits.fields"
    ),
    Setting(
        "max_window",
        "10000",
        "hits",
        "Offset and limit of a search together.",
        count_to(10_000),
        "limits.search_window",
    ),
    Setting("max_legs", "16", "", "Legs of a search.", count_to(16), "limits.search_legs"),
    Setting(
        "max_ef", "10000", "", "How widely a search may ask a graph to be searched.", count_to(10_000), "limits.ef"
    ),
    Setting("grace", "10", "seconds", "What calls under way get to finish when the server stops.", seconds),
    Setting("log_level", "info", "", "debug, info, warning or error.", one_of("debug", "info", "warning", "error")),
    # -- the engine
    Setting(
        "durability",
        "fsync",
        "",
        "What a write survives: fsync (power loss), os (a kill).",
        one_of("fsync", "os"),
        "engine.durability",
    ),
    Setting(
        "max_memory",
        None,
        "bytes",
        "Bound on memory, for example 4GiB; writes past it are refused. Unless set, 80 % of the container's; 0: none.",
        size_or_none,
        "engine.max_memory_bytes",
    ),
    Setting(
        "index_threads",
        None,
        "threads",
        "Threads that build graphs. Unless set, half as many as there are cores.",
        count,
        "engine.index_threads",
    ),
    Setting(
        "search_threads",
        None,
        "threads",
        "Threads that one batch of searches uses. Unless set, as many as there are cores.",
        count,
        "engine.search_threads",
    ),
    Setting(
        "max_unindexed",
        "128MiB",
        "bytes",
        "Vectors of a collection without a graph; a write past it waits for the builder, then is refused.",
        size,
        "engine.max_unindexed_bytes",
    ),
    Setting(
        "graph_rows",
        "4096",
        "rows",
        "No graph for fewer rows than this, unless their vectors would fill a growing segment.",
        count,
        "engine.graph_rows",
    ),
    Setting(
        "growing_vectors",
        "32MiB",
        "bytes",
        "A growing segment ends when it has so many bytes of vectors.",
        size,
        "engine.growing_vector_bytes",
    ),
    Setting("growing_rows", "65536", "rows", "A growing segment ends at so many rows.", count, "engine.growing_rows"),
    Setting(
        "growing_bodies",
        "16MiB",
        "bytes",
        "A growing segment ends when it has so many bytes of text and payload.",
        size,
        "engine.growing_body_bytes",
    ),
    Setting(
        "seal_size",
        "64MiB",
        "bytes",
        "The graph under construction becomes a segment at this size while writes go on.",
        size,
        "engine.seal_bytes",
    ),
    Setting("max_segment", "1GiB", "bytes", "No segment grows larger.", size, "engine.max_segment_bytes"),
    Setting(
        "idle_seal",
        "5",
        "seconds",
        "What was written becomes a segment when nothing more came for so long.",
        seconds,
        "engine.idle_seal_s",
    ),
    Setting(
        "measure_share",
        "0.01",
        "share",
        "Of one core, how much measuring recall may take while nothing is written; 0: recall is not measured.",
        share,
        "engine.measure_share",
    ),
    Setting(
        "recall_bound",
        "0.9",
        "recall",
        "A graph whose recall@10 was measured below this at the default ef is built again, once; 0: none is.",
        share,
        "engine.recall_bound",
    ),
    Setting(
        "request_memory",
        "600",
        "seconds",
        "How long a request id is remembered, so that a write sent twice is done once.",
        seconds,
        "engine.request_memory_s",
    ),
    Setting(
        "keep_changes",
        "600",
        "seconds",
        "How far back the change feed goes: so long deleted and replaced points keep their space. "
        "A day, for a replica that starts from a snapshot of the night: 90000.",
        seconds,
        "engine.keep_changes_s",
    ),
    Setting(
        "keep_changes_size",
        "64MiB",
        "bytes",
        "And how much of them each collection keeps at most, whatever their age; also no more than half of what lives "
        "in it, 8 MiB at least.",
        size,
        "engine.keep_changes_bytes",
    ),
    Setting(
        "open_collections",
        "1000",
        "",
        "Collections kept open at a time; of more, small idle ones are closed.",
        count,
        "engine.open_collections",
    ),
    Setting(
        "evict_idle",
        "5",
        "seconds",
        "A collection unused for so long may be closed when too many are open.",
        seconds,
        "engine.evict_idle_s",
    ),
    Setting("max_payload", "1MiB", "bytes", "The payload of one point, as JSON.", size, "engine.max_payload_bytes"),
    Setting("max_text", "8MiB", "bytes", "One text.", size, "engine.max_text_bytes"),
    Setting("max_batch", "256MiB", "bytes", "One write batch.", size, "engine.max_batch_bytes"),
    Setting("max_batch_rows", "1000000", "rows", "Rows and ids of one write batch.", count, "engine.max_batch_rows"),
    Setting("max_collections", "100000", "", "Collections of the database.", count, "engine.max_collections"),
    Setting("max_aliases", "100000", "", "Aliases of its collections.", count, "engine.max_aliases"),
    Setting(
        "write_buffer",
        "64MiB",
        "bytes",
        "Memory in which the store gathers writes before it makes files of them.",
        size,
        "engine.write_buffer_bytes",
    ),
    Setting(
        "max_wal",
        "64MiB",
        "bytes",
        "Write-ahead logs of the store; more of them makes opening after a crash slower.",
        size,
        "engine.max_total_wal_bytes",
    ),
    Setting(
        "block_cache",
        "128MiB",
        "bytes",
        "Memory in which the store keeps what it read from files.",
        size,
        "engine.block_cache_bytes",
    ),
    Setting(
        "filter_cache",
        "256MiB",
        "bytes",
        "Memory for what was made for filters, orders and facets and may serve again.",
        size,
        "engine.filter_cache_bytes",
    ),
    Setting(
        "max_snapshot",
        "21600",
        "seconds",
        "How long a snapshot may take to be read; what it reads keeps its space on disk until then.",
        seconds,
        "engine.max_snapshot_s",
    ),
    Setting(
        "disk_reserve",
        "96MiB",
        "bytes",
        "Kept back on the disk while the database is open, so that one that is full can be recovered from.",
        size_or_none,
        "engine.disk_reserve_bytes",
    ),
    Setting(
        "min_free_disk",
        "64MiB",
        "bytes",
        "With less than this free on the disk, writes that grow are refused.",
        size_or_none,
        "engine.min_free_disk_bytes",
    ),
    Setting(
        "reopen_pause",
        "1",
        "seconds",
        "After a failure the store is opened again when so long has passed, then twice as long; 0: only when asked.",
        seconds,
        "engine.reopen_pause_s",
    ),
)
"""What ``vecdb serve`` can be told. The engine's part holds for commands with ``--data`` too."""

CLIENT: tuple[Setting, ...] = (
    Setting("address", "127.0.0.1:50051", "", "The server: host:port, or unix:/path.", by_file=False),
    Setting("timeout", "30", "seconds", "What one call may take.", seconds, by_file=False),
    Setting("api_key", None, "", "Key that goes with every call.", by_flag=False, by_file=False),
)
"""What commands that ask a server can be told. A key has no flag: other users of a machine see those."""

TESTS: tuple[Setting, ...] = (
    Setting("test_data", None, "path", "Folder of real data sets, for tests and benchmarks.", by_flag=False),
    Setting("test_bound", None, "", "Factor on the rounds of the slow tests.", by_flag=False),
)
"""What the tests of the repository read; nothing in vecdb does."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a setting is: its value, the text that says so (None: nothing does), and where that stands.

    ``source``: ``--max-memory``, ``VECDB_MAX_MEMORY``, ``max_memory in FILE`` or ``default``.
    """

    setting: Setting
    value: Any
    text: str | None
    source: str


class Settings:
    """The settings of a table as they were chosen; ``settings["max_calls"]`` is a value."""

    def __init__(self, chosen: Iterable[Chosen]) -> None:
        self.chosen = {one.setting.name: one for one in chosen}

    def __getitem__(self, name: str) -> Any:
        return self.chosen[name].value

    def options(self, kind: str) -> dict[str, Any]:
        """Values for the options of ``kind`` (engine, server, limits) by their names; defaults are left out."""
        taken = {}
        for one in self.chosen.values():
            of, _, option = one.setting.option.partition(".")
            if of == kind and one.source != DEFAULT:
                taken[option] = one.value
        return taken


def settings(table: tuple[Setting, ...], flags: Mapping[str, str | None]) -> Settings:
    """The value of every setting in ``table``. Reads the file that the setting ``config`` names.

    Raises InvalidArgument naming the flag, variable, or file and name: for a value that cannot be, for a
    name in no table, for a file that cannot be read.
    """
    _refuse_unknown_variables()
    in_file: dict[str, str] = {}
    path = None
    if any(setting.name == "config" for setting in table):
        path = flags.get("config") or os.environ.get(PREFIX + "CONFIG") or None
    if path is not None:
        in_file = _read(path, [setting.name for setting in table if setting.by_file])
    return Settings(_choose(setting, flags.get(setting.name), in_file.get(setting.name), path) for setting in table)


def _choose(setting: Setting, flag: str | None, in_file: str | None, path: str | None) -> Chosen:
    variable = os.environ.get(setting.variable) or None  # an empty variable is one that is not set
    sources = ((setting.flag, flag), (setting.variable, variable), (f"{setting.name} in {path}", in_file))
    source, given = next(((s, t) for s, t in sources if t is not None), (DEFAULT, setting.default))
    if given is None:
        return Chosen(setting, None, None, source)
    try:
        return Chosen(setting, setting.parse(given), given, source)
    except ValueError as error:
        raise InvalidArgument("bad setting", field=source, expected=str(error), received=repr(given)) from None


def _read(path: str, known: list[str]) -> dict[str, str]:
    """The settings in a TOML file, as text."""
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        raise InvalidArgument(
            "the file of settings cannot be read", field=path, expected="a TOML file", received=error.strerror
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(
            "the file of settings is not TOML",
            field=path,
            expected='lines such as max_memory = "4GiB"',
            received=str(error),
        ) from None
    _refuse_unknown([name for name in document if name not in known], known, path)
    return {name: _as_text(name, value, path) for name, value in document.items()}


def _as_text(name: str, value: object, path: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise InvalidArgument(
        "bad setting", field=f"{name} in {path}", expected="text, a number, true or false", received=repr(value)
    )


def _refuse_unknown_variables() -> None:
    known = [setting.variable for setting in (*SERVE, *CLIENT, *TESTS)]
    ours = [name for name in os.environ if name.startswith(PREFIX)]
    told = [name for name in ours if name not in known and not _TELLS_OF_A_SERVICE.fullmatch(name, len(PREFIX))]
    _refuse_unknown(sorted(told), known, "environment")


def _refuse_unknown(unknown: list[str], known: list[str], where: str) -> None:
    if unknown:
        names = [name.removeprefix(PREFIX) for name in known]  # which all begin alike, and would all be near
        near = [get_close_matches(name.removeprefix(PREFIX), names, n=1) for name in unknown]
        nearest = [known[names.index(found[0])] if found else "a name from docs/settings.md" for found in near]
        raise InvalidArgument(
            "unknown setting",
            field=where,
            expected=", ".join(nearest),
            received=", ".join(unknown),
        )


def one_thread_for_libraries() -> None:
    """Keep numeric libraries to one thread unless told otherwise. Call before numpy is imported."""
    for name in _ONE_THREAD:
        os.environ.setdefault(name, "1")
