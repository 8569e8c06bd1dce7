"""Re-ranking: the first hits of a search in the order that somebody else's scores give them, a cross-encoder's say.

A search is not worth less because its re-ranker failed: whatever goes wrong there, the hits come in the order in which
they were found, and the warnings of the result say what went wrong.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb.client.numbers import whole
from vecdb.client.run import Budget
from vecdb.client.ttl import seconds
from vecdb.errors import InvalidArgument
from vecdb.model.hit import Hit, SearchResult
from vecdb.model.keyword import Keyword
from vecdb.model.query import Near, SearchRequest
from vecdb.model.sparse import Sparse

Scorer = Callable[[Any, list[Hit]], Any]
"""Of a query and hits a score for each, the higher the better: a list or array ``[n]``, or what is awaited for one."""

DEFAULT_DEPTH = 50


@dataclass(frozen=True, slots=True)
class Rerank:
    """How hits are re-ranked: the first ``depth`` by ``scorer(query, hits)``, those after them stay as found.

    ``scorer`` returns a score for each hit, the higher the better; an async client's may be a coroutine function. It is
    asked about the text of the search, of the first leg by words if there are several, and where there is none about
    the vector (float32 ``[dim]``) or the list of ids, or the
    SparseVector. ``batch``: hits at a time, None for all of a query's at once.
    ``timeout``: the seconds, or the timedelta, that it may take for each query; never more than the search has left.

    Where time is limited the scorer runs in a thread of its own, and one that takes longer is left alone there.
    """

    scorer: Scorer
    depth: int = DEFAULT_DEPTH
    timeout: float | timedelta | None = None
    batch: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What the first stage of a search found for each query, and what a scorer is asked about each."""

    results: list[SearchResult]
    queries: Sequence[object]


class SecondStage:
    """What a search asks for so that its hits can be re-ranked, and their re-ranking.

    ``limit`` and ``offset`` are those of the first stage.
    """

    def __init__(self, rerank: Scorer | Rerank | None, limit: Any, offset: Any, group_by: object, awaits: bool) -> None:
        """None: there is no second stage. ``awaits``: a scorer may be a coroutine function. Raises InvalidArgument."""
        self.limit, self.offset = limit, offset
        self._rerank = None if rerank is None else _checked(rerank, group_by, awaits)
        if self._rerank is not None:
            start = _at_least(0, offset, "offset")
            self._window = slice(start, start + _at_least(1, limit, "limit"))
            self.limit, self.offset = max(self._rerank.depth, self._window.stop), 0

    def run(self, found: Found, budget: Budget) -> list[SearchResult]:
        """The results, re-ranked. What a scorer raises that is no Exception passes."""
        if self._rerank is None:
            return found.results
        return [
            self._ordered(result, _scores(self._rerank, query, result, budget))
            for query, result in zip(found.queries, found.results, strict=True)
        ]

    async def run_async(self, found: Found, budget: Budget) -> list[SearchResult]:
        """As ``run``, without blocking the event loop."""
        if self._rerank is None:
            return found.results
        return [
            self._ordered(result, await _scores_async(self._rerank, query, result, budget))
            for query, result in zip(found.queries, found.results, strict=True)
        ]

    def _ordered(self, result: SearchResult, scores: NDArray[np.float64] | Exception) -> SearchResult:
        """The hits asked for, the best by ``scores`` first and equals as they were found; all so if there are none."""
        n = len(result)
        if isinstance(scores, Exception):
            told = f"the re-ranker failed, so the hits are in the order found: {type(scores).__name__}: {scores}"
            return replace(result.at(np.arange(n)[self._window]), warnings=[*result.warnings, told])
        order = np.concatenate([np.argsort(-scores, kind="stable"), np.arange(len(scores), n)])[self._window]
        of_all = np.concatenate([scores, np.full(n - len(scores), np.nan)])
        return replace(result.at(order), rerank_scores=of_all[order])


def asked(request: SearchRequest) -> Sequence[object]:
    """What a scorer is asked about each query: see Rerank."""
    for leg in request.legs:
        if isinstance(leg, Keyword):
            return leg.texts
    first = request.legs[0]
    if isinstance(first, Sparse):
        return [first.vectors[query] for query in range(first.queries)]
    assert isinstance(first, Near)
    return list(first.vectors) if first.examples is None else [list(some.positive) for some in first.examples]


def _scores(rerank: Rerank, query: object, result: SearchResult, budget: Budget) -> NDArray[np.float64] | Exception:
    """The scores of the first hits, or why there are none."""
    pieces, time_s = _pieces(rerank, result), _time(rerank, budget)
    abandoned = threading.Event()

    def work() -> NDArray[np.float64]:
        scores = []
        for piece in pieces:
            if abandoned.is_set():
                break
            given = rerank.scorer(query, piece)
            if inspect.isawaitable(given):
                if inspect.iscoroutine(given):
                    given.close()
                raise TypeError("only an async client awaits its re-ranker")
            scores.append(_numbers(given, len(piece)))
        return np.concatenate([np.zeros(0), *scores])

    try:
        if not pieces or time_s is None:
            return work()
        if time_s <= 0:
            return _late(time_s)
        future = _apart(work)
        try:
            scores: NDArray[np.float64] = future.result(time_s)
            return scores
        except TimeoutError as error:
            return error if future.done() else _late(time_s)
    except Exception as error:  # noqa: BLE001 - whatever it is, the hits are there
        return error
    finally:
        abandoned.set()


async def _scores_async(
    rerank: Rerank, query: object, result: SearchResult, budget: Budget
) -> NDArray[np.float64] | Exception:
    """The scores of the first hits, or why there are none."""
    time_s = _time(rerank, budget)
    limit = asyncio.timeout(time_s)
    scores = []
    try:
        async with limit:
            for piece in _pieces(rerank, result):
                if _is_coroutine(rerank.scorer):
                    given = await rerank.scorer(query, piece)
                else:
                    given = await asyncio.wrap_future(_apart(partial(rerank.scorer, query, piece)))
                    given = await given if inspect.isawaitable(given) else given
                scores.append(_numbers(given, len(piece)))
        return np.concatenate([np.zeros(0), *scores])
    except Exception as error:  # noqa: BLE001 - whatever it is, the hits are there
        return _late(time_s or 0.0) if isinstance(error, TimeoutError) and limit.expired() else error


def _pieces(rerank: Rerank, result: SearchResult) -> list[list[Hit]]:
    """The hits that are scored, as many as are given to the scorer at once."""
    hits = result[: rerank.depth]
    size = rerank.batch or len(hits)
    return [hits[start : start + size] for start in range(0, len(hits), size)] if hits else []


def _time(rerank: Rerank, budget: Budget) -> float | None:
    """Seconds there are for one query; None for no limit."""
    left = budget.left()
    least = min(math.inf if left is None else left, math.inf if rerank.timeout is None else seconds(rerank.timeout))
    return None if least == math.inf else least


def _late(time_s: float) -> TimeoutError:
    return TimeoutError(f"no scores within {max(time_s, 0):.3g} s")


def _numbers(given: Any, n: int) -> NDArray[np.float64]:
    scores = np.asarray(given, dtype=np.float64).reshape(-1)
    if len(scores) != n:
        raise ValueError(f"{n} scores expected, {len(scores)} given")
    if np.isnan(scores).any():
        raise ValueError("a score is NaN")
    return scores


def _apart(work: Callable[[], Any]) -> Future[Any]:
    """Do it in a thread that nobody has to wait for, with the context variables of the caller."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(context.run(work))
        except StopIteration as error:  # which no future can carry into a coroutine
            future.set_exception(RuntimeError(f"StopIteration: {error}"))
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is waited for
            future.set_exception(error)

    context = contextvars.copy_context()
    threading.Thread(target=run, name="vecdb-rerank", daemon=True).start()
    return future


def _checked(given: Scorer | Rerank, group_by: object, awaits: bool) -> Rerank:
    made = given if isinstance(given, Rerank) else Rerank(given)
    if not callable(made.scorer):
        raise InvalidArgument(
            "not a re-ranker",
            field="rerank",
            expected="what is called with a query and hits, or Rerank",
            received=type(made.scorer).__name__,
        )
    if _is_coroutine(made.scorer) and not awaits:
        raise InvalidArgument(
            "only an async client awaits its re-ranker",
            field="rerank",
            expected="a function",
            received="a coroutine function",
        )
    if group_by is not None:
        raise InvalidArgument(
            "hits are in groups or re-ranked", field="rerank", expected="rerank or group_by", received="both"
        )
    _at_least(1, made.depth, "rerank.depth")
    if made.batch is not None:
        _at_least(1, made.batch, "rerank.batch")
    if made.timeout is not None and not seconds(made.timeout) > 0:
        raise InvalidArgument(
            "not a time",
            field="rerank.timeout",
            expected="seconds above 0, or a timedelta",
            received=repr(made.timeout)[:40],
        )
    return made


def _at_least(least: int, value: Any, path: str) -> int:
    number = whole(value, path)
    if number < least:
        raise InvalidArgument("too small", field=path, expected=f">= {least}", received=str(number))
    return number


def _is_coroutine(scorer: object) -> bool:
    return inspect.iscoroutinefunction(scorer) or inspect.iscoroutinefunction(vars(type(scorer)).get("__call__"))
