"""Calls as gRPC carries them. Pure: nothing is sent, nothing is read.

Every sender, blocking or not, sends what ``encode`` makes of a call and gives the answer to its ``decode``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from google.protobuf.message import DecodeError, Message
from numpy.typing import NDArray

from vecdb.client import calls
from vecdb.client.calls import Call
from vecdb.errors import Internal, InvalidArgument
from vecdb.model.fusion import Rrf
from vecdb.model.keyword import Keyword
from vecdb.model.point import DeleteIds, DeleteWhere, PayloadMode, Points, Put, Rows, UpdateWhere
from vecdb.model.query import Near, SearchAnswer
from vecdb.model.schema import Schema, TextField
from vecdb.model.schema_change import AddSparseField, AddTextField, AddVectorField, SetTextField, SetTtl
from vecdb.model.sparse import Sparse
from vecdb.model.token import Token
from vecdb.v1 import admin_pb2, collections_pb2, points_pb2, search_pb2, snapshot_pb2
from vecdb.wire import convert

T = TypeVar("T")

# The server itself gives up waiting after ten seconds and says "ask again".
WAIT_CALL_S = 30.0


@dataclass(frozen=True, slots=True)
class Rpc(Generic[T]):
    """A call as bytes: the method's ``path``, the ``request``, the ``features`` that a server must have for it.

    The request of a restore is its first message; what follows, ``archives`` makes. ``decode`` turns the bytes of the
    answer into what the call is answered by; raises Internal when they do not fit together. ``longest_s``: the call
    ends within that many seconds however much time there is.
    """

    path: str
    request: bytes
    features: Sequence[str]
    decode: Callable[[bytes], T]
    longest_s: float | None = None


def encode(call: Call[T]) -> Rpc[T]:
    """The call for gRPC. Raises InvalidArgument for what protobuf cannot hold, such as a name that is no text."""
    method = _METHODS[type(call)]
    try:
        request = method.request(call).SerializeToString()
    except (TypeError, ValueError) as error:
        raise InvalidArgument("the request cannot be encoded", received=str(error)) from None

    def decode(raw: bytes) -> T:
        try:
            answer: T = method.decode(call, method.answer.FromString(raw))
        except (DecodeError, InvalidArgument) as error:  # the server's mistake, not the caller's
            raise Internal("the server's answer is malformed", received=str(error)) from None
        return answer

    return Rpc(method.path, request, method.features(call), decode, method.longest_s)


def archives(call: calls.Restore) -> Iterator[bytes]:
    """The messages of a restore after the first. The last one of an archive is empty: only then it is known to end."""
    for number, archive in enumerate(call.archives):
        for data in archive:
            yield _chunk(archive=number, data=data)
        yield _chunk(archive=number, last=True)


def _chunk(**said: Any) -> bytes:
    return admin_pb2.RestoreRequest(chunk=snapshot_pb2.ArchiveChunk(**said)).SerializeToString()


def piece(raw: bytes) -> bytes:
    """The bytes of an archive in a message of a snapshot. Raises Internal."""
    try:
        return admin_pb2.SnapshotResponse.FromString(raw).data
    except DecodeError as error:
        raise Internal("the server's answer is malformed", received=str(error)) from None


def path(call: Call[Any]) -> str:
    """The method that carries a call."""
    return _METHODS[type(call)].path


@dataclass(frozen=True, slots=True)
class _Method:
    """How calls of one kind cross: ``decode`` takes the call and the answering message."""

    path: str
    request: Callable[[Any], Message]
    answer: type[Message]
    decode: Callable[[Any, Any], Any]
    features: Callable[[Any], Sequence[str]] = lambda call: ()
    longest_s: float | None = None


def _search_features(call: calls.Search) -> list[str]:
    request, legs = call.request, call.request.legs
    features = ["search.near"] if any(isinstance(leg, Near) for leg in legs) else []
    if any(isinstance(leg, Keyword) for leg in legs):
        features.append("search.keyword")
    if any(isinstance(leg, Sparse) for leg in legs):
        features.append("search.sparse")
    if len(legs) > 1:
        features.append("search.rrf" if isinstance(request.fusion, Rrf) else "search.fusion")
    if request.highlight is not None:
        features.append("search.highlight")
    if request.modifiers:
        features.append("search.modifiers")
    if request.mmr is not None:
        features.append("search.mmr")
    if request.target_recall is not None:
        features.append("search.target_recall")
    if call.request.explain:
        features.append("search.explain")
    if call.request.group_by is not None:
        features.append("search.groups")
    if any(isinstance(leg, Near) and leg.examples is not None for leg in legs):
        features.append("search.examples")
    filters = (call.request.filter, call.request.query_filters, *(leg.filter for leg in call.request.legs))
    if any(given is not None for given in filters):
        features.append("filters")
    return features


def _write_features(call: calls.Write) -> list[str]:
    features = {"write.request_id"}
    for operation in call.batch.operations:
        if isinstance(operation, DeleteWhere | UpdateWhere):
            features.add("write.filter")
        if isinstance(operation, Put | DeleteIds) and operation.condition is not None:
            features.add("write.condition")
        if isinstance(operation, Put):
            merges = operation.payload_mode is PayloadMode.MERGE and operation.rows.payloads is not None
            if merges or operation.unset:
                features.add("write.merge")
            if operation.ttl_ms:
                features.add("write.ttl")
            if operation.rows.sparse:
                features.add("write.sparse")
    return sorted(features)


def _filter_features(call: calls.Exists | calls.Count | calls.Scroll) -> Sequence[str]:
    return () if call.filter is None else ("filters",)


def _searched(call: calls.Search, answer: search_pb2.SearchResponse) -> tuple[SearchAnswer, int]:
    highlighted = call.request.highlight is not None
    return convert.answer_from_proto(answer, call.request.select, highlighted), answer.content_hits


def _analyzed(call: calls.Analyze, answer: search_pb2.AnalyzeResponse) -> list[list[Token]]:
    if len(answer.texts) != len(call.texts):
        raise InvalidArgument("out of range", field="texts", received=f"{len(answer.texts)} texts")
    return [convert.tokens_from_proto(tokens, f"texts[{i}]") for i, tokens in enumerate(answer.texts)]


def _got(call: calls.Get, answer: points_pb2.GetResponse) -> tuple[Points, int]:
    if call.ids and not 1 <= answer.answered <= len(call.ids):
        raise InvalidArgument("out of range", field="answered", received=str(answer.answered))
    return convert.points_from_proto(answer.points, call.select, "points"), answer.answered


def _existing(call: calls.Exists, answer: points_pb2.ExistsResponse) -> NDArray[np.bool_]:
    if len(answer.exists) != len(call.ids):
        raise InvalidArgument("out of range", field="exists", received=f"{len(answer.exists)} bytes")
    return np.frombuffer(answer.exists, dtype=np.uint8).astype(np.bool_)


def _scrolled(call: calls.Scroll | calls.Ordered, answer: points_pb2.ScrollResponse) -> tuple[Points, bool]:
    return convert.points_from_proto(answer.points, call.select, "points"), answer.end


def _create(call: calls.CreateCollection) -> Message:
    call.schema.validate()  # a metric that is none has no number to be sent as
    return collections_pb2.CreateCollectionRequest(
        name=call.name, schema=convert.schema_to_proto(call.schema), exist_ok=call.exist_ok
    )


def _create_features(call: calls.CreateCollection) -> Sequence[str]:
    """What a server must know that it would else leave out: what a schema is besides its fields, and how a text field
    is searched."""
    plain = Schema(call.schema.vectors, call.schema.texts, sparse=call.schema.sparse)
    features = [] if call.schema == plain else ["collections.change_schema"]
    if any(map(_is_tuned, call.schema.texts.values())):
        features.append("schema.texts")
    return [*features, "schema.sparse"] if call.schema.sparse else features


def _change_features(call: calls.ChangeSchema) -> Sequence[str]:
    match call.change:
        case SetTextField():
            return ("collections.change_schema", "schema.texts")
        case AddTextField(_, field) if _is_tuned(field):
            return ("collections.change_schema", "schema.texts")
        case AddSparseField():
            return ("collections.change_schema", "schema.sparse")
        case _:
            return ("collections.change_schema",)


def _is_tuned(field: TextField) -> bool:
    """Whether a text field is declared with more than an analyzer."""
    return field != TextField(field.analyzer)


def _change(call: calls.ChangeSchema) -> Message:
    if isinstance(call.change, AddVectorField):
        call.change.field.validate("field")
    if isinstance(call.change, AddTextField | SetTextField):
        call.change.field.validate("field")
    if isinstance(call.change, SetTtl) and call.change.ttl_ms < 0:
        raise InvalidArgument("out of range", field="ttl_ms", expected=">= 0", received=str(call.change.ttl_ms))
    return convert.change_to_proto(call.collection, call.change)


def _write(call: calls.Write) -> Message:
    for i, operation in enumerate(call.batch.operations):
        if isinstance(operation, Put):
            _require_columns(operation.rows, f"operations[{i}]")
    return convert.write_to_proto(call.collection, call.batch, call.request_id)


def _require_columns(rows: Rows, path: str) -> None:
    """Refuse columns of different lengths, which would be sent as columns with gaps. Raises InvalidArgument."""
    n = len(rows.ids)
    lengths = {f'texts["{name}"]': (n, len(column)) for name, column in rows.texts.items()}
    for name, vectors in rows.vectors.items():
        lengths[f'vectors["{name}"]'] = (n if vectors.rows is None else len(vectors.rows), len(vectors.data))
    for name, sparse in rows.sparse.items():
        lengths[f'sparse["{name}"]'] = (n if sparse.rows is None else len(sparse.rows), len(sparse.data))
    if rows.payloads is not None:
        lengths["payloads"] = (n, len(rows.payloads))
    for column, (expected, received) in lengths.items():
        if expected != received:
            raise InvalidArgument(
                "columns differ in length",
                field=f"{path}.{column}",
                expected=f"{expected} entries",
                received=str(received),
            )


def _one_collection(call: object, answer: Any) -> object:
    return convert.collection_info_from_proto(answer.collection)


_COLLECTIONS = "/vecdb.v1.CollectionsService/"
_POINTS = "/vecdb.v1.PointsService/"
_SEARCH = "/vecdb.v1.SearchService/"
_ADMIN = "/vecdb.v1.AdminService/"

_METHODS: dict[type[Call[Any]], _Method] = {
    calls.CreateCollection: _Method(
        _COLLECTIONS + "CreateCollection",
        _create,
        collections_pb2.CreateCollectionResponse,
        _one_collection,
        _create_features,
    ),
    calls.DropCollection: _Method(
        _COLLECTIONS + "DropCollection",
        lambda call: collections_pb2.DropCollectionRequest(name=call.name),
        collections_pb2.DropCollectionResponse,
        lambda call, answer: None,
    ),
    calls.RenameCollection: _Method(
        _COLLECTIONS + "RenameCollection",
        lambda call: collections_pb2.RenameCollectionRequest(name=call.name, new_name=call.new_name),
        collections_pb2.RenameCollectionResponse,
        lambda call, answer: None,
        lambda call: ("collections.aliases",),
    ),
    calls.SetAlias: _Method(
        _COLLECTIONS + "SetAlias",
        lambda call: collections_pb2.SetAliasRequest(alias=call.alias, collection=call.collection),
        collections_pb2.SetAliasResponse,
        lambda call, answer: None,
        lambda call: ("collections.aliases",),
    ),
    calls.DropAlias: _Method(
        _COLLECTIONS + "DropAlias",
        lambda call: collections_pb2.DropAliasRequest(alias=call.alias),
        collections_pb2.DropAliasResponse,
        lambda call, answer: None,
        lambda call: ("collections.aliases",),
    ),
    calls.ListCollections: _Method(
        _COLLECTIONS + "ListCollections",
        lambda call: collections_pb2.ListCollectionsRequest(),
        collections_pb2.ListCollectionsResponse,
        lambda call, answer: [convert.collection_info_from_proto(found) for found in answer.collections],
    ),
    calls.Describe: _Method(
        _COLLECTIONS + "DescribeCollection",
        lambda call: collections_pb2.DescribeCollectionRequest(name=call.collection),
        collections_pb2.DescribeCollectionResponse,
        _one_collection,
    ),
    calls.ChangeSchema: _Method(
        _COLLECTIONS + "ChangeSchema",
        _change,
        collections_pb2.ChangeSchemaResponse,
        _one_collection,
        _change_features,
    ),
    calls.Write: _Method(
        _POINTS + "Write",
        _write,
        points_pb2.WriteResponse,
        lambda call, answer: convert.write_result_from_proto(answer),
        _write_features,
    ),
    calls.Get: _Method(
        _POINTS + "Get",
        lambda call: points_pb2.GetRequest(
            collection=call.collection, ids=call.ids, select=convert.select_to_proto(call.select)
        ),
        points_pb2.GetResponse,
        _got,
    ),
    calls.Exists: _Method(
        _POINTS + "Exists",
        lambda call: points_pb2.ExistsRequest(
            collection=call.collection, ids=call.ids, filter=convert.filter_to_proto(call.filter)
        ),
        points_pb2.ExistsResponse,
        _existing,
        _filter_features,
    ),
    calls.Count: _Method(
        _POINTS + "Count",
        lambda call: points_pb2.CountRequest(collection=call.collection, filter=convert.filter_to_proto(call.filter)),
        points_pb2.CountResponse,
        lambda call, answer: answer.count,
        _filter_features,
    ),
    calls.Scroll: _Method(
        _POINTS + "Scroll",
        lambda call: points_pb2.ScrollRequest(
            collection=call.collection,
            after=call.after,
            limit=call.limit,
            select=convert.select_to_proto(call.select),
            filter=convert.filter_to_proto(call.filter),
        ),
        points_pb2.ScrollResponse,
        _scrolled,
        _filter_features,
    ),
    calls.Ordered: _Method(
        _POINTS + "Scroll",
        lambda call: points_pb2.ScrollRequest(
            collection=call.collection,
            limit=call.limit,
            select=convert.select_to_proto(call.select),
            filter=convert.filter_to_proto(call.filter),
            order_by=convert.order_to_proto(call.by),
            cursor=call.cursor,
        ),
        points_pb2.ScrollResponse,
        lambda call, answer: (*_scrolled(call, answer), answer.cursor),
        lambda call: ("points.order_by",),
    ),
    calls.Facet: _Method(
        _POINTS + "Facet",
        lambda call: convert.facet_request_to_proto(call.collection, call.request, call.filter),
        points_pb2.FacetResponse,
        lambda call, answer: convert.facet_from_proto(answer),
        lambda call: ("points.facet",),
    ),
    calls.Changes: _Method(
        _POINTS + "Changes",
        lambda call: convert.feed_request_to_proto(call.collection, call.asked),
        points_pb2.ChangesResponse,
        lambda call, answer: convert.feed_page_from_proto(answer),
        lambda call: ("points.changes",),
    ),
    calls.Search: _Method(
        _SEARCH + "Search",
        lambda call: convert.search_to_proto(call.collection, call.request),
        search_pb2.SearchResponse,
        _searched,
        _search_features,
    ),
    calls.Analyze: _Method(
        _SEARCH + "Analyze",
        lambda call: search_pb2.AnalyzeRequest(collection=call.collection, field=call.field, texts=call.texts),
        search_pb2.AnalyzeResponse,
        _analyzed,
        lambda call: ("analyze",),
    ),
    calls.Info: _Method(
        _ADMIN + "Info",
        lambda call: admin_pb2.InfoRequest(),
        admin_pb2.InfoResponse,
        lambda call, answer: convert.server_info_from_proto(answer),
    ),
    calls.Stats: _Method(
        _ADMIN + "Stats",
        lambda call: admin_pb2.StatsRequest(collection=call.collection),
        admin_pb2.StatsResponse,
        lambda call, answer: convert.collection_stats_from_proto(answer.stats),
    ),
    calls.DatabaseStats: _Method(
        _ADMIN + "DatabaseStats",
        lambda call: admin_pb2.DatabaseStatsRequest(),
        admin_pb2.DatabaseStatsResponse,
        lambda call, answer: convert.database_stats_from_proto(answer.stats),
    ),
    calls.MeasureRecall: _Method(
        _ADMIN + "MeasureRecall",
        lambda call: convert.recall_request_to_proto(call.collection, call.request),
        admin_pb2.MeasureRecallResponse,
        lambda call, answer: convert.measured_recall_from_proto(answer, call.request.k),
        lambda call: ("recall.measure",),
    ),
    calls.Compact: _Method(
        _ADMIN + "Compact",
        lambda call: admin_pb2.CompactRequest(collection=call.collection),
        admin_pb2.CompactResponse,
        lambda call, answer: answer.freed_bytes,
    ),
    calls.WaitIndexed: _Method(
        _ADMIN + "WaitIndexed",
        lambda call: admin_pb2.WaitIndexedRequest(collection=call.collection),
        admin_pb2.WaitIndexedResponse,
        lambda call, answer: answer.indexed,
        longest_s=WAIT_CALL_S,
    ),
    calls.SetIndexing: _Method(
        _ADMIN + "SetIndexing",
        lambda call: admin_pb2.SetIndexingRequest(
            collection=call.collection, indexing=convert.indexing_to_proto(call.mode)
        ),
        admin_pb2.SetIndexingResponse,
        lambda call, answer: None,
    ),
    calls.Check: _Method(
        _ADMIN + "Check",
        lambda call: admin_pb2.CheckRequest(),
        admin_pb2.CheckResponse,
        lambda call, answer: list(answer.problems),
    ),
    calls.Reopen: _Method(
        _ADMIN + "Reopen",
        lambda call: admin_pb2.ReopenRequest(),
        admin_pb2.ReopenResponse,
        lambda call, answer: None,
        lambda call: ("reopen",),
    ),
    calls.Snapshot: _Method(
        _ADMIN + "Snapshot",
        lambda call: admin_pb2.SnapshotRequest(
            collections=call.collections, base=None if call.base is None else convert.base_to_proto(call.base)
        ),
        admin_pb2.SnapshotResponse,
        lambda call, answer: None,
        lambda call: ("snapshots",),
    ),
    calls.Restore: _Method(
        _ADMIN + "Restore",
        lambda call: admin_pb2.RestoreRequest(
            options=snapshot_pb2.RestoreOptions(
                archives=len(call.archives), collections=call.collections, rename=call.rename, dry_run=call.dry_run
            )
        ),
        admin_pb2.RestoreResponse,
        lambda call, answer: convert.restore_report_from_proto(answer),
        lambda call: ("snapshots",),
    ),
}
