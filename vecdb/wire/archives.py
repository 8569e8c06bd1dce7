"""Archives as messages, and messages as the archives that they bring. What is in an archive, the engine knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

import grpc

from vecdb.errors import Cancelled, InvalidArgument
from vecdb.v1 import admin_pb2 as pb
from vecdb.v1 import snapshot_pb2

MESSAGE_BYTES = 1 << 20
"""Of an archive in one message: large enough that messages cost next to nothing, small enough to be held anywhere."""


def pieces(chunks: Iterable[bytes], size: int = MESSAGE_BYTES) -> Iterator[bytes]:
    """The same bytes in pieces of ``size``, the last one of what is left."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        whole = len(held) - len(held) % size
        for start in range(0, whole, size):
            yield bytes(held[start : start + size])
        del held[:whole]
    if held:
        yield bytes(held)


def received(requests: Iterator[pb.RestoreRequest]) -> tuple[snapshot_pb2.RestoreOptions, Iterator[Iterator[bytes]]]:
    """What a restore is to do, and the archives, to be read one after another while their messages arrive.

    A stream that breaks off, or has its messages in another order, raises InvalidArgument in the middle, Cancelled
    where the client is known to be gone: what came of it is never taken for the whole.
    """
    first = next(_until_gone(requests), None)
    if first is None or not first.HasField("options"):
        raise InvalidArgument(
            "the first message of a restore has its options", field="options", expected="options", received=_kind(first)
        )
    if not first.options.archives:
        raise InvalidArgument("there is nothing to restore", field="options.archives", expected=">= 1", received="0")
    chunks = _chunks(requests, first.options.archives)
    return first.options, ((chunk.data for chunk in part) for _, part in groupby(chunks, lambda chunk: chunk.archive))


def _chunks(requests: Iterator[pb.RestoreRequest], archives: int) -> Iterator[snapshot_pb2.ArchiveChunk]:
    """All chunks of so many archives, in their order, and no more."""
    archive = 0
    for request in _until_gone(requests):
        if not request.HasField("chunk"):
            raise InvalidArgument(
                "after its options a restore has archives alone",
                field="part",
                expected="chunk",
                received=_kind(request),
            )
        if archive == archives or request.chunk.archive != archive:
            raise InvalidArgument(
                "not the archive that follows",
                field="chunk.archive",
                expected="no more" if archive == archives else str(archive),
                received=str(request.chunk.archive),
            )
        archive += request.chunk.last
        yield request.chunk
    # gRPC may tell of a client that has gone as of one that is done (it is a race between two events): so the end of
    # an archive is in its messages.
    if archive < archives:
        raise InvalidArgument(
            "the archives broke off", field="chunk.last", expected=f"the end of {archives}", received=str(archive)
        )


def _until_gone(requests: Iterator[pb.RestoreRequest]) -> Iterator[pb.RestoreRequest]:
    try:
        yield from requests
    except grpc.RpcError:
        raise Cancelled("the client has gone before its archives were complete") from None


def _kind(request: pb.RestoreRequest | None) -> str:
    return (request.WhichOneof("part") if request is not None else None) or "nothing"
