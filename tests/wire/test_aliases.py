"""Aliases and renaming as a client in any language sees them: a server in front of the engine itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from vecdb.engine.database import Database
from vecdb.engine.options import EngineOptions
from vecdb.model.context import CallContext
from vecdb.model.info import FEATURES
from vecdb.storage.memory import MemoryKV
from vecdb.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    collections_pb2,
    collections_pb2_grpc,
    operation_pb2,
    points_pb2,
    points_pb2_grpc,
    schema_pb2,
)
from vecdb.wire.server import Server
from vecdb.wire.status import from_rpc


@pytest.fixture
def channel(serve: Callable[..., Server], tmp_path: Path) -> Iterator[grpc.Channel]:
    database = Database(MemoryKV(), tmp_path, EngineOptions(background=False))
    with grpc.insecure_channel(serve(database).address) as channel:  # type: ignore[arg-type]
        yield channel
    assert database.check(CallContext()) == []
    database.close()


def create(stub: collections_pb2_grpc.CollectionsServiceStub, *names: str) -> None:
    schema = schema_pb2.Schema(vectors={"": schema_pb2.VectorField(dim=2)})
    for name in names:
        stub.CreateCollection(collections_pb2.CreateCollectionRequest(name=name, schema=schema), timeout=10)


def aliases(stub: collections_pb2_grpc.CollectionsServiceStub) -> dict[str, list[str]]:
    found = stub.ListCollections(collections_pb2.ListCollectionsRequest(), timeout=10).collections
    return {info.name: list(info.aliases) for info in found}


def test_an_alias_is_set_used_moved_and_dropped(channel: grpc.Channel) -> None:
    collections = collections_pb2_grpc.CollectionsServiceStub(channel)
    points = points_pb2_grpc.PointsServiceStub(channel)
    create(collections, "v1", "v2")
    for name in ("v1", "v2"):
        collections.SetAlias(collections_pb2.SetAliasRequest(alias="docs", collection=name), timeout=10)
        put = operation_pb2.Put(mode=operation_pb2.PUT_MODE_UPSERT, ids=[f"in {name}"])
        write = points_pb2.WriteRequest(collection="docs", operations=[operation_pb2.Operation(put=put)])
        assert points.Write(write, timeout=10).count == 1
    assert aliases(collections) == {"v1": [], "v2": ["docs"]}
    for name in ("v1", "v2", "docs"):
        page = points.Scroll(points_pb2.ScrollRequest(collection=name), timeout=10)
        assert list(page.points.ids) == [f"in {name.replace('docs', 'v2')}"]
    described = collections.DescribeCollection(collections_pb2.DescribeCollectionRequest(name="docs"), timeout=10)
    assert (described.collection.name, list(described.collection.aliases)) == ("v2", ["docs"])
    collections.RenameCollection(collections_pb2.RenameCollectionRequest(name="v2", new_name="v3"), timeout=10)
    assert aliases(collections) == {"v1": [], "v3": ["docs"]}
    collections.DropAlias(collections_pb2.DropAliasRequest(alias="docs"), timeout=10)
    assert aliases(collections) == {"v1": [], "v3": []}


def test_refusals_have_their_status_and_reason(channel: grpc.Channel) -> None:
    stub = collections_pb2_grpc.CollectionsServiceStub(channel)
    create(stub, "x", "y")
    stub.SetAlias(collections_pb2.SetAliasRequest(alias="a", collection="x"), timeout=10)
    code, pb = grpc.StatusCode, collections_pb2
    alias, rename = pb.SetAliasRequest, pb.RenameCollectionRequest
    for method, request, expected, reason in (
        (stub.SetAlias, alias(alias="y", collection="x"), code.ALREADY_EXISTS, "COLLECTION_EXISTS"),
        (stub.SetAlias, alias(alias="b", collection="a"), code.FAILED_PRECONDITION, "FAILED_PRECONDITION"),
        (stub.SetAlias, alias(alias="b", collection="z"), code.NOT_FOUND, "COLLECTION_NOT_FOUND"),
        (stub.SetAlias, alias(alias="", collection="x"), code.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
        (stub.DropAlias, pb.DropAliasRequest(alias="x"), code.NOT_FOUND, "NOT_FOUND"),
        (stub.RenameCollection, rename(name="x", new_name="a"), code.ALREADY_EXISTS, "COLLECTION_EXISTS"),
        (stub.RenameCollection, rename(name="a", new_name="b"), code.FAILED_PRECONDITION, "FAILED_PRECONDITION"),
        (stub.DropCollection, pb.DropCollectionRequest(name="a"), code.FAILED_PRECONDITION, "FAILED_PRECONDITION"),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            method(request, timeout=10)
        assert (refused.value.code(), from_rpc(refused.value).reason) == (expected, reason)
    assert aliases(stub) == {"x": ["a"], "y": []}


def test_the_server_says_that_it_has_aliases(channel: grpc.Channel) -> None:
    info = admin_pb2_grpc.AdminServiceStub(channel).Info(admin_pb2.InfoRequest(), timeout=10)
    assert "collections.aliases" in info.features
    assert list(info.features) == list(FEATURES)
