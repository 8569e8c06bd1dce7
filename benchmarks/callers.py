"""A client process: some callers at once, each searching one vector after another.

    python -m benchmarks.callers '{"address": ..., "queries": FILE.npy, "callers": 4, "calls": 1000, "full": true,
                                   "stream": true, "empty": false}'

Prints {"seconds": [each call's], "wall": seconds in all, "hits": the fewest hits of a call}. ``stream``: over
streams, else each search is a call. ``empty``: send the same messages, ready made, to a server that does
nothing, and leave the answers as they come.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np

import vecdb
from benchmarks.filled import NAME
from vecdb.client.streams import SearchStreams
from vecdb.model.point import Select
from vecdb.model.query import Near, SearchRequest
from vecdb.v1 import search_pb2, search_pb2_grpc
from vecdb.wire import convert

WARM_UP = 20


def main() -> None:
    """Make the calls that the argument asks for."""
    given = json.loads(sys.argv[1])
    queries = np.load(given["queries"])
    call = _empty(given) if given["empty"] else _search(given)
    taken: list[list[float]] = [[] for _ in range(given["callers"])]
    hits: list[int] = []
    start = threading.Barrier(given["callers"] + 1)

    def work(caller: int) -> None:
        for i in range(WARM_UP):
            hits.append(call(queries[i % len(queries)]))
        start.wait()
        for i in range(given["calls"] // given["callers"]):
            query = queries[(caller + i * given["callers"]) % len(queries)]
            began = time.perf_counter()
            call(query)
            taken[caller].append(time.perf_counter() - began)

    threads = [threading.Thread(target=work, args=(caller,)) for caller in range(given["callers"])]
    for thread in threads:
        thread.start()
    start.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    wall = time.perf_counter() - began
    print(json.dumps({"seconds": [t for some in taken for t in some], "wall": wall, "hits": min(hits)}))


def _search(given: dict[str, Any]) -> Callable[[Any], int]:
    db = vecdb.connect(given["address"])
    if not given["stream"]:
        db._transport._connection().streams.close()  # type: ignore[attr-defined]
    docs = db.collection(NAME)
    full = given["full"]
    return lambda query: len(docs.search(query, limit=10, with_payload=full, with_text=full))


def _empty(given: dict[str, Any]) -> Callable[[Any], int]:
    channel = grpc.insecure_channel(given["address"])
    select = Select(given["full"], given["full"], False)
    queries = np.load(given["queries"])
    ready = {q.tobytes(): convert.search_to_proto(NAME, SearchRequest([Near(q[None])], select=select)) for q in queries}
    if not given["stream"]:
        stub = search_pb2_grpc.SearchServiceStub(channel)
        return lambda query: int(stub.Search(ready[query.tobytes()]).counts[0])
    streams = SearchStreams(channel, given["address"], lambda: ())
    encoded = {query: message.SerializeToString() for query, message in ready.items()}
    return lambda query: int(_parsed(streams.search(encoded[query.tobytes()], 30)).counts[0])


def _parsed(answer: bytes | None) -> search_pb2.SearchResponse:
    assert answer is not None, "there was no stream"
    return search_pb2.SearchResponse.FromString(answer)


if __name__ == "__main__":
    main()
