"""What the code offers is what the pages describe: errors, commands, calls, settings."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import click
import pytest

import vecdb.config
import vecdb.v1
from tests.docs.pages import USER_PAGES, blocks, headings, read, section
from tests.project.test_errors import kinds
from vecdb.cli.main import main as command_line
from vecdb.errors import InvalidArgument
from vecdb.model import facet
from vecdb.model.filter.tree import MAX_CONDITIONS, MAX_DEPTH, MAX_VALUES
from vecdb.model.highlight import Highlight
from vecdb.model.info import MAX_ANALYZED_TEXTS, MAX_QUERIES_CHARACTERS, Limits
from vecdb.model.keyword import MAX_EDITS, MAX_QUERY_CHARACTERS
from vecdb.model.modifier import MAX_MMR_CANDIDATES, MAX_MODIFIERS
from vecdb.model.query import MAX_EXAMPLES, MAX_GROUP_SIZE, MAX_WINDOW


def commands(group: click.Command = command_line, prefix: str = "vecdb") -> Iterator[tuple[str, click.Command]]:
    """("vecdb serve", its command) for every command."""
    if isinstance(group, click.Group):
        for name, command in group.commands.items():
            yield from commands(command, f"{prefix} {name}")
    else:
        yield prefix, group


def calls() -> Iterator[str]:
    """``DataService.Search`` for every call of every service."""
    for module in pkgutil.iter_modules(vecdb.v1.__path__, "vecdb.v1."):
        if module.name.endswith("_pb2"):
            services = importlib.import_module(module.name).DESCRIPTOR.services_by_name
            for service in services.values():
                yield from (f"{service.name}.{method.name}" for method in service.methods)


COMMANDS = dict(commands())


def test_every_error_reason_has_its_heading() -> None:
    described = [heading.strip("`") for heading in headings(read(Path("docs/errors.md"))) if heading.startswith("`")]
    assert sorted(described) == sorted(kind.reason for kind in kinds())


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
def test_an_error_reason_names_its_class(kind: type) -> None:
    text = section(read(Path("docs/errors.md")), f"`{kind.reason}`")
    assert text is not None
    assert text.strip().startswith(f"`{kind.__name__}`")


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_its_section_with_every_option(name: str) -> None:
    text = section(read(Path("docs/cli.md")), f"`{name}`")
    assert text is not None, f"docs/cli.md has no heading `{name}`"
    options = [max(p.opts, key=len) for p in COMMANDS[name].params if isinstance(p, click.Option) and not p.hidden]
    assert [option for option in options if f"`{option}" not in text] == []


@pytest.mark.parametrize("call", list(calls()))
def test_every_call_is_described(call: str) -> None:
    assert f"`{call}`" in headings(read(Path("docs/wire.md")))


@pytest.mark.parametrize(
    "variable", sorted({s.variable for s in (*vecdb.config.SERVE, *vecdb.config.CLIENT, *vecdb.config.TESTS)})
)
def test_every_setting_is_described(variable: str) -> None:
    assert f"`{variable}`" in read(Path("docs/settings.md"))


@pytest.mark.parametrize("limit", [field.name for field in dataclasses.fields(Limits)])
def test_every_limit_is_told(limit: str) -> None:
    number = getattr(Limits(), limit)
    spoken = f"{number >> 20} MiB" if number % (1 << 20) == 0 else f"{number:,}"
    assert re.search(rf"(?<![\d,]){spoken}(?![\d,])", read(Path("docs/limits.md")))


def command_lines() -> Iterator[tuple[str, str]]:
    """(page, line) for every line of a shell block that runs vecdb."""
    for page in USER_PAGES:
        for block in blocks(read(page), "sh", "bash"):
            for line in block.text.replace("\\\n", " ").splitlines():
                yield from (
                    (page.as_posix(), part.strip()) for part in line.split("&&") if "vecdb" in part.split("#")[0]
                )


@pytest.mark.parametrize(("page", "line"), list(command_lines()))
def test_a_shell_line_uses_what_exists(page: str, line: str) -> None:
    words = line.split("#")[0].split()
    program = next((i for i, word in enumerate(words) if word.rpartition("/")[2] == "vecdb"), None)
    if program is None or words[0] == "docker":
        return
    said = words[program + 1 :]
    command = COMMANDS.get(f"vecdb {said[0]}") or COMMANDS.get(f"vecdb {' '.join(said[:2])}")
    assert command is not None, f"{page}: no command {said[0]}"
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    given = {word.partition("=")[0] for word in said[1:] if word.startswith("-") and word != "-"}
    assert given - known - {"--help"} == set(), page


def test_limits_of_searches_are_told() -> None:
    page = read(Path("docs/limits.md"))
    assert f"| {MAX_DEPTH} levels, {MAX_CONDITIONS:,} conditions, {MAX_VALUES:,} values in one list |" in page
    assert f"| 1 to {MAX_GROUP_SIZE} hits each, and groups × hits at most {MAX_WINDOW:,} |" in page
    assert f"| {MAX_EXAMPLES:,} ids for each query |" in page
    assert f"| 1 to {facet.MAX_VALUES:,}, those of most points |" in page


def test_limits_of_searches_by_words_are_told() -> None:
    page = read(Path("docs/limits.md"))
    assert f"| {MAX_QUERY_CHARACTERS:,} characters, and {MAX_QUERIES_CHARACTERS:,} in all queries of one call" in page
    assert f"| edits that a word of a query may be away | {MAX_EDITS} |" in page
    assert f"| modifiers of a search | {MAX_MODIFIERS} |" in page
    assert f"| hits that `mmr` chooses from | {MAX_MMR_CANDIDATES:,} |" in page
    assert f"| {MAX_ANALYZED_TEXTS:,} (`analyze()` makes several of more) |" in page


@pytest.mark.parametrize("snippets", [0, 1, 10, 11])
@pytest.mark.parametrize("characters", [19, 20, 1_000, 1_001])
def test_limits_of_snippets_are_told(snippets: int, characters: int) -> None:
    told = "| 1 to 10 of each text field, of 20 to 1,000 characters |" in read(Path("docs/limits.md"))
    allowed = 1 <= snippets <= 10 and 20 <= characters <= 1_000
    with nullcontext() if allowed else pytest.raises(InvalidArgument):
        Highlight(characters, snippets).validate()
    assert told
