"""The project's own guide, docs/guide.md and docs/guide.zh.md, as text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from vecdb.cli.demo.passages import Document

_FILES = {"en": "guide.md", "zh": "guide.zh.md"}


def documents() -> Iterator[Document]:
    """One document for each section of the guide, first in English, then in Chinese."""
    for lang, name in _FILES.items():
        for title, text in _sections(_read(name)):
            yield Document(f"vecdb/{name}", title, lang, text)


def _read(name: str) -> str:
    """The page; it is beside this module where vecdb is installed, and in docs/ in a checkout."""
    beside = resources.files(__package__) / name
    page = beside if beside.is_file() else Path(__file__).parents[3] / "docs" / name
    return page.read_text(encoding="utf-8")


def _sections(page: str) -> list[tuple[str, str]]:
    """(heading, text) of every section. What stands before the first is left out, and so is code."""
    prose = re.sub(r"^```.*?^```\n\n?", "", page, flags=re.MULTILINE | re.DOTALL)
    _, *parts = re.split(r"^## +(.+)\n", prose, flags=re.MULTILINE)
    return list(zip(parts[::2], parts[1::2], strict=True))
