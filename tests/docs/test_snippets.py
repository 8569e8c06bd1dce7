"""The Python on every page runs: the blocks of a page are one program, run in an empty directory."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import USER_PAGES, blocks, read, script
from tests.project.repository import ROOT

DEFAULT_ADDRESS = "localhost:50051"
WITH_PYTHON = [page for page in USER_PAGES if script(read(page))]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@contextlib.contextmanager
def a_server(data: Path) -> Iterator[str]:
    """The address of a server that is gone afterwards."""
    command = [sys.executable, "-m", "vecdb", "serve", "--data", str(data), "--address", "127.0.0.1:0"]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = process.stdout.readline()
            address = next((word for word in ready.split() if word.startswith("127.0.0.1:")), None)
            assert address, f"no address in the ready line {ready!r}"
            yield address.rstrip(".,;")
        finally:
            process.terminate()
            process.wait(20)


def run(program: str, page: Path, directory: Path) -> subprocess.CompletedProcess[str]:
    file = directory / page.with_suffix(".py").name
    file.write_text(program, encoding="utf-8")
    return subprocess.run(
        [sys.executable, file.name], cwd=directory, env=ENVIRONMENT, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("page", WITH_PYTHON, ids=str)
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    program = script(read(page))
    with contextlib.ExitStack() as stack:
        if DEFAULT_ADDRESS in program:
            address = stack.enter_context(a_server(tmp_path / "server"))
            program = program.replace(DEFAULT_ADDRESS, address)
        done = run(program, page, tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_readmes_are_among_them() -> None:
    assert {"README.md", "README.zh.md"} <= {page.as_posix() for page in WITH_PYTHON}


def test_a_snippet_that_fails_is_seen(tmp_path: Path) -> None:
    page = "Words.\n\n```python\nx = 1\n```\n\nMore words.\n\n```python\nassert x == 2\n```\n"
    done = run(script(page), Path("page.md"), tmp_path)
    assert done.returncode == 1
    assert "line 10" in done.stderr


def test_the_readmes_agree_on_what_to_type() -> None:
    english, chinese = (
        [block.text for block in blocks(read(Path(name)), "sh")] for name in ("README.md", "README.zh.md")
    )
    assert english == chinese
    set_up = [line for text in english for line in text.splitlines() if line.startswith("python3 -m venv")]
    assert len(set_up) == 2, "one command installs and runs, one tests; .ci/run runs both"
