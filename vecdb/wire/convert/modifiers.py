"""What changes scores that were found, and the choice of hits that differ."""

from __future__ import annotations

from typing import assert_never

from vecdb.model.modifier import Boost, Decay, Mmr, Modifier
from vecdb.v1 import search_pb2
from vecdb.wire.convert.filters import key_from_proto, key_to_proto, scalar_from_proto, scalar_to_proto
from vecdb.wire.convert.refusals import unknown_kind


def modifier_to_proto(modifier: Modifier) -> search_pb2.Modifier:
    match modifier:
        case Decay():
            return search_pb2.Modifier(
                decay=search_pb2.Decay(
                    key=key_to_proto(modifier.key),
                    origin=None if modifier.origin is None else scalar_to_proto(modifier.origin, "origin"),
                    half=modifier.half,
                    plateau=modifier.plateau,
                    missing=modifier.missing,
                )
            )
        case Boost():
            return search_pb2.Modifier(boost=search_pb2.Boost(key=key_to_proto(modifier.key), weight=modifier.weight))
        case _:
            assert_never(modifier)


def modifier_from_proto(message: search_pb2.Modifier, path: str) -> Modifier:
    """The modifier. Raises InvalidArgument, or Unimplemented for a kind that is not known here."""
    match message.WhichOneof("kind"):
        case "decay":
            decay, path = message.decay, f"{path}.decay"
            return Decay(
                key=key_from_proto(decay.key, f"{path}.key"),
                half=decay.half,
                origin=scalar_from_proto(decay.origin, f"{path}.origin") if decay.HasField("origin") else None,
                plateau=decay.plateau,
                missing=decay.missing if decay.HasField("missing") else 1.0,
            )
        case "boost":
            return Boost(key_from_proto(message.boost.key, f"{path}.boost.key"), message.boost.weight)
        case _:
            raise unknown_kind("modifier", path)


def mmr_to_proto(mmr: Mmr | None) -> search_pb2.Mmr | None:
    if mmr is None:
        return None
    return search_pb2.Mmr(relevance=mmr.relevance, candidates=mmr.candidates or 0, using=mmr.using)


def mmr_from_proto(message: search_pb2.Mmr) -> Mmr:
    return Mmr(message.relevance, message.candidates or None, message.using if message.HasField("using") else None)
