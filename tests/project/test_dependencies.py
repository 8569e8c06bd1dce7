"""What is imported is declared, what is declared is imported, and each has its reason on the page."""

from __future__ import annotations

import re
import sys
import tomllib

import pytest

from tests.project.imports import imports, sources
from tests.project.repository import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
DISTRIBUTIONS = {
    "google": ("protobuf", "googleapis-common-protos"),
    "grpc": ("grpcio",),
    "grpc_health": ("grpcio-health-checking",),
    "grpc_reflection": ("grpcio-reflection",),
    "opencc": ("OpenCC",),
    "sklearn": ("scikit-learn",),
    "Stemmer": ("PyStemmer",),
}
IF_THE_CALLER_HAS_IT = {"pandas"}


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=~!; ]", requirement)[0] for requirement in requirements} - {"vecdb-py"}


def imported() -> set[str]:
    """The distributions that vecdb imports anywhere."""
    foreign = {edge.target.partition(".")[0] for edge in imports(sources(ROOT, "vecdb"))}
    foreign -= {"vecdb", *sys.stdlib_module_names}
    return {name for module in foreign for name in DISTRIBUTIONS.get(module, (module,))}


def test_imported_and_declared_are_the_same() -> None:
    declared = names(PROJECT["dependencies"]).union(
        *(names(EXTRAS[extra]) for extra in ("server", "server-exact", "demo", "import", "traditional"))
    )
    assert imported() == declared | IF_THE_CALLER_HAS_IT


@pytest.mark.parametrize("extra", ["dependencies", *EXTRAS])
def test_every_dependency_has_its_reason(extra: str) -> None:
    page = (ROOT / "docs/decisions/0004-dependencies.md").read_text(encoding="utf-8")
    stubs = {name for name in names(EXTRAS.get(extra, [])) if name.startswith("types-")}
    wanted = names(PROJECT["dependencies"] if extra == "dependencies" else EXTRAS[extra]) - stubs
    assert [name for name in sorted(wanted) if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", page)] == []


def test_the_page_gives_the_ranges_that_are_declared() -> None:
    page = (ROOT / "docs/decisions/0004-dependencies.md").read_text(encoding="utf-8")
    runtime = [*PROJECT["dependencies"], *EXTRAS["server-exact"], *EXTRAS["demo"]]
    for requirement in runtime:
        if requirement.startswith("vecdb-py"):
            continue
        name, bounds = re.match(r"([\w-]+)(.*)", requirement).groups()  # type: ignore[union-attr]
        spoken = ", ".join(re.sub(r"^>=", "≥ ", re.sub(r"^<", "< ", bound)) for bound in bounds.split(","))
        assert re.search(rf"^\| {name} \|.*\| {re.escape(spoken)} \|$", page, re.MULTILINE), f"{name} {spoken}"
