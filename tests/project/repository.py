"""The files that make up the project: what git would commit, or a source release holds."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
_MADE_BY_TOOLS = {"__pycache__", "build", "dist", "vecdb-demo"}


@cache
def files() -> tuple[Path, ...]:
    """Every file, relative to ROOT."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        found = {Path(name) for name in listed.split("\0") if name}
    else:
        found = {path.relative_to(ROOT) for path in ROOT.rglob("*") if not _by_tools(path.relative_to(ROOT))}
    return tuple(sorted(path for path in found if (ROOT / path).is_file()))


def _by_tools(path: Path) -> bool:
    hidden = path.parts[0].startswith(".") and path.parts[0] not in (".ci", ".gitignore", ".dockerignore")
    return hidden or not _MADE_BY_TOOLS.isdisjoint(path.parts) or any(part.endswith(".egg-info") for part in path.parts)
