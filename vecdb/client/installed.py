"""Whether the engine is installed, without importing it."""

from __future__ import annotations

from importlib.util import find_spec

from vecdb.errors import EngineNotInstalled

INSTALL = "pip install 'vecdb-py[server]'"


def require_engine() -> None:
    """Raise EngineNotInstalled, naming the command, when the engine's store is missing."""
    if find_spec("rocksdict") is None:
        raise EngineNotInstalled(f"this installation is the client alone; for the engine: {INSTALL}")
