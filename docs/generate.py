"""Writes the parts of these pages that the code knows best.

    python docs/generate.py            write them (where vecdb is installed)
    python docs/generate.py --check    fail, and name the pages, when they are not what would be written

A part stands between ``<!-- generated: NAME -->`` and ``<!-- end of NAME -->``; ``PARTS`` says which
function makes it. Around it the pages are written by hand.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from vecdb import config
from vecdb.cli import exits as cli_exits
from vecdb.cli.main import main as command_line

ROOT = Path(__file__).resolve().parents[1]


def modules() -> str:
    """Every module by layer, with the first sentence of its docstring."""
    rows = ["| place | what it holds |", "|---|---|"]
    for place, owns in LAYERS.items():
        path = Path("vecdb", place)
        if owns is None:
            rows.append(f"| **`{path}`** | {_summary(path)} |")
            continue
        rows.append(f"| **`{path}/`** | {owns} |")
        files = sorted(file.relative_to(ROOT) for file in (ROOT / path).rglob("*.py") if place != "v1")
        rows += [f"| `{file}` | {_summary(file)} |" for file in files if file.name != "__init__.py"]
    return "\n".join(rows)


def _summary(file: Path) -> str:
    docstring = ast.get_docstring(ast.parse((ROOT / file).read_text(encoding="utf-8"))) or ""
    return _cell(re.sub(r"``(.+?)``", r"`\1`", docstring.partition("\n\n")[0]))


def calls() -> str:
    """Every service and call, with its comment in the proto files."""
    parts = []
    for file in sorted((ROOT / "proto/vecdb/v1").glob("*.proto")):
        comment: list[str] = []
        service = ""
        for line in file.read_text(encoding="utf-8").splitlines():
            bare = line.strip()
            if bare.startswith("//"):
                comment.append(bare[2:].strip())
                continue
            if match := re.match(r"service (\w+)", bare):
                service = match[1]
                parts.append(
                    f"### `{service}`\n\n{' '.join(comment)} Messages: [{file.name}](../{file.relative_to(ROOT)})."
                )
            elif match := re.match(r"rpc (\w+)\((.*?)\) returns \((.*?)\)", bare):
                signature = f"`{match[2]}` → `{match[3]}`"
                parts.append(f"#### `{service}.{match[1]}`\n\n{signature}. {' '.join(comment)}")
            comment = []
    return "\n\n".join(parts)


def commands() -> str:
    """Every command with its options, as its ``--help`` tells them."""
    return "\n\n".join(_commands(command_line, "vecdb"))


def _commands(group: click.Command, prefix: str) -> Iterator[str]:
    if isinstance(group, click.Group):
        for name in sorted(group.commands):
            yield from _commands(group.commands[name], f"{prefix} {name}")
        return
    arguments = [p for p in group.params if isinstance(p, click.Argument)]
    usage = " ".join([prefix, "[OPTIONS]", *(_metavar(argument) for argument in arguments)])
    about, _, example = inspect.cleandoc(group.help or "").partition("\n\nExample: ")
    shown = f"\n\n```sh\n{example}\n```" if example else ""
    yield f"### `{prefix}`\n\n{about}\n\n```text\n{usage}\n```{shown}"
    rows = [_option(p) for p in group.params if isinstance(p, click.Option) and not p.hidden]
    if rows:
        yield "\n".join(["| option | |", "|---|---|", *rows])


def _option(option: click.Option) -> str:
    spoken = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    value = "" if option.is_flag else f" `{_metavar(option)}`"
    default = f" Default: `{option.default}`." if option.show_default else ""
    return f"| {spoken}{value} | {_cell(option.help or '')}{default} |"


def _metavar(parameter: click.Parameter) -> str:
    """What stands for a value; click asks for a context since 8.2."""
    wanted = inspect.signature(parameter.make_metavar).parameters
    return str(parameter.make_metavar(*([click.Context(command_line)] if wanted else [])))  # type: ignore[call-arg]


def exits() -> str:
    """What each exit status says."""
    rows = [f"| {status} | {meaning} |" for status, meaning in cli_exits.MEANINGS.items()]
    return "\n".join(["| status | |", "|---|---|", *rows])


def settings() -> str:
    """The settings of the server."""
    return _settings(config.SERVE)


def client_settings() -> str:
    """The settings of commands that ask a server."""
    return _settings(config.CLIENT)


def test_settings() -> str:
    """The settings of the tests."""
    return _settings(config.TESTS)


def _settings(table: tuple[config.Setting, ...]) -> str:
    rows = []
    for setting in table:
        cells = (
            f"`{setting.name}`" + ("" if setting.by_file or table is not config.SERVE else " (not in a file)"),
            f"`{setting.flag}`" if setting.by_flag else "none",
            f"`{setting.variable}`",
            "none" if setting.default is None else f"`{setting.default}`",
            setting.unit,
            _cell(setting.help),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(["| name | flag | variable | default | unit | |", "|---|---|---|---|---|---|", *rows])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def decisions() -> str:
    """Every decision, by its number and title."""
    rows = ["| page | question |", "|---|---|"]
    for file in sorted((ROOT / "docs/decisions").glob("[0-9]*.md")):
        number, _, title = file.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ").partition(" ")
        rows.append(f"| [{number.rstrip(':.')}]({file.name}) | {_cell(title.strip())} |")
    return "\n".join(rows)


# From the top, as in tests/project/layers.py.
LAYERS = {
    "__init__.py": None,
    "__main__.py": None,
    "cli": "The command line.",
    "config.py": None,
    "client": "The Python API: builds requests, reads answers, sends over gRPC or to an engine in this process.",
    "wire": "The gRPC server.",
    "engine": "What makes rows and indexes a database.",
    "index": "From vectors to neighbours.",
    "storage": "From bytes to the disk.",
    "model": "Frozen nouns, without I/O, that all places above speak in.",
    "errors.py": None,
    "failpoint.py": None,
    "v1": "Messages and stubs, generated from `proto/vecdb/v1/` by `proto/generate.py`, never edited.",
}

PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "docs/architecture.md": {"modules": modules},
    "docs/cli.md": {"exits": exits, "commands": commands},
    "docs/decisions/README.md": {"decisions": decisions},
    "docs/settings.md": {
        "settings": settings,
        "client settings": client_settings,
        "test settings": test_settings,
    },
    "docs/wire.md": {"calls": calls},
}


def made(page: str) -> str:
    """The text that ``page`` should have."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for name, make in PARTS[page].items():
        begin, end = f"<!-- generated: {name} -->", f"<!-- end of {name} -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"{page} has no {begin} ... {end}")
        text = f"{before}{begin}\n\n{make()}\n\n{end}{after}"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    stale = [page for page in PARTS if (ROOT / page).read_text(encoding="utf-8") != made(page)]
    if check and stale:
        sys.exit(f"not as generated: {', '.join(stale)}; run python docs/generate.py")
    for page in stale:
        (ROOT / page).write_text(made(page), encoding="utf-8")


if __name__ == "__main__":
    main()
