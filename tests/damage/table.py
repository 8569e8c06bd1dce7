"""The outcomes of all kinds of damage, gathered from a process that judges and may crash; and the table of them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.damage.cases import DAMAGES, KINDS, Case
from tests.project.repository import ROOT

PAGE = ROOT / "docs/format.md"
BEGIN = "<!-- outcomes of damage, written by python -m tests.damage -->"
END = "<!-- end of outcomes of damage -->"
HEADING = "| file | cut to half | a bit flipped | removed | emptied |"

Outcomes = list[tuple[Case, str]]


def outcomes(folder: Path, cases: Sequence[Case]) -> Outcomes:
    """What became of each of the directories in ``folder``."""
    found: Outcomes = []
    left = list(cases)
    while left:
        with subprocess.Popen(
            [sys.executable, "-m", "tests.damage.judge", str(folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            while left:
                try:
                    child.stdin.write(json.dumps(asdict(left[0])) + "\n")
                    child.stdin.flush()
                    line = child.stdout.readline()
                except BrokenPipeError:
                    line = ""
                case = left.pop(0)
                found.append((case, json.loads(line) if line else f"WRONG: a crash, status {child.wait()}"))
                if not line:
                    break
            with contextlib.suppress(BrokenPipeError):
                child.stdin.close()
    return found


def cells(found: Iterable[tuple[Case, str]]) -> dict[tuple[str, str], set[str]]:
    """What may become of a kind of file after a damage."""
    said: dict[tuple[str, str], set[str]] = {}
    for case, outcome in found:
        said.setdefault((case.kind, case.damage), set()).add(outcome)
    return said


def table(said: dict[tuple[str, str], set[str]]) -> str:
    """Markdown: a line a kind, a column a damage; several outcomes where it depends on which file, or which bytes."""
    lines = [HEADING, "|---|---|---|---|---|"]
    for kind in KINDS:
        line = [", or ".join(sorted(said.get((kind, damage), {"-"}))) for damage in DAMAGES]
        lines.append(f"| `{kind}` | {' | '.join(line)} |")
    return "\n".join(lines)


def read_table(text: str) -> dict[tuple[str, str], set[str]]:
    """The inverse of ``table``."""
    said = {}
    for line in text.splitlines():
        kind, *line_cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        for damage, cell in zip(DAMAGES, line_cells, strict=False):
            said[kind.strip("`"), damage] = set(cell.split(", or "))
    return said


def page() -> tuple[str, str, str]:
    """docs/format.md before its table, the table, and what follows."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    inside, _, after = rest.partition(END)
    return before + BEGIN, inside.strip(), END + after
