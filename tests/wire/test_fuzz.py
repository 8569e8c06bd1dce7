"""Any message at all: no caller can make the server fail with UNKNOWN or INTERNAL, or turn unhealthy.

Messages are drawn for whatever the descriptors say, so a new field or call is covered the day it comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st

from vecdb import connect
from vecdb.client.client import Client
from vecdb.client.health import health
from vecdb.client.transport_embedded import EmbeddedTransport, open_database
from vecdb.errors import DataLoss, FailedPrecondition, InvalidArgument
from vecdb.v1 import admin_pb2, collections_pb2, points_pb2, search_pb2
from vecdb.wire.server import Server, ServerOptions

METHODS: list[MethodDescriptor] = [
    method
    for module in (collections_pb2, points_pb2, search_pb2, admin_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
    if method.name not in ("DropCollection", "WaitIndexed")  # one would empty the table, the other waits
]

# Whether there is a stream of requests, of answers.
KINDS = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}

# Without these a message is refused at once, and nothing behind that is tried.
MOSTLY = {
    "collection",
    "ids",
    "mode",
    "legs",
    "near",
    "vectors",
    "dim",
    "data",
    "rrf",
    "equals",
    "value",
    "limit",
    "text",
}
RARELY = {"values", "data_type", "fusion", "filter"}

WORDS = st.sampled_from(["docs", "", "docs", "other", "a", "b", "文", "x" * 513, "cosine"]) | st.text(max_size=3)
ASKED = (
    st.sampled_from(["x", "文", "+x -y", '"x 文"', "a* 文*", '+"', "-", "*", "-a", "😀 x", "the", "xx"])
    | st.text("x文a+-*\"' 😀\u0301", max_size=8)
    | WORDS
)
"""Texts to search for: plain words, or a query in its language."""
NUMBERS = st.sampled_from([0, 1, 2, 3, 4, 10]) | st.integers(0, 2**32 - 1)
VECTORS = st.sampled_from([0, 1, 1, 1, 2, 3]).map(lambda n: np.ones((n, 2), "<f4").tobytes()) | st.binary(max_size=17)
JSON = st.sampled_from([b"{}", b'{"a":1}', b"[]", b"", b"{", b'{"a":NaN}', b"\xff"])
SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.CPPTYPE_STRING: WORDS,
    FieldDescriptor.CPPTYPE_UINT32: NUMBERS,
    FieldDescriptor.CPPTYPE_UINT64: NUMBERS,
    FieldDescriptor.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_DOUBLE: st.floats(),
    FieldDescriptor.CPPTYPE_FLOAT: st.floats(width=32),
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
}


@st.composite
def messages(draw: st.DrawFn, descriptor: Descriptor) -> Message:
    """A message of that kind, with most fields left out as often as not."""
    message = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if not draw(_present(field.name)):
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
            for name in draw(st.lists(_scalar(key), max_size=2)):
                if value.message_type is not None:
                    getattr(message, field.name)[name].CopyFrom(draw(messages(value.message_type)))
                else:
                    getattr(message, field.name)[name] = draw(_scalar(value))
        elif field.message_type is not None and _repeated(field):
            least = int(field.name in MOSTLY)
            getattr(message, field.name).extend(
                draw(st.lists(messages(field.message_type), min_size=least, max_size=2))
            )
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(draw(messages(field.message_type)))
        elif _repeated(field):
            getattr(message, field.name).extend(draw(st.lists(_scalar(field), max_size=3)))
        else:
            setattr(message, field.name, draw(_scalar(field)))
    return message


def _repeated(field: Any) -> bool:
    """Whether a field holds a list; protobuf says so in another way since 6.31."""
    return bool(field.is_repeated) if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED


def _present(name: str) -> st.SearchStrategy[bool]:
    if name in MOSTLY or name in RARELY:
        return st.integers(0, 9).map(lambda drawn: (drawn == 7) is (name in RARELY))
    return st.booleans()


def _scalar(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.enum_type is not None:
        return st.sampled_from([*(value.number for value in field.enum_type.values), 99])
    if field.type == FieldDescriptor.TYPE_BYTES:
        return VECTORS if field.name == "data" else JSON
    if field.name == "dim":
        return st.sampled_from([2] * 7 + [3, 0, 65_537])
    if field.name == "using":
        return st.sampled_from(["", "", "other"])
    if field.name in ("ef", "limit", "depth"):
        return st.integers(1, 20) | NUMBERS
    if field.name == "texts" and field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return ASKED
    if field.name == "fuzzy":
        return st.sampled_from([0, 0, 1, 2, 3])
    if field.name in ("characters", "snippets", "candidates"):
        return st.sampled_from([0, 1, 20, 160]) | NUMBERS
    if field.name in ("relevance", "b", "missing"):
        return st.floats(0, 1) | st.floats()
    if field.name in ("half", "plateau", "k1", "boost"):
        return st.floats(0.5, 100) | st.floats()
    if field.name == "analyzer":
        return st.sampled_from(["", "english", "chinese", "exact", "whitespace", "klingon"])
    if field.name == "weight":
        return st.just(1.0) | st.floats()
    if field.name == "collection":
        return st.sampled_from(["docs"] * 7 + ["", "other"])
    return SCALARS[field.cpp_type]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    database = open_database(tmp_path_factory.mktemp("fuzz") / "data", {"durability": "os"})
    client = Client(EmbeddedTransport(database), None)
    client.create_collection("docs", dim=2, model="m").upsert(
        ["a", "b", "c"], [[1, 2], [3, 4], None], ["x 文 xyz", None, "文字 a 😀 x"], [{"a": 1}, None, {"b": 2.5}]
    )
    server = Server(database, ServerOptions(address="127.0.0.1:0"))
    server.start()
    yield server.address
    server.stop(grace_s=0)
    assert client.check() == []
    client.close()


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_no_message_is_the_servers_mistake(address: str, method: MethodDescriptor) -> None:
    with grpc.insecure_channel(address) as channel:
        kind = KINDS[method.client_streaming, method.server_streaming]
        call = getattr(channel, kind)(
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        one: st.SearchStrategy[Any] = messages(method.input_type) | st.binary(max_size=40).map(_Raw)
        asked = st.lists(one, max_size=4) if method.client_streaming else one

        @settings(max_examples=150)
        @given(asked)
        def send(message: Any) -> None:
            try:
                answer = call(iter(message) if method.client_streaming else message, timeout=10)
                if method.server_streaming:
                    list(answer)
            except grpc.RpcError as error:
                assert error.code() not in (
                    grpc.StatusCode.UNKNOWN,
                    grpc.StatusCode.INTERNAL,
                    grpc.StatusCode.DEADLINE_EXCEEDED,
                ), f"{error.details()}\n{message}"

        send()
    assert health(address, "", 10) == "SERVING"


@pytest.fixture(scope="module")
def archive(address: str) -> bytes:
    with connect(address) as client:
        client.snapshot(into := BytesIO())
    return into.getvalue()


def test_no_archive_is_the_servers_mistake(address: str, archive: bytes) -> None:
    """Whatever bytes come as an archive: other ones, a part of one, one in which some are changed or left out."""
    with connect(address) as client:
        before = [info.name for info in client.list_collections()]
        places = st.integers(0, len(archive) - 1)
        changed = st.builds(
            lambda at, byte: archive[:at] + bytes([byte]) + archive[at + 1 :], places, st.integers(0, 255)
        )
        without = st.builds(lambda at, n: archive[:at] + archive[at + n :], places, st.sampled_from([1, 512, 1024]))
        cut = places.map(lambda at: archive[:at])

        @settings(max_examples=150)
        @given(st.lists(changed | without | cut | st.binary(max_size=2_000), min_size=1, max_size=2), st.booleans())
        def send(given: list[bytes], dry_run: bool) -> None:
            if archive in given:
                return
            try:
                client.restore([BytesIO(one) for one in given], rename={"docs": "new"}, dry_run=dry_run)
                raise AssertionError("it was taken for an archive")
            except (DataLoss, InvalidArgument, FailedPrecondition):
                pass

        send()
        assert [info.name for info in client.list_collections()] == before
    assert health(address, "", 10) == "SERVING"


class _Raw(bytes):
    """Bytes that claim to be a message."""

    def SerializeToString(self) -> bytes:
        return bytes(self)
