"""The server of a shared directory, which holds those who show a key to its scope."""

from __future__ import annotations

from functools import partial

from tests.machine.sites import scope_of
from vecdb.cli import shared
from vecdb.wire import server

if __name__ == "__main__":
    server.Server = partial(server.Server, scope_of=scope_of)  # type: ignore[misc]
    shared.main()
