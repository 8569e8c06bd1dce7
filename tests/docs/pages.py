"""The pages of the project and what is in them: code blocks, headings, links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.project.repository import ROOT, files

PAGES = tuple(path for path in files() if path.suffix == ".md")
USER_PAGES = tuple(path for path in PAGES if path.parts[0] == "docs" or path.name.startswith("README"))

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)|^\[[^\]\n]+\]: (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the line of the page that its text begins on."""

    language: str
    text: str
    line: int


def read(page: Path) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(text: str, *languages: str) -> Iterator[Block]:
    """The fenced blocks of a page in the given languages."""
    for match in _FENCE.finditer(text):
        if match[1] in languages:
            yield Block(match[1], match[2], text.count("\n", 0, match.start(2)) + 1)


def script(text: str) -> str:
    """The Python of a page as one program whose line numbers are the page's."""
    lines: list[str] = []
    for block in blocks(text, "python"):
        lines += [""] * (block.line - 1 - len(lines)) + block.text.splitlines()
    return "\n".join(lines) + "\n" if lines else ""


def headings(text: str) -> list[str]:
    return _HEADING.findall(_FENCE.sub("", text))


def anchors(text: str) -> set[str]:
    """What a link to a heading of this page may end with after ``#``."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(text)}


def links(text: str) -> list[str]:
    return [target or by_name for target, by_name in _LINK.findall(re.sub(r"`[^`\n]*`", "", _FENCE.sub("", text)))]


def section(text: str, heading: str) -> str | None:
    """What stands under ``heading``, up to the next heading that is not deeper; None where there is none."""
    start = re.search(rf"^(#+) +{re.escape(heading)} *$", text, re.MULTILINE)
    if start is None:
        return None
    end = re.search(rf"^#{{1,{len(start[1])}}} ", text[start.end() :], re.MULTILINE)
    return text[start.end() :][: end.start() if end else None]
