"""CollectionsService: decode, call, encode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

from vecdb.model.info import Limits
from vecdb.model.schema import Schema
from vecdb.model.schema_change import AddVectorField
from vecdb.v1 import collections_pb2 as pb
from vecdb.v1 import collections_pb2_grpc
from vecdb.wire import convert
from vecdb.wire.calls import Calls
from vecdb.wire.limits import check_schema

if TYPE_CHECKING:
    from vecdb.engine.database import Database


class CollectionsServicer(collections_pb2_grpc.CollectionsServiceServicer):
    """Creates, describes, names and drops collections of one database."""

    def __init__(self, database: Database, calls: Calls, limits: Limits) -> None:
        self._database = database
        self._calls = calls
        self._limits = limits

    def CreateCollection(
        self, request: pb.CreateCollectionRequest, context: grpc.ServicerContext
    ) -> pb.CreateCollectionResponse:
        schema = convert.schema_from_proto(request.schema)
        check_schema(schema, self._limits)
        info = self._database.create_collection(self._calls.context(context), request.name, schema, request.exist_ok)
        return pb.CreateCollectionResponse(collection=convert.collection_info_to_proto(info))

    def DropCollection(
        self, request: pb.DropCollectionRequest, context: grpc.ServicerContext
    ) -> pb.DropCollectionResponse:
        self._database.drop_collection(self._calls.context(context), request.name)
        return pb.DropCollectionResponse()

    def ListCollections(
        self, request: pb.ListCollectionsRequest, context: grpc.ServicerContext
    ) -> pb.ListCollectionsResponse:
        found = self._database.list_collections(self._calls.context(context))
        return pb.ListCollectionsResponse(collections=map(convert.collection_info_to_proto, found))

    def DescribeCollection(
        self, request: pb.DescribeCollectionRequest, context: grpc.ServicerContext
    ) -> pb.DescribeCollectionResponse:
        info = self._database.describe(self._calls.context(context), request.name)
        return pb.DescribeCollectionResponse(collection=convert.collection_info_to_proto(info))

    def RenameCollection(
        self, request: pb.RenameCollectionRequest, context: grpc.ServicerContext
    ) -> pb.RenameCollectionResponse:
        self._database.rename_collection(self._calls.context(context), request.name, request.new_name)
        return pb.RenameCollectionResponse()

    def SetAlias(self, request: pb.SetAliasRequest, context: grpc.ServicerContext) -> pb.SetAliasResponse:
        self._database.set_alias(self._calls.context(context), request.alias, request.collection)
        return pb.SetAliasResponse()

    def DropAlias(self, request: pb.DropAliasRequest, context: grpc.ServicerContext) -> pb.DropAliasResponse:
        self._database.drop_alias(self._calls.context(context), request.alias)
        return pb.DropAliasResponse()

    def ChangeSchema(self, request: pb.ChangeSchemaRequest, context: grpc.ServicerContext) -> pb.ChangeSchemaResponse:
        change = convert.change_from_proto(request)
        if isinstance(change, AddVectorField):
            check_schema(Schema({change.name: change.field}, {}), self._limits)
        info = self._database.change_schema(self._calls.context(context), request.collection, change)
        return pb.ChangeSchemaResponse(collection=convert.collection_info_to_proto(info))
