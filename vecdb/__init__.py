"""vecdb, a self-hosted vector database: a client over gRPC, and the engine in one's own process.

    import vecdb
    db = vecdb.connect("localhost:50051")    # or vecdb.open("./data")
    docs = db.create_collection("docs", dim=384)

Public names are loaded when first touched, so that importing vecdb never imports the engine.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from vecdb.model.version import VERSION as __version__

if TYPE_CHECKING:
    from vecdb.client.archives.verifying import verify as verify
    from vecdb.client.async_client import AsyncClient as AsyncClient
    from vecdb.client.async_collection import AsyncCollection as AsyncCollection
    from vecdb.client.client import Client as Client
    from vecdb.client.collection import Collection as Collection
    from vecdb.client.connect import connect as connect
    from vecdb.client.connect import connect_async as connect_async
    from vecdb.client.connect import open as open
    from vecdb.client.connect import open_async as open_async
    from vecdb.client.keyword import Keyword as Keyword
    from vecdb.client.keyword import Query as Query
    from vecdb.client.modifiers import Boost as Boost
    from vecdb.client.modifiers import Decay as Decay
    from vecdb.client.near import Near as Near
    from vecdb.client.operations import Clear as Clear
    from vecdb.client.operations import Delete as Delete
    from vecdb.client.operations import Insert as Insert
    from vecdb.client.operations import Update as Update
    from vecdb.client.operations import Upsert as Upsert
    from vecdb.client.reranking import Rerank as Rerank
    from vecdb.client.sparse import Sparse as Sparse
    from vecdb.errors import Aborted as Aborted
    from vecdb.errors import AlreadyExists as AlreadyExists
    from vecdb.errors import Cancelled as Cancelled
    from vecdb.errors import ChangesGone as ChangesGone
    from vecdb.errors import Closed as Closed
    from vecdb.errors import CollectionExists as CollectionExists
    from vecdb.errors import CollectionLoading as CollectionLoading
    from vecdb.errors import CollectionNotFound as CollectionNotFound
    from vecdb.errors import ConditionFailed as ConditionFailed
    from vecdb.errors import DataDirInUse as DataDirInUse
    from vecdb.errors import DataDirUnusable as DataDirUnusable
    from vecdb.errors import DataLoss as DataLoss
    from vecdb.errors import DeadlineExceeded as DeadlineExceeded
    from vecdb.errors import DimensionMismatch as DimensionMismatch
    from vecdb.errors import DiskFull as DiskFull
    from vecdb.errors import EngineNotInstalled as EngineNotInstalled
    from vecdb.errors import FailedPrecondition as FailedPrecondition
    from vecdb.errors import FieldNotFound as FieldNotFound
    from vecdb.errors import FormatTooNew as FormatTooNew
    from vecdb.errors import IndexingBehind as IndexingBehind
    from vecdb.errors import Internal as Internal
    from vecdb.errors import InvalidArgument as InvalidArgument
    from vecdb.errors import InvalidVector as InvalidVector
    from vecdb.errors import MemoryLimit as MemoryLimit
    from vecdb.errors import ModelMismatch as ModelMismatch
    from vecdb.errors import NotFound as NotFound
    from vecdb.errors import PartialWrite as PartialWrite
    from vecdb.errors import PointExists as PointExists
    from vecdb.errors import PointNotFound as PointNotFound
    from vecdb.errors import ReadOnly as ReadOnly
    from vecdb.errors import ResourceExhausted as ResourceExhausted
    from vecdb.errors import TooLarge as TooLarge
    from vecdb.errors import Unavailable as Unavailable
    from vecdb.errors import Unimplemented as Unimplemented
    from vecdb.errors import VecdbError as VecdbError
    from vecdb.model.collection import CollectionInfo as CollectionInfo
    from vecdb.model.collection import CollectionStats as CollectionStats
    from vecdb.model.collection import DatabaseStats as DatabaseStats
    from vecdb.model.collection import SegmentStats as SegmentStats
    from vecdb.model.facet import Facet as Facet
    from vecdb.model.facet import FacetValue as FacetValue
    from vecdb.model.feed import Change as Change
    from vecdb.model.filter import Filter as Filter
    from vecdb.model.filter.expression import F as F
    from vecdb.model.fusion import DistributionScore as DistributionScore
    from vecdb.model.fusion import RelativeScore as RelativeScore
    from vecdb.model.fusion import Rrf as Rrf
    from vecdb.model.highlight import Highlight as Highlight
    from vecdb.model.highlight import Snippet as Snippet
    from vecdb.model.hit import Hit as Hit
    from vecdb.model.hit import Page as Page
    from vecdb.model.hit import Point as Point
    from vecdb.model.hit import SearchResult as SearchResult
    from vecdb.model.info import ServerInfo as ServerInfo
    from vecdb.model.modifier import Mmr as Mmr
    from vecdb.model.order import OrderBy as OrderBy
    from vecdb.model.point import WriteResult as WriteResult
    from vecdb.model.recall import MeasuredRecall as MeasuredRecall
    from vecdb.model.recall import Recall as Recall
    from vecdb.model.recall import SegmentRecall as SegmentRecall
    from vecdb.model.schema import Schema as Schema
    from vecdb.model.schema import SparseField as SparseField
    from vecdb.model.schema import TextField as TextField
    from vecdb.model.schema import VectorField as VectorField
    from vecdb.model.snapshot import Pin as Pin
    from vecdb.model.snapshot import RestoredCollection as RestoredCollection
    from vecdb.model.snapshot import RestoreReport as RestoreReport
    from vecdb.model.snapshot import SnapshotCollection as SnapshotCollection
    from vecdb.model.snapshot import SnapshotSummary as SnapshotSummary
    from vecdb.model.sparse import SparseVector as SparseVector
    from vecdb.model.token import Token as Token

_PLACES = {
    "vecdb.client.archives.verifying": ("verify",),
    "vecdb.client.async_client": ("AsyncClient",),
    "vecdb.client.async_collection": ("AsyncCollection",),
    "vecdb.client.client": ("Client",),
    "vecdb.client.collection": ("Collection",),
    "vecdb.client.connect": ("connect", "connect_async", "open", "open_async"),
    "vecdb.client.keyword": ("Keyword", "Query"),
    "vecdb.client.modifiers": ("Boost", "Decay"),
    "vecdb.client.near": ("Near",),
    "vecdb.client.operations": ("Clear", "Delete", "Insert", "Update", "Upsert"),
    "vecdb.client.reranking": ("Rerank",),
    "vecdb.client.sparse": ("Sparse",),
    "vecdb.errors": (
        "Aborted",
        "AlreadyExists",
        "Cancelled",
        "ChangesGone",
        "Closed",
        "CollectionExists",
        "CollectionLoading",
        "CollectionNotFound",
        "ConditionFailed",
        "DataDirInUse",
        "DataDirUnusable",
        "DataLoss",
        "DeadlineExceeded",
        "DimensionMismatch",
        "EngineNotInstalled",
        "FailedPrecondition",
        "FieldNotFound",
        "FormatTooNew",
        "IndexingBehind",
        "Internal",
        "InvalidArgument",
        "InvalidVector",
        "DiskFull",
        "MemoryLimit",
        "ModelMismatch",
        "NotFound",
        "PartialWrite",
        "PointExists",
        "PointNotFound",
        "ReadOnly",
        "ResourceExhausted",
        "TooLarge",
        "Unavailable",
        "Unimplemented",
        "VecdbError",
    ),
    "vecdb.model.collection": ("CollectionInfo", "CollectionStats", "DatabaseStats", "SegmentStats"),
    "vecdb.model.facet": ("Facet", "FacetValue"),
    "vecdb.model.feed": ("Change",),
    "vecdb.model.filter": ("Filter",),
    "vecdb.model.filter.expression": ("F",),
    "vecdb.model.hit": ("Hit", "Page", "Point", "SearchResult"),
    "vecdb.model.info": ("ServerInfo",),
    "vecdb.model.order": ("OrderBy",),
    "vecdb.model.point": ("WriteResult",),
    "vecdb.model.fusion": ("DistributionScore", "RelativeScore", "Rrf"),
    "vecdb.model.highlight": ("Highlight", "Snippet"),
    "vecdb.model.modifier": ("Mmr",),
    "vecdb.model.recall": ("MeasuredRecall", "Recall", "SegmentRecall"),
    "vecdb.model.schema": ("Schema", "SparseField", "TextField", "VectorField"),
    "vecdb.model.snapshot": ("Pin", "RestoredCollection", "RestoreReport", "SnapshotCollection", "SnapshotSummary"),
    "vecdb.model.sparse": ("SparseVector",),
    "vecdb.model.token": ("Token",),
}
_PLACE_OF = {name: place for place, names in _PLACES.items() for name in names}

__all__ = ["__version__", *sorted(_PLACE_OF)]  # noqa: PLE0604


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _PLACE_OF:
            raise AttributeError(f"module 'vecdb' has no attribute {name!r}")
        value = getattr(import_module(_PLACE_OF[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return list(__all__)
