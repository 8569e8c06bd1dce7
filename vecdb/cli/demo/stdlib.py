"""The documentation strings of the standard library of the Python that runs, read from its sources.

Nothing is imported or run. ``pydoc_data.topics``, the language reference that ``help()`` shows, is no
documentation string but a dictionary of texts; it is read as well where it is installed.
"""

from __future__ import annotations

import ast
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

from vecdb.cli.demo.passages import Document

_NOT_LIBRARY = {"__pycache__", "dist-packages", "idle_test", "site-packages", "test", "tests"}
_TOPICS = "pydoc_data.topics"


def folder() -> Path:
    """Where the sources are."""
    return Path(sysconfig.get_path("stdlib"))


def documents() -> Iterator[Document]:
    """All there are, in the order of modules and of lines within them. A source is a module."""
    for module, path in _modules(folder()):
        try:
            with warnings.catch_warnings(action="ignore"):  # about escapes in old sources
                tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue  # templates and the like, which are no Python
        if module == _TOPICS:
            yield from _topics(tree)
        else:
            yield from _within(tree, module, module)


def _modules(root: Path) -> list[tuple[str, Path]]:
    """(dotted name, file) of every module of the library below ``root``, sorted."""
    found = []
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        if parts[0] in sys.stdlib_module_names and not _NOT_LIBRARY & set(parts):
            found.append((".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return sorted(found)


def _within(node: ast.AST, module: str, name: str) -> Iterator[Document]:
    """The documentation strings of ``node`` and of the definitions in it."""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        text = ast.get_docstring(node)
        if text:
            yield Document(module, name, "en", text)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _within(child, module, f"{name}.{child.name}")
        elif isinstance(child, ast.If | ast.Try):
            yield from _within(child, module, name)


def _topics(tree: ast.Module) -> Iterator[Document]:
    """The entries of the dictionary ``topics``."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            for key, value in zip(node.value.keys, node.value.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield Document(_TOPICS, f"help({key.value!r})", "en", value.value)
