"""The map shows the land as it is."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.pages import read
from tests.project.repository import ROOT, files

MAP = read(Path("docs/architecture.md"))
MENTIONED = set(re.findall(r"`((?:vecdb|tests|proto|docs|benchmarks)/[\w./-]*)`", MAP))


def test_every_path_on_the_map_exists() -> None:
    assert [path for path in sorted(MENTIONED) if not (ROOT / path).exists()] == []


def test_every_module_is_on_the_map() -> None:
    modules = {
        path.as_posix()
        for path in files()
        if path.parts[0] == "vecdb" and path.suffix == ".py" and path.name != "__init__.py" and "v1" not in path.parts
    }
    assert modules - MENTIONED == set()
