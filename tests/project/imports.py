"""Reads the import statements of a package from its source, running none of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Import:
    """``module`` imports ``target`` at ``line``; ``eager`` when importing ``module`` alone already does it."""

    module: str
    target: str
    line: int
    eager: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def sources(root: Path, package: str) -> dict[str, str]:
    """Source text by dotted module name."""
    found = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(encoding="utf-8")
    return found


def imports(sources: Mapping[str, str]) -> list[Import]:
    """Every import in ``sources``; ``from a import b`` is ``a.b`` where that is a module of ours, else ``a``."""
    return [found for module, text in sources.items() for found in _of_module(module, text, sources)]


def reachable(start: str, edges: list[Import]) -> dict[str, list[str]]:
    """Everything that ``start`` imports, directly or not, with one path to each.

    Importing ``a.b`` runs ``a`` too, so a package counts as imported with its modules.
    """
    direct: dict[str, set[str]] = {}
    for edge in edges:
        direct.setdefault(edge.module, set()).update(_with_parents(edge.target))
    paths = {name: [name] for name in _with_parents(start)}
    queue = list(paths)
    for module in queue:
        for target in sorted(direct.get(module, ())):
            if target not in paths:
                paths[target] = [*paths[module], target]
                queue.append(target)
    return paths


def _of_module(module: str, text: str, ours: Mapping[str, str]) -> Iterator[Import]:
    for node, eager in _statements(ast.parse(text), eager=True):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, node.lineno, eager)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield Import(module, whole if whole in ours else base, node.lineno, eager)


def _statements(node: ast.AST, eager: bool) -> Iterator[tuple[ast.AST, bool]]:
    """Every node below, and whether it runs when the module is imported."""
    for child in ast.iter_child_nodes(node):
        yield child, eager
        lazy = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or _for_the_type_checker(child)
        yield from _statements(child, eager and not lazy)


def _for_the_type_checker(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]
