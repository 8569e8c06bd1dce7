"""Archives over gRPC: what passes is whole or an error, whoever ends it, and neither end holds more than a little."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from tests.wire.fake_engine import FakeDatabase
from vecdb import errors
from vecdb.client import calls
from vecdb.client.client import Client
from vecdb.client.transport_grpc import GrpcTransport
from vecdb.model.info import ServerInfo
from vecdb.model.snapshot import SnapshotBase
from vecdb.v1 import admin_pb2, admin_pb2_grpc, snapshot_pb2
from vecdb.wire import archives
from vecdb.wire.gates import ARCHIVES
from vecdb.wire.server import Server
from vecdb.wire.status import from_rpc

MIB = 1 << 20


@pytest.fixture
def stub(channel: grpc.Channel) -> admin_pb2_grpc.AdminServiceStub:
    return admin_pb2_grpc.AdminServiceStub(channel)


def options(archives: int, **more: Any) -> admin_pb2.RestoreRequest:
    return admin_pb2.RestoreRequest(options=snapshot_pb2.RestoreOptions(archives=archives, **more))


def chunk(archive: int, data: bytes, last: bool = False) -> admin_pb2.RestoreRequest:
    return admin_pb2.RestoreRequest(chunk=snapshot_pb2.ArchiveChunk(archive=archive, data=data, last=last))


def taken(client: Client, into: Callable[[bytes], object], **named: Any) -> None:
    client._transport.send(calls.Snapshot(named.get("collections"), named.get("base"), into), None)


def given(client: Client, *archives: Any, **named: Any) -> Any:
    call = calls.Restore(archives, named.get("collections"), named.get("rename", {}), named.get("dry_run", False))
    return client._transport.send(call, None)


# -- a snapshot --


@pytest.mark.parametrize("sizes", [[], [0], [5, 0, 7], [MIB], [MIB - 1, 2], [3 * MIB + 5, 1, MIB]])
def test_bytes_arrive_whole_in_messages_of_bounded_size(
    client: Client, stub: admin_pb2_grpc.AdminServiceStub, engine: FakeDatabase, sizes: list[int]
) -> None:
    engine.archive = [bytes([i + 1]) * size for i, size in enumerate(sizes)]
    whole = b"".join(engine.archive)
    into = io.BytesIO()
    taken(client, into.write)
    assert into.getvalue() == whole
    messages = [message.data for message in stub.Snapshot(admin_pb2.SnapshotRequest(), timeout=60)]
    assert b"".join(messages) == whole
    assert all(len(data) == MIB for data in messages[:-1])
    assert engine.let_go.is_set()


def test_what_is_asked_reaches_the_engine_and_there_is_no_deadline(client: Client, engine: FakeDatabase) -> None:
    base = SnapshotBase("d" * 32, 7, {1: 10, 3: 2**40})
    taken(client, io.BytesIO().write, collections=["a", "b"], base=base)
    taken(client, io.BytesIO().write)
    (_, first, asked), (_, _, nothing) = engine.calls
    assert first.deadline is None
    assert asked == (["a", "b"], base)
    assert nothing == (None, None)


@pytest.mark.parametrize("after", [0, 1, 5])
def test_an_error_arrives_as_it_was_raised_wherever_it_happened(
    client: Client, engine: FakeDatabase, after: int
) -> None:
    def broken() -> Iterator[bytes]:
        for _ in range(after):
            yield b"x" * MIB
        raise errors.DataLoss("a row is damaged", received="it")

    engine.archive = broken()
    into = io.BytesIO()
    with pytest.raises(errors.DataLoss) as failed:
        taken(client, into.write)
    assert (failed.value.message, failed.value.received) == ("a row is damaged", "it")
    assert len(into.getvalue()) == after * MIB


def test_a_defect_on_the_way_is_internal(
    client: Client, engine: FakeDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    engine.archive = (1 / n * b"" for n in (0,))  # type: ignore[operator]
    with pytest.raises(errors.Internal, match="a defect of vecdb"):
        taken(client, io.BytesIO().write)
    assert "ZeroDivisionError" in caplog.text


class Endless:
    """An archive without end, and how much of it was read."""

    def __init__(self) -> None:
        self.pieces = 0

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self.pieces += 1
            yield bytes(MIB)


def test_what_nobody_reads_is_not_sent(stub: admin_pb2_grpc.AdminServiceStub, engine: FakeDatabase) -> None:
    engine.archive = endless = Endless()
    call = stub.Snapshot(admin_pb2.SnapshotRequest())
    for _ in range(20):
        next(call)
    call.cancel()
    assert engine.let_go.wait(60)
    assert endless.pieces < 20 + 16


def test_a_client_that_fails_lets_the_engine_go(client: Client, engine: FakeDatabase) -> None:
    engine.archive = Endless()
    left = iter(range(3))

    def full(piece: bytes) -> None:
        if next(left, None) is None:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        taken(client, full)
    assert engine.let_go.wait(60)


def test_a_client_that_is_closed_lets_the_engine_go(server: Server, engine: FakeDatabase) -> None:
    engine.archive = Endless()
    client = Client(GrpcTransport(server.address), None)
    with pytest.raises(errors.Closed):
        taken(client, lambda piece: client.close())
    assert engine.let_go.wait(60)


def test_a_server_that_stops_is_no_end_of_an_archive(server: Server, client: Client, engine: FakeDatabase) -> None:
    engine.archive = Endless()
    stopping = threading.Thread(target=server.stop, args=(0,))

    def stop(piece: bytes) -> None:
        if stopping.ident is None:
            stopping.start()

    with pytest.raises(errors.Unavailable):
        taken(client, stop)
    stopping.join(60)
    assert engine.let_go.wait(60)


# -- a restore --


def test_archives_arrive_whole_and_apart(client: Client, engine: FakeDatabase) -> None:
    report = given(client, [b"a" * MIB, b"b"], [], [b"c"], collections=["x"], rename={"x": "y"}, dry_run=True)
    (name, context, (archives, *asked)) = engine.calls[-1]
    assert (name, context.deadline) == ("restore", None)
    assert archives == [b"a" * MIB + b"b", b"", b"c"]
    assert asked == [["x"], {"x": "y"}, True]
    assert [made.points for made in report.collections] == [MIB + 1, 0, 1]
    assert report.dry_run


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([], "options"),
        ([chunk(0, b"a")], "options"),
        ([admin_pb2.RestoreRequest()], "options"),
        ([options(0)], "options.archives"),
        ([options(1)], "chunk.last"),
        ([options(1), chunk(0, b"a")], "chunk.last"),
        ([options(2), chunk(0, b"a", True)], "chunk.last"),
        ([options(1), options(1)], "part"),
        ([options(1), admin_pb2.RestoreRequest()], "part"),
        ([options(2), chunk(1, b"a")], "chunk.archive"),
        ([options(1), chunk(0, b"a", True), chunk(1, b"b", True)], "chunk.archive"),
        ([options(1), chunk(0, b"a", True), chunk(0, b"b")], "chunk.archive"),
        ([options(2), chunk(0, b"a"), chunk(1, b"b", True)], "chunk.archive"),
        ([options(3), chunk(0, b"a", True), chunk(1, b"b", True), chunk(0, b"c")], "chunk.archive"),
        ([options(3), chunk(0, b"a", True), chunk(2, b"b")], "chunk.archive"),
    ],
)
def test_messages_that_are_no_restore_are_refused(
    stub: admin_pb2_grpc.AdminServiceStub, engine: FakeDatabase, messages: list[Any], field: str
) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        stub.Restore(iter(messages), timeout=60)
    error = from_rpc(failed.value)
    assert (type(error), error.field) == (errors.InvalidArgument, field)
    assert engine.calls == []  # it never had them all


def test_a_message_that_does_not_parse_is_the_callers_mistake(channel: grpc.Channel, engine: FakeDatabase) -> None:
    raw = [options(1).SerializeToString(), chunk(0, b"a").SerializeToString(), b"\xff\xff"]
    with pytest.raises(grpc.RpcError) as failed:
        channel.stream_unary("/vecdb.v1.AdminService/Restore")(iter(raw), timeout=60)
    assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert engine.calls == []


def test_an_upload_that_breaks_off_is_no_end_of_an_archive(
    client: Client, engine: FakeDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Iterator[bytes]:
        yield b"a" * MIB
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        given(client, broken(), [b"c"])
    assert engine.let_go.wait(60)
    assert engine.calls == []
    assert [record for record in caplog.records if record.levelname != "DEBUG"] == []


def test_a_client_that_has_gone_is_heard_of(stub: admin_pb2_grpc.AdminServiceStub, engine: FakeDatabase) -> None:
    reached, over = threading.Event(), threading.Event()
    met: list[Exception] = []

    def read(context: Any, archives: Any, **more: Any) -> None:
        try:
            for _ in next(iter(archives)):
                reached.set()
        except errors.VecdbError as error:
            met.append(error)
            raise
        finally:
            over.set()

    engine.restore = read  # type: ignore[assignment, method-assign]
    stalled = threading.Event()

    def requests() -> Iterator[Any]:
        yield options(1)
        yield chunk(0, b"a")
        stalled.wait(60)

    call = stub.Restore.future(requests())
    assert reached.wait(60)
    call.cancel()
    assert over.wait(60)
    stalled.set()
    assert [type(error) for error in met] in ([errors.Cancelled], [errors.InvalidArgument])


@pytest.mark.parametrize("at", [0, 3])
def test_what_the_engine_refuses_half_way_arrives_as_it_was_raised(
    client: Client, engine: FakeDatabase, at: int
) -> None:
    """Also to a client in the middle of sending, whatever it is busy with."""

    def refuse(context: Any, archives: Any, **more: Any) -> None:
        for archive in archives:
            for i, _ in enumerate(archive):
                if i >= at:
                    raise errors.DataLoss("collections/1/000001.bodies is damaged")

    engine.restore = refuse  # type: ignore[assignment, method-assign]
    endless = Endless()
    with pytest.raises(errors.DataLoss, match="bodies is damaged"):
        given(client, endless)
    assert endless.pieces < at + 16


# -- how much the server takes on --


def test_a_few_at_once_and_searches_go_on(serve: Callable[..., Server], engine: FakeDatabase) -> None:
    server = serve(engine, max_calls=1)
    engine.archive = Endless()
    with grpc.insecure_channel(server.address) as channel:
        stub = admin_pb2_grpc.AdminServiceStub(channel)
        under_way = [stub.Snapshot(admin_pb2.SnapshotRequest()) for _ in range(ARCHIVES)]
        for call in under_way:
            next(call)
        for refused in (
            lambda: next(stub.Snapshot(admin_pb2.SnapshotRequest())),
            lambda: stub.Restore(iter([options(1), chunk(0, b"a", True)])),
        ):
            with pytest.raises(grpc.RpcError) as failed:
                refused()
            error = from_rpc(failed.value)
            assert (type(error), error.expected) == (errors.ResourceExhausted, f"at most {ARCHIVES} at once")
        with Client(GrpcTransport(server.address), 30) as client:
            docs = client.create_collection("docs", dim=2)
            docs.upsert(["a"], [[1, 2]])
            assert docs.search([1, 2]).ids == ["a"]
        for call in under_way:
            call.cancel()


def test_an_older_server_is_named(serve: Callable[..., Server], engine: FakeDatabase) -> None:
    features = tuple(name for name in ServerInfo().features if name != "snapshots")
    with Client(GrpcTransport(serve(engine, info=ServerInfo(features=features)).address), 30) as client:
        for call in (lambda: taken(client, io.BytesIO().write), lambda: given(client, [b"a"])):
            with pytest.raises(errors.Unimplemented) as refused:
                call()
            assert refused.value.expected == "snapshots"
    assert engine.calls == []


@pytest.mark.parametrize("size", [1, 7, 100])
def test_pieces(size: int) -> None:
    chunks = [b"", b"abc", b"d" * 20, b"", b"e" * 7]
    found = list(archives.pieces(chunks, size))
    assert b"".join(found) == b"".join(chunks)
    assert all(len(piece) == size for piece in found[:-1])
    assert 1 <= len(found[-1]) <= size
