"""Runs the demo in this process, and knows what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from click.testing import CliRunner

from vecdb.cli.main import main


@dataclass(frozen=True)
class Ended:
    """A run that is over: its exit status, what it printed, and its JSON."""

    status: int
    out: str
    err: str
    result: Any


def run(folder: Path, *options: str, json: Path | None = None) -> Ended:
    """``vecdb demo --data FOLDER --json FILE OPTIONS``; the file is beside the folder unless given."""
    file = json or folder.with_name(f"{folder.name}.json")
    done = CliRunner().invoke(main, ["demo", "--data", str(folder), "--json", str(file), *options])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return Ended(done.exit_code, done.stdout, done.stderr, orjson.loads(text) if text else None)
