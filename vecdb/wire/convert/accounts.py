"""What a server tells of itself: statistics, limits, features."""

from __future__ import annotations

from vecdb.model.collection import CollectionStats, DatabaseStats, SegmentStats
from vecdb.model.info import Limits, ServerInfo
from vecdb.v1 import admin_pb2, stats_pb2
from vecdb.wire.convert.recall import recalls_from_proto, recalls_to_proto
from vecdb.wire.convert.schema import INDEXING_CODES, indexing_from_proto
from vecdb.wire.convert.snapshots import pin_from_proto, pin_to_proto
from vecdb.wire.convert.writes import seq_from_proto, seq_to_proto


def collection_stats_to_proto(stats: CollectionStats) -> stats_pb2.CollectionStats:
    return stats_pb2.CollectionStats(
        name=stats.name,
        live=stats.live,
        dead=stats.dead,
        vectors=stats.vectors,
        indexed=stats.indexed,
        indexing=INDEXING_CODES[stats.indexing],
        state=stats.state,
        seq=seq_to_proto(stats.seq),
        bytes=stats.bytes,
        segments=[
            stats_pb2.SegmentStats(
                segment=segment.segment,
                state=segment.state,
                index=segment.index,
                live=segment.live,
                dead=segment.dead,
                anonymous_bytes=segment.anonymous_bytes,
                mapped_bytes=segment.mapped_bytes,
                disk_bytes=segment.disk_bytes,
                texts=segment.texts,
                recall=recalls_to_proto(segment.recall),
            )
            for segment in stats.segments
        ],
        insertions_per_row=stats.insertions_per_row,
        longest_pause_ms=stats.longest_pause_ms,
        texts=stats.texts,
        indexed_texts=stats.indexed_texts,
        put_off=stats.put_off,
        recall=recalls_to_proto(stats.recall),
    )


def collection_stats_from_proto(message: stats_pb2.CollectionStats) -> CollectionStats:
    return CollectionStats(
        name=message.name,
        live=message.live,
        dead=message.dead,
        vectors=message.vectors,
        indexed=message.indexed,
        indexing=indexing_from_proto(message.indexing),
        state=message.state,
        seq=seq_from_proto(message.seq),
        bytes=dict(message.bytes),
        segments=[
            SegmentStats(
                segment=segment.segment,
                state=segment.state,
                index=dict(segment.index),
                live=segment.live,
                dead=segment.dead,
                anonymous_bytes=segment.anonymous_bytes,
                mapped_bytes=segment.mapped_bytes,
                disk_bytes=segment.disk_bytes,
                texts=dict(segment.texts),
                recall=recalls_from_proto(segment.recall),
            )
            for segment in message.segments
        ],
        insertions_per_row=message.insertions_per_row,
        longest_pause_ms=message.longest_pause_ms,
        texts=message.texts,
        indexed_texts=message.indexed_texts,
        put_off=message.put_off,
        recall=recalls_from_proto(message.recall),
    )


def database_stats_to_proto(stats: DatabaseStats) -> stats_pb2.DatabaseStats:
    return stats_pb2.DatabaseStats(
        collections=stats.collections,
        open_collections=stats.open_collections,
        commit=stats.commit,
        read_only_reason=stats.read_only_reason,
        bytes=stats.bytes,
        state=stats.state,
        state_since_ms=stats.state_since_ms,
        reopen_attempts=stats.reopen_attempts,
        pins=map(pin_to_proto, stats.pins),
    )


def database_stats_from_proto(message: stats_pb2.DatabaseStats) -> DatabaseStats:
    return DatabaseStats(
        collections=message.collections,
        open_collections=message.open_collections,
        commit=message.commit,
        read_only_reason=message.read_only_reason if message.HasField("read_only_reason") else None,
        bytes=dict(message.bytes),
        state=message.state or ("read_only" if message.HasField("read_only_reason") else "serving"),
        state_since_ms=message.state_since_ms,
        reopen_attempts=message.reopen_attempts,
        pins=tuple(map(pin_from_proto, message.pins)),
    )


def server_info_to_proto(info: ServerInfo) -> admin_pb2.InfoResponse:
    limits = info.limits
    return admin_pb2.InfoResponse(
        version=info.version,
        api_level=info.api_level,
        features=info.features,
        limits=admin_pb2.Limits(
            message_bytes=limits.message_bytes,
            search_hits=limits.search_hits,
            search_window=limits.search_window,
            search_legs=limits.search_legs,
            ef=limits.ef,
            scroll_points=limits.scroll_points,
            dim=limits.dim,
            fields=limits.fields,
            id_bytes=limits.id_bytes,
            batch_rows=limits.batch_rows,
            payload_bytes=limits.payload_bytes,
            text_bytes=limits.text_bytes,
            collections=limits.collections,
        ),
    )


def server_info_from_proto(message: admin_pb2.InfoResponse) -> ServerInfo:
    """What a server says of itself; where an older one does not tell a limit, ours."""
    limits, ours = message.limits, Limits()
    return ServerInfo(
        version=message.version,
        api_level=message.api_level,
        features=tuple(message.features),
        limits=Limits(
            message_bytes=limits.message_bytes,
            search_hits=limits.search_hits,
            search_window=limits.search_window,
            search_legs=limits.search_legs,
            ef=limits.ef,
            scroll_points=limits.scroll_points,
            dim=limits.dim,
            fields=limits.fields,
            id_bytes=limits.id_bytes,
            batch_rows=limits.batch_rows or ours.batch_rows,
            payload_bytes=limits.payload_bytes or ours.payload_bytes,
            text_bytes=limits.text_bytes or ours.text_bytes,
            collections=limits.collections or ours.collections,
        ),
    )
