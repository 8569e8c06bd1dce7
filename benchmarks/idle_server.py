"""A whole vecdb server before an engine that does nothing: what a search costs around the search.

    python -m benchmarks.idle_server

It answers every search with the same ten hits, RAG rows when their contents are asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import orjson

from benchmarks.rows import rag_content, row_id
from benchmarks.sets import K
from vecdb.engine.options import EngineOptions
from vecdb.model.context import CallContext
from vecdb.model.point import Points
from vecdb.model.query import SearchAnswer, SearchRequest
from vecdb.model.state import DatabaseState
from vecdb.wire.lifetime import run
from vecdb.wire.server import Server, ServerOptions


class _Nothing:
    """The front door of an engine, as far as a search needs one."""

    options = EngineOptions()

    def __init__(self) -> None:
        self._answers = {full: answer(full) for full in (False, True)}

    def search(self, context: CallContext, name: str, request: SearchRequest) -> SearchAnswer:
        request.validate()
        return self._answers[request.select.payload]

    def state(self) -> DatabaseState:
        return DatabaseState()

    def watch(self, changed: Callable[[], None]) -> None:
        """Nothing ever changes."""


def answer(full: bool) -> SearchAnswer:
    """Ten hits, ids only or RAG rows."""
    rows, scores = rag_content()[:K], np.linspace(1, 0.5, K, dtype=np.float32)
    points = Points(
        [row_id(i) for i in range(K)],
        np.arange(1, K + 1, dtype=np.uint64),
        [orjson.dumps(payload) for _, payload in rows] if full else None,
        {"": [text for text, _ in rows]} if full else None,
    )
    return SearchAnswer(np.array([K]), scores, 1 - scores, points, 1, 0.0)


def main() -> None:
    """Serve on a free port until SIGTERM."""
    engine: Any = _Nothing()
    server = Server(engine, ServerOptions(address="127.0.0.1:0"))
    run(server, lambda: None, lambda: print(f"ready on {server.address}", flush=True), grace_s=1.0, limit_s=5.0)


if __name__ == "__main__":
    main()
