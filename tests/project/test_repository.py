"""Rules for every file of the project, whatever it holds."""

from __future__ import annotations

import re

import pytest

from tests.project.repository import ROOT, files
from vecdb.model.version import VERSION

# Written in pieces, so that this file keeps its own rules.
_HOME = re.compile(rb"(?<![\w.])/(?:ho" rb"me|ro" rb"ot|wo" rb"rk|Us" rb"ers)/[\w.]")
_REGISTRY = re.compile(
    rb"py"
    rb"pi\.org|pythonho"
    rb"sted|debian\.o"
    rb"rg|npm"
    rb"js\.|extra-in"
    rb"dex-url|--index"
    rb"-url|--find-l"
    rb"inks"
)
_BESIDE = re.compile(rb"\.\./sha" rb"red")
_DRAWERS = {"utils", "util", "helpers", "helper", "types", "common", "misc", "stuff"}


def _text_files() -> list[str]:
    return [path.as_posix() for path in files() if b"\0" not in (ROOT / path).read_bytes()[:8192]]


@pytest.mark.parametrize(
    ("what", "pattern"), [("a path of some machine", _HOME), ("a package registry's address", _REGISTRY)]
)
def test_no_file_names(what: str, pattern: re.Pattern[bytes]) -> None:
    found = [name for name in _text_files() if pattern.search((ROOT / name).read_bytes())]
    assert found == [], f"{what} is no part of the project"


def test_only_the_continuous_integration_knows_what_lies_beside_the_checkout() -> None:
    found = [name for name in _text_files() if _BESIDE.search((ROOT / name).read_bytes())]
    assert found in ([], [".ci/run"])


def test_no_drawers() -> None:
    found = [path for path in files() if path.suffix == ".py" and {path.stem, *path.parts[:-1]} & _DRAWERS]
    assert found == [], "name the concept that the file holds"


@pytest.mark.parametrize("name", ["LICENSE", "CHANGELOG.md", "README.md", "README.zh.md", "tests/README.md"])
def test_exists(name: str) -> None:
    assert (ROOT / name).stat().st_size > 0


def test_every_module_says_what_it_holds() -> None:
    silent = [
        path.as_posix()
        for path in files()
        if path.suffix == ".py"
        and path.parts[0] in ("vecdb", "benchmarks", "proto", "tests")
        and path.parts[:2] != ("vecdb", "v1")
        and (ROOT / path).read_text(encoding="utf-8").strip()
        and not (ROOT / path).read_text(encoding="utf-8").lstrip().startswith(('"""', "#!", 'r"""'))
    ]
    assert silent == []


def test_the_changelog_has_the_version() -> None:
    assert f"## {VERSION}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
