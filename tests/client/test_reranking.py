"""Hits in the order of somebody else's scores; where those do not come, in the order found, and said so.

What needs a database runs embedded and over gRPC, blocking and awaited.
"""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from tests.client.from_loop import LoopThread
from tests.client.test_searches import DEFAULTS
from vecdb import Keyword, Near, Query, Rerank, SearchResult, errors
from vecdb.client.collection import Collection
from vecdb.client.reranking import asked
from vecdb.client.searching import search

X = [1.0, 0, 0, 0]


@pytest.fixture
def filled(docs: Collection) -> Collection:
    """Found from X in the order of their ids; the texts are the other way round."""
    docs.upsert(range(8), [[1, i / 10, 0, 0] for i in range(8)], texts=[str(9 - i) for i in range(8)])
    return docs


def by_text(query: Any, hits: list[vecdb.Hit]) -> list[float]:
    return [-float(hit.text or 0) for hit in hits]


def names(result: SearchResult) -> list[str]:
    return [hit.id for hit in result]


def test_hits_are_in_the_order_of_the_scores(filled: Collection) -> None:
    found = filled.search(X, limit=3, rerank=by_text, with_vectors=True)
    assert names(found) == ["7", "6", "5"]
    assert [hit.rerank_score for hit in found] == [-2.0, -3.0, -4.0]
    first = {hit.id: hit for hit in filled.search(X, with_vectors=True)}
    for hit in found:
        as_found = first[hit.id]
        assert (hit.score, hit.distance, hit.text, hit.version) == (
            as_found.score,
            as_found.distance,
            as_found.text,
            as_found.version,
        )
        assert np.array_equal(hit.vector, as_found.vector)
    assert found.warnings == []
    assert [hit.rerank_score for hit in first.values()] == [None] * 8


def test_the_depth_is_what_is_asked_about(filled: Collection) -> None:
    seen: list[list[str]] = []

    def scorer(query: Any, hits: list[vecdb.Hit]) -> np.ndarray:
        seen.append([hit.id for hit in hits])
        return np.arange(len(hits))

    assert names(filled.search(X, limit=2, rerank=Rerank(scorer, depth=4))) == ["3", "2"]
    assert names(filled.search(X, limit=6, rerank=Rerank(scorer, depth=4))) == ["3", "2", "1", "0", "4", "5"]
    assert seen == [["0", "1", "2", "3"]] * 2
    deeper = filled.search(X, limit=3, offset=3, rerank=Rerank(scorer, depth=4))
    assert [(hit.id, hit.rerank_score) for hit in deeper] == [("0", 0.0), ("4", None), ("5", None)]
    seen.clear()
    filled.search(X, limit=8, rerank=Rerank(scorer, batch=3))
    assert seen == [["0", "1", "2"], ["3", "4", "5"], ["6", "7"]]


def test_equal_scores_stay_as_found(filled: Collection) -> None:
    assert names(filled.search(X, rerank=lambda query, hits: [0] * len(hits))) == [str(i) for i in range(8)]
    assert names(filled.search(X, rerank=lambda query, hits: [float("-inf")] * 7 + [1]))[0] == "7"


def test_nobody_is_asked_about_nothing(filled: Collection) -> None:
    found = filled.search(X, filter={"nothing": 1}, rerank=lambda query, hits: 1 / 0)
    assert (names(found), found.warnings) == ([], [])
    assert filled.search_batch([], rerank=lambda query, hits: 1 / 0) == []


def test_a_batch(filled: Collection) -> None:
    queries = [X, [0, 1.0, 0, 0]]
    seen: list[Any] = []

    def scorer(query: Any, hits: list[vecdb.Hit]) -> list[float]:
        seen.append(np.asarray(query).tolist())
        if len(seen) == 2:
            raise LookupError("no model")
        return by_text(query, hits)

    first, second = filled.search_batch(queries, limit=2, rerank=scorer)
    assert seen == queries
    assert (names(first), first.warnings) == (["7", "6"], [])
    assert names(second) == ["7", "6"]
    assert [hit.rerank_score for hit in second] == [None, None]
    assert "LookupError: no model" in second.warnings[0]


@pytest.mark.parametrize(
    ("scorer", "told"),
    [
        (lambda query, hits: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda query, hits: [1.0] * (len(hits) - 1), "ValueError: 8 scores expected, 7 given"),
        (lambda query, hits: [float("nan")] * len(hits), "ValueError: a score is NaN"),
        (lambda query, hits: None, "ValueError: 8 scores expected, 1 given"),
        (lambda query, hits: ["high"] * len(hits), "ValueError: "),
        (lambda query, hits: next(iter(())), "Error: StopIteration"),
        (lambda query, hits: (_ for _ in ()).throw(errors.Unavailable("the model is away")), "Unavailable: "),
    ],
)
@pytest.mark.parametrize("timeout", [None, 5])
def test_a_failure_leaves_the_order_found(filled: Collection, scorer: Any, told: str, timeout: float | None) -> None:
    found = filled.search(X, limit=3, offset=1, rerank=Rerank(scorer, timeout=timeout))
    assert names(found) == ["1", "2", "3"]
    assert [hit.rerank_score for hit in found] == [None] * 3
    (warning,) = found.warnings
    assert warning.startswith("the re-ranker failed, so the hits are in the order found: ")
    assert told in warning
    assert warning in repr(found)


@pytest.mark.parametrize("own", [True, False])
def test_one_that_takes_too_long_is_left_alone(filled: Collection, own: bool) -> None:
    free = threading.Event()
    asked_about: list[int] = []

    def scorer(query: Any, hits: list[vecdb.Hit]) -> list[float]:
        asked_about.append(len(hits))
        free.wait(10)
        return [0.0] * len(hits)

    if own:
        rerank = Rerank(scorer, timeout=timedelta(milliseconds=50), batch=4)
        found = filled.search(X, limit=3, rerank=rerank)
    else:
        found = filled.search(X, limit=3, rerank=Rerank(scorer, batch=4), timeout=1)
    assert names(found) == ["0", "1", "2"]
    assert "TimeoutError: no scores within" in found.warnings[0]
    free.set()
    for thread in threading.enumerate():
        if thread.name == "vecdb-rerank":
            thread.join()
    assert asked_about == [4]


def test_an_interrupt_is_not_hidden(tmp_path: Path) -> None:
    with vecdb.open(tmp_path / "data") as db:
        docs = db.create_collection("docs", dim=4)
        docs.upsert(["a"], [X])
        for timeout in (None, 5):
            for interrupt in (KeyboardInterrupt, SystemExit):

                def scorer(query: Any, hits: Any, interrupt: type[BaseException] = interrupt) -> None:
                    raise interrupt

                with pytest.raises(interrupt):
                    docs.search(X, rerank=Rerank(scorer, timeout=timeout))


def test_what_a_scorer_is_asked_about() -> None:
    def query_of(*given: Any, **more: Any) -> Any:
        request = search(*(given or (None,)), legs=more.pop("legs", None), **DEFAULTS, **more)
        (query,) = asked(request)
        return query.tolist() if isinstance(query, np.ndarray) else query

    assert query_of([1, 2]) == [1, 2]
    assert query_of(id=[1, "b"]) == ["1", "b"]
    assert query_of(text="two words") == "two words"
    assert query_of([1, 2], text=Query("+must", fuzzy=1)) == "+must"
    assert query_of(legs=[Near([1]), Keyword("first"), Keyword("second")]) == "first"
    assert query_of(legs=[Near([1, 2]), Near([3, 4])]) == [1, 2]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"rerank": 5}, "rerank"),
        ({"rerank": Rerank("x")}, "rerank"),  # type: ignore[arg-type]
        ({"rerank": Rerank(by_text, depth=0)}, "rerank.depth"),
        ({"rerank": Rerank(by_text, depth=1.5)}, "rerank.depth"),  # type: ignore[arg-type]
        ({"rerank": Rerank(by_text, depth=10_001)}, "limit"),
        ({"rerank": Rerank(by_text, batch=0)}, "rerank.batch"),
        ({"rerank": Rerank(by_text, timeout=0)}, "rerank.timeout"),
        ({"rerank": Rerank(by_text, timeout="1s")}, "rerank.timeout"),  # type: ignore[arg-type]
        ({"rerank": by_text, "limit": 0}, "limit"),
        ({"rerank": by_text, "offset": -1}, "offset"),
        ({"rerank": by_text, "group_by": "a"}, "rerank"),
    ],
)
def test_what_is_no_re_ranker_is_refused(filled: Collection, given: dict[str, Any], field: str) -> None:
    for searched in (filled.search, filled.search_batch):
        with pytest.raises(errors.InvalidArgument) as refused:
            searched(X if searched == filled.search else [X], **given)
        assert refused.value.field == field


async def by_text_awaited(query: Any, hits: list[vecdb.Hit]) -> list[float]:
    await asyncio.sleep(0)
    return by_text(query, hits)


def gives_awaitable(query: Any, hits: list[vecdb.Hit]) -> Any:
    """A function that does not look as if it had to be awaited."""
    return by_text_awaited(query, hits)


class Model:
    """A scorer that is an object."""

    async def __call__(self, query: Any, hits: list[vecdb.Hit]) -> list[float]:
        return await by_text_awaited(query, hits)


def test_an_async_client_awaits_its_scorer(tmp_path: Path, loop: LoopThread) -> None:
    async def talk() -> None:
        async with await vecdb.open_async(tmp_path / "data") as db:
            docs = await db.create_collection("docs", dim=4)
            await docs.upsert(range(8), [[1, i / 10, 0, 0] for i in range(8)], texts=[str(9 - i) for i in range(8)])
            for scorer in (by_text_awaited, Model(), gives_awaitable):
                assert names(await docs.search(X, limit=2, rerank=scorer)) == ["7", "6"]
                (result,) = await docs.search_batch([X], limit=2, rerank=scorer)
                assert names(result) == ["7", "6"]

            async def never(query: Any, hits: Any) -> None:
                await asyncio.Event().wait()

            late = await docs.search(X, limit=2, rerank=Rerank(never, timeout=0.05))
            assert (names(late), "TimeoutError" in late.warnings[0]) == (["0", "1"], True)
            with pytest.raises(TimeoutError):  # whoever asked was cancelled: that is not the scorer's failure
                await asyncio.wait_for(docs.search(X, rerank=never), 0.2)

    loop.run(talk())


def test_a_blocking_client_does_not(tmp_path: Path) -> None:
    with vecdb.open(tmp_path / "data") as db:
        docs = db.create_collection("docs", dim=4)
        docs.upsert(["a"], [X])
        for scorer in (by_text_awaited, Model()):
            with pytest.raises(errors.InvalidArgument, match="only an async client"):
                docs.search(X, rerank=scorer)
        found = docs.search(X, rerank=gives_awaitable)
        assert "TypeError: only an async client" in found.warnings[0]


def test_a_table_shows_the_scores(filled: Collection) -> None:
    found = filled.search(X, limit=3, rerank=Rerank(by_text, depth=2))
    lines = repr(found).splitlines()
    assert lines[0].split() == ["id", "score", "distance", "rerank", "score", "text", "payload"]
    assert lines[1].split()[3] == "-8.0000"
    frame = found.to_pandas()
    assert frame["rerank_score"].tolist()[:2] == [-8.0, -9.0]
    assert np.isnan(frame["rerank_score"][2])
