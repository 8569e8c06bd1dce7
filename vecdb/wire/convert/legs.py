"""Legs of searches, and how they are fused."""

from __future__ import annotations

from typing import assert_never

from vecdb.errors import InvalidArgument
from vecdb.model.fusion import DEFAULT_RRF_K, DistributionScore, Fusion, RelativeScore, Rrf
from vecdb.model.keyword import Keyword
from vecdb.model.query import NO_VECTORS, Leg, Near
from vecdb.model.sparse import Sparse
from vecdb.v1 import leg_pb2
from vecdb.wire.convert.columns import fill_vectors, vectors_from_proto
from vecdb.wire.convert.filters import filter_from_proto, filter_to_proto
from vecdb.wire.convert.groups import examples_from_proto, fill_examples
from vecdb.wire.convert.refusals import unknown_kind
from vecdb.wire.convert.sparse import fill_sparse_vectors, sparse_vectors_from_proto


def fill_leg(message: leg_pb2.Leg, leg: Leg) -> None:
    """Put a leg into ``message``, in place: its vectors are large."""
    message.weight = leg.weight
    if leg.depth is not None:
        message.depth = leg.depth
    narrowed = filter_to_proto(leg.filter)
    if narrowed is not None:
        message.filter.CopyFrom(narrowed)
    match leg:
        case Near():
            _fill_near(message.near, leg)
        case Keyword():
            _fill_keyword(message.keyword, leg)
        case Sparse():
            _fill_sparse(message.sparse, leg)
        case _:
            assert_never(leg)


def leg_from_proto(message: leg_pb2.Leg, path: str) -> Leg:
    """The leg. Raises InvalidArgument, or Unimplemented for a kind that is not known here."""
    match message.WhichOneof("kind"):
        case "near":
            return _near(message, f"{path}.near", path)
        case "keyword":
            return _keyword(message, f"{path}.keyword", path)
        case "sparse":
            return _sparse(message, f"{path}.sparse", path)
        case _:
            raise unknown_kind("leg", path)


def fusion_to_proto(fusion: Fusion) -> leg_pb2.Fusion:
    match fusion:
        case Rrf(k):
            return leg_pb2.Fusion(rrf=leg_pb2.Rrf(k=k))
        case RelativeScore():
            return leg_pb2.Fusion(relative_score=leg_pb2.RelativeScore())
        case DistributionScore():
            return leg_pb2.Fusion(distribution_score=leg_pb2.DistributionScore())
        case _:
            assert_never(fusion)


def fusion_from_proto(message: leg_pb2.Fusion) -> Fusion:
    """The fusion. Raises Unimplemented for a method that is not known here."""
    match message.WhichOneof("method"):
        case "rrf":
            return Rrf(message.rrf.k or DEFAULT_RRF_K)
        case "relative_score":
            return RelativeScore()
        case "distribution_score":
            return DistributionScore()
        case _:
            raise unknown_kind("fusion", "fusion")


def _fill_near(message: leg_pb2.Near, near: Near) -> None:
    if near.examples is None:
        fill_vectors(message.vectors, near.vectors)
    else:
        fill_examples(message.examples, near.examples)
    if near.using is not None:
        message.using = near.using
    if near.model is not None:
        message.model = near.model


def _fill_keyword(message: leg_pb2.Keyword, keyword: Keyword) -> None:
    message.texts.extend(keyword.texts)
    for field, boost in (keyword.fields or {}).items():
        message.fields.add(field=field, boost=boost)
    message.language = keyword.language
    message.fuzzy = keyword.fuzzy


def _fill_sparse(message: leg_pb2.Sparse, sparse: Sparse) -> None:
    fill_sparse_vectors(message.vectors, sparse.vectors)
    if sparse.using is not None:
        message.using = sparse.using
    if sparse.model is not None:
        message.model = sparse.model


def _near(message: leg_pb2.Leg, path: str, leg: str) -> Near:
    near = message.near
    target = near.WhichOneof("target")
    if target is None:
        raise unknown_kind("target", path)
    by_example = target == "examples"
    return Near(
        vectors=NO_VECTORS if by_example else vectors_from_proto(near.vectors, f"{path}.vectors"),
        examples=examples_from_proto(near.examples) if by_example else None,
        using=near.using if near.HasField("using") else None,
        weight=_weight(message),
        depth=message.depth if message.HasField("depth") else None,
        filter=filter_from_proto(message.filter, f"{leg}.filter") if message.HasField("filter") else None,
        model=near.model if near.HasField("model") else None,
    )


def _keyword(message: leg_pb2.Leg, path: str, leg: str) -> Keyword:
    keyword = message.keyword
    fields: dict[str, float] = {}
    for i, field in enumerate(keyword.fields):
        if field.field in fields:
            raise InvalidArgument(
                "a field is searched twice",
                field=f"{path}.fields[{i}].field",
                expected="different fields",
                received=repr(field.field),
            )
        fields[field.field] = field.boost if field.HasField("boost") else 1.0
    return Keyword(
        texts=list(keyword.texts),
        fields=fields or None,
        language=keyword.language,
        fuzzy=keyword.fuzzy,
        weight=_weight(message),
        depth=message.depth if message.HasField("depth") else None,
        filter=filter_from_proto(message.filter, f"{leg}.filter") if message.HasField("filter") else None,
    )


def _sparse(message: leg_pb2.Leg, path: str, leg: str) -> Sparse:
    sparse = message.sparse
    return Sparse(
        vectors=sparse_vectors_from_proto(sparse.vectors, f"{path}.vectors"),
        using=sparse.using if sparse.HasField("using") else None,
        weight=_weight(message),
        depth=message.depth if message.HasField("depth") else None,
        filter=filter_from_proto(message.filter, f"{leg}.filter") if message.HasField("filter") else None,
        model=sparse.model if sparse.HasField("model") else None,
    )


def _weight(message: leg_pb2.Leg) -> float:
    return message.weight if message.HasField("weight") else 1.0
