"""The layers of vecdb as tables, and what is wrong with some sources by them.

Imports point downwards only: a module may import its own place and the places below it. A line of
``LAYERS`` is one layer; places that share a line do not import each other.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from tests.project.imports import Import, imports, reachable

LAYERS = (
    ("__main__",),
    ("cli", "testing"),
    ("config",),
    ("integrations",),
    ("client",),
    ("wire",),
    ("engine",),
    ("index",),
    ("storage",),
    ("model",),
    ("errors", "failpoint", "v1"),
)

# `import vecdb`, the public names, sits above all layers; these may use it as any program does.
USERS_OF_PUBLIC_NAMES = ("cli", "testing", "integrations")

# What is imported by these modules (and modules in these packages) alone, directly.
ONLY_BY = {
    "rocksdict": ("vecdb.storage.rocksdb",),
    "hnswlib": ("vecdb.index.hnsw",),
    "rjieba": ("vecdb.index.analysis.dictionary",),
    "Stemmer": ("vecdb.index.analysis.stemming",),
    "opencc": ("vecdb.index.analysis.traditional",),
    "grpc": ("vecdb.wire", "vecdb.client", "vecdb.v1"),
    "google": ("vecdb.wire", "vecdb.client", "vecdb.v1"),
    "vecdb.v1": ("vecdb.wire", "vecdb.client", "vecdb.v1"),
    "click": ("vecdb.cli",),
    "rich": ("vecdb.cli", "vecdb.client.load.progress"),
    "sklearn": ("vecdb.cli",),
    "pyarrow": ("vecdb.client.load.source_arrow", "vecdb.client.load.sink_parquet"),
    "h5py": ("vecdb.client.load.source_hdf5",),
    "pickle": (),
    "shelve": (),
    "marshal": (),
    "requests": (),
    "urllib.request": (),
    "http.client": (),
}

# Module or package -> all that it may reach among ours, through any number of imports.
REACHES_ONLY = {
    "vecdb.wire.convert": ("vecdb.wire.status", "vecdb.v1", "vecdb.model", "vecdb.errors", "vecdb.failpoint"),
    "vecdb.wire.status": ("vecdb.wire.convert", "vecdb.v1", "vecdb.model", "vecdb.errors", "vecdb.failpoint"),
}

# Of the wire, the client shares the translation of messages and errors, and nothing else.
CLIENT_OF_WIRE = ("vecdb.wire.convert", "vecdb.wire.status")

# Importing these runs neither the engine nor its libraries: the thin client has none.
THIN = ("vecdb", "vecdb.client", "vecdb.cli.main")
HEAVY = (
    "vecdb.engine",
    "vecdb.index",
    "vecdb.storage",
    "rocksdict",
    "hnswlib",
    "xxhash",
    "rjieba",
    "Stemmer",
    "opencc",
    "sklearn",
    "rich",
    "pyarrow",
    "h5py",
)


def violations(sources: Mapping[str, str]) -> list[str]:
    """What is wrong, a sentence each; empty when the layers hold."""
    edges = imports(sources)
    return [
        *_upward(edges),
        *_not_owner(edges),
        *_client_of_wire(edges),
        *_reaches_too_much(edges),
        *_thin_is_heavy(edges),
        *_environment(sources),
    ]


def _place(module: str) -> str:
    """``engine`` for ``vecdb.engine.view``, and "" for ``vecdb`` itself."""
    return module.partition(".")[2].partition(".")[0]


def _within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def _ours(module: str) -> bool:
    return _within(module, ("vecdb",))


def _upward(edges: list[Import]) -> Iterator[str]:
    height = {place: len(LAYERS) - depth for depth, layer in enumerate(LAYERS) for place in layer}
    height[""] = len(LAYERS) + 1
    for edge in edges:
        upper, lower = _place(edge.module), _place(edge.target)
        if not _ours(edge.target) or upper == lower:
            continue
        if upper not in height or lower not in height:
            yield f"{edge}: tests/project/layers.py gives {upper if upper not in height else lower!r} no layer"
        elif height[lower] >= height[upper] and not (lower == "" and upper in USERS_OF_PUBLIC_NAMES):
            yield f"{edge}, which is not below it"


def _not_owner(edges: list[Import]) -> Iterator[str]:
    for edge in edges:
        for target, owners in ONLY_BY.items():
            if _within(edge.target, (target,)) and not _within(edge.module, owners):
                yield f"{edge}; only {' and '.join(owners) or 'nobody'} may"


def _client_of_wire(edges: list[Import]) -> Iterator[str]:
    for edge in edges:
        if _place(edge.module) == "client" and _place(edge.target) == "wire" and edge.target not in CLIENT_OF_WIRE:
            yield f"{edge}; of the wire a client may import {' and '.join(CLIENT_OF_WIRE)}"


def _reaches_too_much(edges: list[Import]) -> Iterator[str]:
    below_root = [edge for edge in edges if edge.module != "vecdb"]  # what the public names load is not our doing
    for start, allowed in REACHES_ONLY.items():
        packages = ("vecdb", start.rpartition(".")[0])
        for module, path in reachable(start, below_root).items():
            if _ours(module) and module not in packages and not _within(module, (start, *allowed)):
                yield f"{start} reaches {module}: {' -> '.join(path)}"


def _thin_is_heavy(edges: list[Import]) -> Iterator[str]:
    eager = [edge for edge in edges if edge.eager]
    for start in THIN:
        for module, path in reachable(start, eager).items():
            if module in HEAVY:
                yield f"importing {start} imports {module}: {' -> '.join(path)}"


def _environment(sources: Mapping[str, str]) -> Iterator[str]:
    """Only config.py reads the environment, so that its table is all there is to set."""
    for module, text in sources.items():
        if module == "vecdb.config":
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.environb", "os.getenv"):
                yield f"{module}:{node.lineno} reads the environment; only vecdb.config may"
            elif isinstance(node, ast.ImportFrom) and node.module == "os":
                for alias in node.names:
                    if alias.name in ("environ", "environb", "getenv"):
                        yield f"{module}:{node.lineno} reads the environment; only vecdb.config may"
