"""A small library to take passages from, so that a run of the demo takes two seconds."""

from __future__ import annotations

import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed: pip install '.[demo]'")
pytest.importorskip("rich", reason="rich is not installed: pip install '.[demo]'")

from vecdb.cli.demo import measure, stdlib

MODULES = ("argparse", "gzip", "heapq", "pdb", "random", "shutil", "statistics", "subprocess", "tempfile", "threading")


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with some modules of the standard library."""
    folder = tmp_path_factory.mktemp("library")
    for module in MODULES:
        shutil.copy(Path(sysconfig.get_path("stdlib"), f"{module}.py"), folder)
    return folder


@pytest.fixture(scope="module")
def small(library: Path) -> Iterator[None]:
    """The demo in this process reads that library, and measures little."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stdlib, "folder", lambda: library)
        for name, count in {"WARM_UP": 5, "SEARCHES": 50, "EXACT_SEARCHES": 20}.items():
            patch.setattr(measure, name, count)
        yield
