"""Recall as it was measured, and the asking for it."""

from __future__ import annotations

from collections.abc import Mapping

from vecdb.model.recall import RECALL_K, MeasuredRecall, Recall, RecallRequest, SegmentRecall
from vecdb.v1 import admin_pb2, stats_pb2
from vecdb.wire.convert.columns import fill_vectors, vectors_from_proto
from vecdb.wire.convert.filters import filter_to_proto, optional_filter
from vecdb.wire.convert.refusals import lengths_differ


def recalls_to_proto(recalls: Mapping[str, Recall]) -> dict[str, stats_pb2.Recall]:
    return {
        name: stats_pb2.Recall(
            k=recall.k,
            queries=recall.queries,
            stored=recall.stored,
            vectors=recall.vectors,
            measured_at_ms=recall.measured_at_ms,
            ef=recall.by_ef.keys(),
            recall=recall.by_ef.values(),
        )
        for name, recall in recalls.items()
    }


def recalls_from_proto(messages: Mapping[str, stats_pb2.Recall]) -> dict[str, Recall]:
    """By vector field. Raises InvalidArgument."""
    for name, message in messages.items():
        if len(message.ef) != len(message.recall):
            raise lengths_differ(f'recall["{name}"].recall', str(len(message.ef)), len(message.recall))
    return {
        name: Recall(
            k=message.k,
            queries=message.queries,
            stored=message.stored,
            vectors=message.vectors,
            measured_at_ms=message.measured_at_ms,
            by_ef=dict(zip(message.ef, message.recall, strict=True)),
        )
        for name, message in messages.items()
    }


def recall_request_to_proto(collection: str, request: RecallRequest) -> admin_pb2.MeasureRecallRequest:
    message = admin_pb2.MeasureRecallRequest(
        collection=collection,
        using=request.using,
        k=request.k,
        ef=request.ef,
        target_recall=request.target_recall,
        filter=filter_to_proto(request.filter),
        count=request.count,
        skip=request.skip,
        seed=request.seed,
    )
    if request.vectors is not None:
        fill_vectors(message.vectors, request.vectors)
    return message


def recall_request_from_proto(message: admin_pb2.MeasureRecallRequest) -> RecallRequest:
    """What to measure. Raises InvalidArgument, or Unimplemented for a filter that is not known here."""
    return RecallRequest(
        using=message.using if message.HasField("using") else None,
        k=message.k or RECALL_K,
        ef=message.ef if message.HasField("ef") else None,
        target_recall=message.target_recall if message.HasField("target_recall") else None,
        filter=optional_filter(message),
        vectors=vectors_from_proto(message.vectors, "vectors") if message.HasField("vectors") else None,
        count=message.count,
        skip=message.skip,
        seed=message.seed,
    )


def measured_recall_to_proto(measured: MeasuredRecall) -> admin_pb2.MeasureRecallResponse:
    return admin_pb2.MeasureRecallResponse(
        queries=measured.queries,
        stored=measured.stored,
        segments=[
            admin_pb2.SegmentRecall(segment=one.segment, wanted=one.wanted, found=one.found, ef=one.ef)
            for one in measured.segments
        ],
        took_ms=measured.took_ms,
    )


def measured_recall_from_proto(message: admin_pb2.MeasureRecallResponse, k: int) -> MeasuredRecall:
    return MeasuredRecall(
        k,
        message.queries,
        message.stored,
        tuple(
            SegmentRecall(one.segment, one.wanted, one.found, one.ef if one.HasField("ef") else None)
            for one in message.segments
        ),
        message.took_ms,
    )
