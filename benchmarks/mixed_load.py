"""Callers of every kind at once, who know what was acknowledged to them, beside restarts of what they call."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import vecdb
from benchmarks.rows import rag_content, row_id
from benchmarks.sets import VectorSet
from vecdb.errors import Unavailable, VecdbError

NAME = "soak"
BATCH = 20
PAUSE_S = 0.02
"""Between two calls of one caller: the load is the same however fast the answers are."""
GRACE_S = 15.0
"""So long after a restart began a client may be told that nobody is there."""
RETRY_S = 0.05


@dataclass(slots=True)
class Told:
    """What callers saw. ``taken``: seconds of calls by kind; ``errors``: those that no client should see."""

    taken: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    retried: int = 0


class Restarts:
    """Whether calls may fail now, because their server is being restarted."""

    def __init__(self) -> None:
        self._until = 0.0

    def begin(self) -> None:
        """From now on, until ``end``."""
        self._until = float("inf")

    def end(self) -> None:
        """The server is ready; whoever was waiting for it needs a moment more."""
        self._until = time.monotonic() + GRACE_S

    def excuse(self, began: float) -> bool:
        """Whether a call that began then may have met one."""
        return began <= self._until


class Load:
    """Writers, an editor, searchers and readers of one collection."""

    def __init__(self, db: vecdb.Client, some: VectorSet, restarts: Restarts, copies: Path) -> None:
        self.told = Told()
        self._db = db
        self._docs = db.collection(NAME)
        self._set = some
        self._restarts = restarts
        self._copies = copies
        self._content = rag_content()
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._held: dict[int, int] = {}  # by row, the number of the write it is of

    def fill(self) -> None:
        """Write every row once."""
        for start in range(0, len(self._set.vectors), 500):
            self._write(range(start, min(start + 500, len(self._set.vectors))), 0)

    def run(self, seconds: float, beside: Callable[[Callable[[float], bool]], None]) -> None:
        """Call for so long; ``beside(wait)`` runs meanwhile, where ``wait(seconds)`` is False once the time is over."""
        jobs = [(self._upsert, 0), (self._upsert, 1), (self._edit, 2), (self._search, 3), (self._search, 4)]
        jobs += [(self._read, 5), (self._copy, 6)]
        threads = [threading.Thread(target=self._repeat, args=job) for job in jobs]
        ends = time.monotonic() + seconds
        for thread in threads:
            thread.start()
        beside(lambda pause: not self._ending.wait(max(0.0, min(pause, ends - time.monotonic()))) and _before(ends))
        self._ending.wait(max(0.0, ends - time.monotonic()))
        self._ending.set()
        for thread in threads:
            thread.join()

    def missing(self) -> int:
        """Rows that are not as they were acknowledged last."""
        wrong = 0
        for start in range(0, len(self._set.vectors), 1_000):
            rows = range(start, min(start + 1_000, len(self._set.vectors)))
            points = {p.id: p for p in self._docs.get([row_id(row) for row in rows])}
            for row in rows:
                point, number = points.get(row_id(row)), self._held.get(row)
                there = None if point is None or point.payload is None else point.payload["write"]
                wrong += there != number
        return wrong + (self._docs.count() != len(self._held))

    # -- callers; each has rows of its own, so that it knows what they should be

    def _upsert(self, draw: random.Random, caller: int) -> None:
        self._write(self._own(draw, caller, BATCH), draw.randrange(1, 1 << 40))

    def _edit(self, draw: random.Random, caller: int) -> None:
        rows = self._own(draw, caller, BATCH)
        number = draw.randrange(1, 1 << 40)
        what = draw.choice(["payload", "vector", "delete", "delete_where", "put back", "put back"])
        ids = [row_id(row) for row in rows]
        request_id = draw.randbytes(16)
        if what == "put back":
            self._write(rows, number)
        elif what == "delete":
            self._call(what, lambda: self._docs.delete(ids, request_id=request_id))
            self._forget(rows)
        elif what == "delete_where":
            self._call(what, lambda: self._docs.delete(filter={"row": rows[0]}, request_id=request_id))
            self._forget(rows[:1])
        else:
            vectors = self._set.vectors[rows] if what == "vector" else None
            change = {"write": number}
            self._call(
                what, lambda: self._docs.update(ids, vectors, payloads=[change] * len(ids), request_id=request_id)
            )
            self._hold([row for row in rows if row in self._held], number)

    def _search(self, draw: random.Random, caller: int) -> None:
        query = self._set.queries[draw.randrange(len(self._set.queries))]
        words = draw.choice(["passage meaning question", "向量数据库", "acknowledged machine 写入"])
        where = {"year": {"$gte": draw.randrange(2005, 2026)}}
        match draw.randrange(5):
            case 0:
                result = self._call("search", lambda: self._docs.search(query))
            case 1:
                result = self._call("keyword", lambda: self._docs.search(text=words))
            case 2:
                result = self._call("hybrid", lambda: self._docs.search(query, text=words))
            case 3:
                result = self._call("filtered", lambda: self._docs.search(query, filter=where))
            case _:
                result = self._call("batch", lambda: self._docs.search_batch(self._set.queries[:20]))[0]
        if len(result) != 10:
            self._wrong(f"{len(result)} hits, 10 expected")

    def _read(self, draw: random.Random, caller: int) -> None:
        rows = self._own(draw, 0, 10)
        match draw.randrange(4):
            case 0:
                self._call("get", lambda: self._docs.get([row_id(row) for row in rows]))
            case 1:
                self._call("count", lambda: self._docs.count(filter={"lang": "zh"}))
            case 2:
                self._call("facet", lambda: self._docs.facet("source"))
            case _:
                self._call("page", lambda: self._docs.page(limit=100, filter={"chunk": draw.randrange(40)}))

    def _copy(self, draw: random.Random, caller: int) -> None:
        """A snapshot now and then, where the client can take one."""
        take = getattr(self._db, "snapshot", None)
        if self._ending.wait(10.0) or take is None:
            return
        path = self._copies / f"{draw.randrange(1 << 30)}.vdb"
        self._call("snapshot", lambda: take(path))
        path.unlink(missing_ok=True)

    def _repeat(self, action: Callable[[random.Random, int], None], caller: int) -> None:
        draw = random.Random(caller)
        while not self._ending.is_set():
            try:
                action(draw, caller)
            except (VecdbError, LookupError, TypeError, ValueError) as error:
                self._wrong(repr(error))
            self._ending.wait(PAUSE_S)

    def _own(self, draw: random.Random, caller: int, count: int) -> list[int]:
        """Different rows of one caller's third."""
        return [3 * n + caller for n in draw.sample(range(len(self._set.vectors) // 3), count)]

    def _write(self, rows: Any, number: int) -> None:
        content = [self._content[row % len(self._content)] for row in rows]
        payloads = [{**payload, "row": row, "write": number} for row, (_, payload) in zip(rows, content, strict=True)]
        vectors = self._set.vectors[np.array(rows)]
        ids, texts = [row_id(row) for row in rows], [text for text, _ in content]
        request_id = random.randbytes(16)
        self._call("upsert", lambda: self._docs.upsert(ids, vectors, texts, payloads, request_id=request_id))
        self._hold(rows, number)

    def _hold(self, rows: Any, number: int) -> None:
        with self._lock:
            self._held.update(dict.fromkeys(rows, number))

    def _forget(self, rows: Any) -> None:
        with self._lock:
            for row in rows:
                self._held.pop(row, None)

    def _call(self, what: str, call: Callable[[], Any]) -> Any:
        """As a careful client: again while the server is not there, which only a restart excuses."""
        while True:
            began = time.monotonic()
            try:
                answer = call()
            except Unavailable:
                if not self._restarts.excuse(began):
                    raise
                with self._lock:
                    self.told.retried += 1
                time.sleep(RETRY_S)
            else:
                with self._lock:
                    self.told.taken.setdefault(what, []).append(time.monotonic() - began)
                return answer

    def _wrong(self, what: str) -> None:
        with self._lock:
            if len(self.told.errors) < 100:
                self.told.errors.append(what)


def _before(moment: float) -> bool:
    return time.monotonic() < moment
