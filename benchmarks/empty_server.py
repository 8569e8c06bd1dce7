"""A server whose search does nothing: what the transport alone costs.

    python -m benchmarks.empty_server RESPONSE_FILE

It parses the request, and answers with the message in the file, whatever was asked.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

from vecdb.v1 import search_pb2, search_pb2_grpc
from vecdb.wire.lifetime import SWITCH_INTERVAL_S

THREADS = 64  # as many as a server answers at a time


class _Nothing(search_pb2_grpc.SearchServiceServicer):
    def __init__(self, response: search_pb2.SearchResponse) -> None:
        self._response = response
        self._encoded = response.SerializeToString()

    def SearchStream(self, requests: Any, context: Any) -> Iterator[search_pb2.SearchStreamResponse]:
        for message in requests:
            search_pb2.SearchRequest.FromString(message.search)
            yield search_pb2.SearchStreamResponse(number=message.number, answer=self._encoded)

    def Search(self, request: Any, context: Any) -> search_pb2.SearchResponse:
        return self._response


def main() -> None:
    """Serve until killed."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    response = search_pb2.SearchResponse.FromString(Path(sys.argv[1]).read_bytes())
    server = grpc.server(ThreadPoolExecutor(THREADS), options=[("grpc.so_reuseport", 0)])
    search_pb2_grpc.add_SearchServiceServicer_to_server(_Nothing(response), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"ready on 127.0.0.1:{port}", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
