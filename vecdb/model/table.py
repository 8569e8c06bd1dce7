"""A table in plain characters, aligned also where Chinese takes two columns a character."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from itertools import accumulate

MAX_CELL_WIDTH = 40


def table(columns: Mapping[str, Sequence[str]]) -> str:
    """Rows under their headings; a cell is one line, cut at 40 columns."""
    widths = []
    cells = []
    for heading, values in columns.items():
        column = [heading, *(_one_line(value) for value in values)]
        widths.append(max(map(_width, column)))
        cells.append(column)
    rows = zip(*cells, strict=True)
    return "\n".join(
        "  ".join(_pad(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _one_line(text: str) -> str:
    head = text[: 2 * MAX_CELL_WIDTH]
    line = "".join(c if c.isprintable() else " " for c in head)
    if len(head) == len(text) and _width(line) <= MAX_CELL_WIDTH:
        return line
    fitting = sum(width < MAX_CELL_WIDTH for width in accumulate(map(_width, line)))
    return line[:fitting] + "…"


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else not unicodedata.combining(c) for c in text)


def _pad(text: str, width: int) -> str:
    return text + " " * (width - _width(text))
